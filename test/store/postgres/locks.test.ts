/** The PostgreSQL store while another program keeps a lock, and with a scope that has many records. */
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import { createDatabase, NO_POSTGRESQL } from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { bytesOf, entry, HEADER, none, put, readChain } from '../store_kit.ts';

const RECORDS = 20_000;
const CHECK_MS = 5_000;

async function openNew() {
  const server = await sharedPostgresql();
  const database = await createDatabase(server);
  const options = postgresOptions(server.port, database);
  const store = openPostgres(options);
  onTestFinished(() => store.close());
  await store.create(HEADER, { writes: [], audit: [] });
  return { server, database, options, store };
}

describe.skipIf(NO_POSTGRESQL)('an organization that another program has locked', () => {
  test('is written after the lock was released, and delays the writes of others by seconds only', {
    timeout: 60_000,
  }, async () => {
    const { options, store } = await openNew();
    const write = (organization: string, name: string) =>
      store.commit({ writes: [put(name, 0)], audit: [entry(organization, name)] });
    await Promise.all([write('locked', 'a'), write('free', 'b')]);
    const client = new pg.Client({ ...options, ...options.hosts[0], password: await options.readPassword() });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM keyhold.audit_chain WHERE organization = $1 FOR UPDATE', [
      bytesOf('locked'),
    ]);

    const outcomes: string[] = [];
    const locked = Array.from({ length: 10 }, (_, at) =>
      write('locked', `locked ${at}`).then(
        () => outcomes.push('written'),
        ({ reason }) => outcomes.push(String(reason)),
      ),
    );
    for (let at = 0; at < 3; at++) {
      const began_ms = performance.now();
      await Promise.all([write('free', `free ${at}`), write('free', `more ${at}`)]);
      expect(performance.now() - began_ms).toBeLessThan(8_000);
    }
    expect(outcomes).toEqual([]);
    await client.query('ROLLBACK');
    await Promise.all(locked);
    expect(outcomes).toEqual(Array(10).fill('written'));
    expect(await readChain(store, 'locked')).toHaveLength(11);
  });
});

describe.skipIf(NO_POSTGRESQL)('a scope with many records', () => {
  test('is refused as not empty without blocking the process', { timeout: 60_000 }, async () => {
    const { server, database, store } = await openNew();
    await server.execute(
      `INSERT INTO keyhold.record (id, seq, kind, organization, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
        SELECT decode(md5('id' || n), 'hex'), n, 'test', '\\x00', '\\x${bytesOf('scope').toString('hex')}',
          decode(md5('index' || n), 'hex'), 1, 1, '', '' FROM generate_series(1, ${RECORDS}) n`,
      database,
    );
    const began_ms = performance.now();
    const change = store.commit({ writes: [none('scope')], audit: [entry('o', 'a')] });
    await expect(change).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(performance.now() - began_ms).toBeLessThan(CHECK_MS);
  });
});
