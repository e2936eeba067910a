/** The PostgreSQL store behind PgBouncer, which gives a client a session of the server for the whole connection or for one transaction. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres, type PostgresStore } from '../../../src/store/postgres/store.ts';
import type { Batch } from '../../../src/store/store.ts';
import { CAN_RUN_PGBOUNCER, startPgbouncer } from '../../kit/servers/pgbouncer.ts';
import { createDatabase, NO_POSTGRESQL } from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { entry, HEADER, put, readChain } from '../store_kit.ts';

const WRITES = 20;

const batch = (name: string): Batch => ({ writes: [put(name, 0)], audit: [entry(name, `${name} 1`)] });

async function openPooled(pool_mode: 'session' | 'transaction'): Promise<() => PostgresStore> {
  const { port } = await sharedPostgresql();
  const pooler = await startPgbouncer(port, pool_mode);
  onTestFinished(() => pooler.stop());
  const options = postgresOptions(pooler.port, await createDatabase(await sharedPostgresql()));
  return () => {
    const store = openPostgres({ ...options, outage_timeout_ms: 1_000 });
    onTestFinished(() => store.close());
    return store;
  };
}

/** Writes of two processes at the same time, each on its own connections. */
async function writeWithTwo(open: () => PostgresStore): Promise<PostgresStore[]> {
  const stores = [open(), open()];
  await stores[0]?.create(HEADER, { writes: [], audit: [] });
  const names = Array.from({ length: WRITES }, (_, number) => `n${number}`);
  await Promise.all(stores.flatMap((store, at) => names.map((name) => store.commit(batch(`${name}-${at}`)))));
  return stores;
}

describe.skipIf(NO_POSTGRESQL || !CAN_RUN_PGBOUNCER)('PgBouncer in front of the database', () => {
  test('with a session for each connection, two processes write at the same time and read all of it', async () => {
    const stores = await writeWithTwo(await openPooled('session'));
    for (const store of stores)
      for (let number = 0; number < WRITES; number++)
        expect(await readChain(store, `n${number}-1`)).toHaveLength(1);
  });

  test('with a session for each transaction, a request is refused and names the setting to change', async () => {
    const open = await openPooled('transaction');
    await expect(writeWithTwo(open)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'database_denied',
      message: expect.stringContaining('pool_mode = session'),
    });
  });
});
