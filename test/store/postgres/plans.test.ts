/** The plans of statements in a new database, whose tables have no statistics yet. */
import { describe, expect, test } from 'vitest';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import { createDatabase, NO_POSTGRESQL } from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { bytesOf, entry, HEADER, put, record } from '../store_kit.ts';

const WRITES = 40;
const SCANS = `SELECT relname, seq_tup_read::integer AS rows_of_scans, idx_scan::integer AS index_scans
  FROM pg_stat_user_tables WHERE relname IN ('record', 'audit_entry') ORDER BY relname`;

describe.skipIf(NO_POSTGRESQL)('the statements of a store in a new PostgreSQL database', () => {
  test('never scan the whole table of records or of audit entries', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = openPostgres(postgresOptions(server.port, database));
    await store.create(HEADER, { writes: [], audit: [] });
    for (let at = 0; at < WRITES; at++) {
      const name = `n${at}`;
      await store.commit({ writes: [put(name, 0)], audit: [entry('o', name)] });
      await store.commit({ writes: [put(name, 1)], audit: [entry('o', `${name} again`)] });
      expect((await store.find(bytesOf(`index of ${name}`)))?.revision).toBe(2);
      expect((await store.get(record(name, 2).id))?.revision).toBe(2);
      expect(await store.auditHead(bytesOf('o'))).toBeDefined();
    }
    // The server adds the counts of a connection when it ends.
    await store.close();
    await expect
      .poll(async () => (await server.query(SCANS, database))[0]?.index_scans, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(WRITES);
    expect(await server.query(SCANS, database)).toEqual([
      { relname: 'audit_entry', rows_of_scans: 0, index_scans: expect.any(Number) },
      { relname: 'record', rows_of_scans: 0, index_scans: expect.any(Number) },
    ]);
  });
});
