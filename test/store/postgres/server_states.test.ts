/**
 * The PostgreSQL store with a server that waits for a standby, is slow, has other defaults or whose disk is full, and with rows that
 * another program wrote.
 */
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { openPostgres, type PostgresStore } from '../../../src/store/postgres/store.ts';
import type { Batch } from '../../../src/store/store.ts';
import { NO_DISKS, smallDisk } from '../../kit/file_system.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  POSTGRESQL_USER_ID,
  type PostgresqlServer,
  requireStandby,
} from '../../kit/servers/postgresql.ts';
import { startTcpProxy } from '../../kit/servers/tcp_proxy.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { entry, HEADER, put, readChain, record, remove } from '../store_kit.ts';

const DISK_KIB = 24 * 1024;

async function openNew(database: string, outage_timeout_ms?: number): Promise<PostgresStore> {
  const { port } = await sharedPostgresql();
  const options = postgresOptions(port, database);
  const store = openPostgres(outage_timeout_ms === undefined ? options : { ...options, outage_timeout_ms });
  onTestFinished(() => store.close());
  await store.create(HEADER, { writes: [], audit: [] });
  return store;
}

const batch = (name: string, revision = 0): Batch => ({
  writes: [put(name, revision)],
  audit: [entry('o', `${name} ${revision + 1}`)],
});

/** Cancels the wait of the next commit of the store, as an operator may who finds a session that hangs. */
async function cancelWait(server: PostgresqlServer): Promise<void> {
  const waiting =
    "SELECT pg_cancel_backend(pid) AS is_canceled FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'keyhold'";
  await expect
    .poll(async () => (await server.query(waiting))[0]?.is_canceled, { timeout: 10_000, interval: 20 })
    .toBe(true);
}

describe.skipIf(NO_POSTGRESQL)('a commit whose wait for the synchronous standby was canceled', () => {
  afterAll(async () => {
    await requireStandby(await sharedPostgresql(), '');
  });

  test('is not acknowledged while the standby has not confirmed it, although the primary has it', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = await openNew(database, 1_000);
    await store.commit(batch('a'));
    await requireStandby(server, 'missing');
    const write = store.commit(batch('a', 1));
    const settled = write.then(
      () => 'acknowledged',
      (error: unknown) => error,
    );
    await cancelWait(server);
    expect(await settled).toMatchObject({ code: 'UNAVAILABLE', reason: 'outcome_unknown' });
    expect(await server.query('SELECT 1 FROM keyhold.audit_entry', database)).toHaveLength(2);
    await requireStandby(server, '');
  });

  test('is acknowledged, and not made twice, once later commits are confirmed', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = await openNew(database);
    await store.commit(batch('a'));
    await requireStandby(server, 'missing');
    let planned = 0;
    const write = store.change([], () => {
      planned += 1;
      return { batch: batch('a', 1), result: 'written' };
    });
    await cancelWait(server);
    await requireStandby(server, '');
    expect(await write).toBe('written');
    expect(planned).toBe(1);
    expect(await readChain(store, 'o')).toEqual(['a 1', 'a 2']);
  });
});

describe.skipIf(NO_POSTGRESQL)('a server whose disk is full', () => {
  test('refuses writes with disk_full, loses none that it acknowledged, and takes them again once there is space', {
    timeout: 120_000,
  }, async ({ skip }) => {
    const disk = smallDisk(DISK_KIB) ?? skip(NO_DISKS);
    const server = await sharedPostgresql();
    const folder = join(disk.path, 'tablespace');
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, POSTGRESQL_USER_ID, POSTGRESQL_USER_ID);
    await server.execute(`CREATE TABLESPACE small LOCATION '${folder}'`);
    await server.execute('CREATE DATABASE small TABLESPACE small');
    const store = await openNew('small');
    await store.commit(batch('first'));
    disk.fill();
    const acknowledged = ['first'];
    let failure: unknown;
    while (failure === undefined) {
      const names = Array.from({ length: 50 }, (_, at) => `${acknowledged.length + at}`);
      const outcomes = await Promise.allSettled(names.map((name) => store.commit(batch(name))));
      for (const [at, outcome] of outcomes.entries())
        if (outcome.status === 'fulfilled') acknowledged.push(names[at] ?? '');
        else failure = outcome.reason;
    }
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'disk_full' });
    expect(failure instanceof VaultError && failure.message).toMatch(/Free some space on its server/);
    const expectWhole = async () => {
      const chain = await readChain(store, 'o');
      expect(chain.toSorted()).toEqual(acknowledged.map((name) => `${name} 1`).toSorted());
      expect(await server.query('SELECT 1 FROM keyhold.record', 'small')).toHaveLength(acknowledged.length);
    };
    await expectWhole();
    expect(await store.isReady()).toBe(true);
    disk.free();
    await store.commit(batch('last'));
    acknowledged.push('last');
    await expectWhole();
  });
});

describe.skipIf(NO_POSTGRESQL)('a statement that takes too long', () => {
  test('is reported with statement_timeout if the server canceled it, and the write can be repeated', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = await openNew(database);
    await store.commit(batch('a'));
    const login = { user: POSTGRESQL_OWNER, password: POSTGRESQL_OWNER_PASSWORD };
    const other = new pg.Client({ host: '127.0.0.1', port: server.port, database, ...login });
    await other.connect();
    onTestFinished(() => other.end());
    await server.execute(`ALTER DATABASE ${database} SET statement_timeout = '300ms'`);
    const limited = openPostgres(postgresOptions(server.port, database));
    onTestFinished(() => limited.close());
    await other.query('BEGIN');
    await other.query('LOCK TABLE keyhold.record IN ACCESS EXCLUSIVE MODE');
    const canceled = {
      code: 'UNAVAILABLE',
      reason: 'busy',
      message: expect.stringContaining('statement_timeout'),
    };
    await expect(limited.commit(batch('b'))).rejects.toMatchObject(canceled);
    await expect(limited.get(record('a', 1).id)).rejects.toMatchObject(canceled);
    await other.query('ROLLBACK');
    await limited.commit(batch('b'));
    expect(await readChain(store, 'o')).toEqual(['a 1', 'b 1']);
  });

  test('is reported as such past the time limit of the store, and not with advice about hosts and ports', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    await openNew(database);
    const proxy = await startTcpProxy(server.port);
    const store = openPostgres({ ...postgresOptions(proxy.port, database), outage_timeout_ms: 300 });
    onTestFinished(async () => {
      await store.close();
      await proxy.close();
    });
    expect(await store.get(record('a', 1).id)).toBeUndefined();
    proxy.holdResponses();
    await expect(store.get(record('a', 1).id)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'database_unreachable',
      message: expect.stringMatching(/did not finish a statement in time.*load/),
    });
    proxy.cut();
    expect(await store.get(record('a', 1).id)).toBeUndefined();
  });
});

test.skipIf(NO_POSTGRESQL)(
  'a vault opens, reads and writes if the default of its database for bytea_output is escape',
  async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    await server.execute(`ALTER DATABASE ${database} SET bytea_output = 'escape'`);
    const store = await openNew(database);
    await store.commit(batch('a'));
    expect(await store.header()).toEqual(HEADER);
    expect(await store.get(record('a', 1).id)).toEqual(record('a', 1));
    expect(await readChain(store, 'o')).toEqual(['a 1']);
  },
);

describe.skipIf(NO_POSTGRESQL)('a record to which another program gave', () => {
  test.each([0, -1])('the revision %d can be deleted, and is not replaced by a new one', async (revision) => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = await openNew(database);
    await store.commit(batch('a'));
    await server.execute(`UPDATE keyhold.record SET revision = ${revision}`, database);
    const conflict = { code: 'CONFLICT' };
    await expect(store.commit(batch('a'))).rejects.toMatchObject(conflict);
    await expect(store.commit({ writes: [remove('a', 1)], audit: [] })).rejects.toMatchObject(conflict);
    expect((await store.get(record('a', 1).id))?.revision).toBe(revision);
    await store.commit({ writes: [remove('a', revision)], audit: [entry('o', 'removed')] });
    expect(await store.get(record('a', 1).id)).toBeUndefined();
    await store.commit(batch('a'));
    expect(await readChain(store, 'o')).toEqual(['a 1', 'removed', 'a 1']);
  });
});
