/** PostgreSQL implementation of `TestDatabase`: a database per home. */
import fs from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import type {
  AuditChainRow,
  AuditEntryRow,
  HeaderRow,
  RecordRow,
  TestDatabase,
  TestEngine,
} from './database.ts';
import {
  copyDatabase,
  databaseOf,
  execute,
  releaseDatabases,
  urlOf,
  useShared,
  VAULT_ROLE,
} from './postgres_pool.ts';
import { TABLES } from './tables.ts';

/** Of the server of this run; see `test/kit/postgres_setup.ts`. */
const { KEYHOLD_TEST_POSTGRES_DATA: DATA_FOLDER = '' } = process.env;

export const postgresEngine: TestEngine = {
  is_remote: true,
  open: (home) => openPostgresDatabase(databaseOf(home)),
  settings: (home) => ({ KEYHOLD_STORE: urlOf(home) }),
  copy: copyDatabase,
  forget: releaseDatabases,
};

interface Chain {
  readonly number: number;
  readonly organization: Buffer;
}

/** In the order of their first entries. */
async function readChains(client: pg.Client): Promise<Chain[]> {
  const { rows } = await client.query<Chain>(`
    SELECT row_number() OVER (ORDER BY e.xmin::text::bigint, e.ctid)::integer AS number, organization
    FROM audit_chain FULL JOIN (
      SELECT DISTINCT ON (organization) organization, xmin, ctid FROM audit_entry ORDER BY organization, position
    ) e USING (organization)`);
  return rows;
}

function openPostgresDatabase(database: string): TestDatabase {
  const transaction = <Result>(act: (client: pg.Client) => Promise<Result>) =>
    useShared(database, async (client) => {
      await client.query('BEGIN');
      try {
        const result = await act(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      }
    });
  const readAll = <Row extends object>(query: string) =>
    transaction(async (client) => (await client.query<Row>(query)).rows);
  const replaceAll = (table: string, rows: readonly object[]) =>
    transaction(async (client) => {
      await client.query(`DELETE FROM ${table}`);
      await insertAll(client, table, rows);
    });

  return {
    records: () => readAll<RecordRow>('SELECT * FROM record ORDER BY seq'),
    auditEntries: () => transaction(readEntries),
    auditChains: () => transaction(readChains),
    wrappedKeys: () => readAll('SELECT * FROM wrapped_key ORDER BY owner, version'),
    header: async () => (await readAll<HeaderRow>('SELECT * FROM vault'))[0],
    replaceRecords: (rows, deleted_seqs = []) =>
      transaction(async (client) => {
        const seqs = [...deleted_seqs, ...rows.map(({ seq }) => seq)];
        await client.query('DELETE FROM record WHERE seq = ANY($1)', [seqs]);
        await insertAll(client, 'record', rows);
      }),
    replaceAuditEntries: (rows) => transaction((client) => replaceEntries(client, rows)),
    replaceAuditChains: (rows) => transaction((client) => replaceChains(client, rows)),
    replaceWrappedKeys: (rows) => replaceAll('wrapped_key', rows),
    replaceHeader: (row) => replaceAll('vault', row === undefined ? [] : [row]),
    dropTable: (table) => transaction(async (client) => void (await client.query(`DROP TABLE ${table}`))),
    schema: () =>
      readAll(`SELECT table_name, column_name, data_type, is_nullable, indexdef FROM information_schema.columns
        LEFT JOIN pg_indexes ON tablename = table_name AND schemaname = table_schema
        WHERE table_schema = 'keyhold' ORDER BY table_name, column_name, indexdef`),
    lockForWriting: async () => {
      // A prepared transaction keeps its locks without a connection. Synchronous: this process writes nothing meanwhile.
      const lock = `LOCK TABLE ${TABLES.map((table) => `keyhold.${table}`).join(', ')} IN EXCLUSIVE MODE`;
      execute(`BEGIN; ${lock}; PREPARE TRANSACTION '${database}'`, database);
      return async () => void execute(`ROLLBACK PREPARED '${database}'`, database);
    },
    exists: () => useShared(database, hasData),
    deleteAll: async () => void execute('DROP SCHEMA keyhold CASCADE', database),
    makeUnreadable: async () => {
      const foreign = 'CREATE SCHEMA keyhold; CREATE TABLE keyhold.other (id integer)';
      execute(`DROP SCHEMA IF EXISTS keyhold CASCADE; ${foreign}`, database);
    },
    isClosedCleanly: () => execute(connectionsOf(database)) === '0',
    // The log of the server is shared by all databases, and none of them can shorten it.
    pendingBytes: async () => 0,
    bytesAtRest: async () => readTableFiles(database),
  };
}

function connectionsOf(database: string): string {
  return `SELECT count(*) FROM pg_stat_activity WHERE datname = '${database}' AND usename = '${VAULT_ROLE}'`;
}

/** The files of the tables and indexes, after everything was written to them. */
function readTableFiles(database: string): Map<string, Buffer> {
  const relations = execute(
    `CHECKPOINT;
    SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 'i', 't')
      AND (relnamespace = 'keyhold'::regnamespace OR oid IN (SELECT reltoastrelid FROM pg_class
        WHERE relnamespace = 'keyhold'::regnamespace))`,
    database,
  );
  const files = relations.split('\n').map((line) => line.split('|'));
  return new Map(
    files.map(([name = '', file = '']) => [name, fs.readFileSync(path.join(DATA_FOLDER, file))]),
  );
}

/** Whether a table has rows, or is missing in a schema that exists. */
async function hasData(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query("SELECT to_regnamespace('keyhold') IS NOT NULL AS exists");
  if (rows[0]?.exists !== true) return false;
  const has_rows = TABLES.map((table) => `EXISTS (SELECT FROM ${table})`).join(' OR ');
  const { rows: found } = await client
    .query(`SELECT ${has_rows} AS exists`)
    .catch(() => ({ rows: [{ exists: true }] }));
  return found[0]?.exists === true;
}

type StoredEntry = Omit<AuditEntryRow, 'chain'> & Pick<Chain, 'organization'>;

async function readEntries(client: pg.Client): Promise<AuditEntryRow[]> {
  const chains = await readChains(client);
  const { rows } = await client.query<StoredEntry>(`
    SELECT e.organization, e.position, e.key_version, e.sealed, e.link,
      coalesce(c.head_mac, decode(repeat('00', 32), 'hex')) AS head_mac
    FROM audit_entry e LEFT JOIN audit_chain c USING (organization, position)`);
  const entries = rows.map(({ organization, ...entry }) => ({
    chain: chains.find((one) => one.organization.equals(organization))?.number ?? 0,
    ...entry,
  }));
  return entries.toSorted((a, b) => a.chain - b.chain || a.position - b.position);
}

/** The row of each chain becomes that of its last entry. */
async function replaceEntries(client: pg.Client, rows: readonly AuditEntryRow[]): Promise<void> {
  const chains = await readChains(client);
  await client.query('DELETE FROM audit_entry; DELETE FROM audit_chain');
  for (const { number, organization } of chains) {
    const own = rows.filter(({ chain }) => chain === number).toSorted((a, b) => a.position - b.position);
    await insertAll(
      client,
      'audit_entry',
      own.map(({ chain, head_mac, ...entry }) => ({ organization, ...entry })),
    );
    const last = own.at(-1);
    if (last === undefined) continue;
    const { position, link, head_mac } = last;
    await insertAll(client, 'audit_chain', [{ organization, position, link, head_mac }]);
  }
}

/** A chain without a row loses its head; one with a number that has no entries loses its entries. */
async function replaceChains(client: pg.Client, rows: readonly AuditChainRow[]): Promise<void> {
  const chains = await readChains(client);
  for (const { number, organization } of chains) {
    const row = rows.find((one) => one.number === number);
    const is_renumbered = rows.some((one) => one.organization.equals(organization));
    if (row?.organization.equals(organization)) continue;
    if (row !== undefined) {
      for (const table of ['audit_entry', 'audit_chain'])
        await client.query(`UPDATE ${table} SET organization = $1 WHERE organization = $2`, [
          row.organization,
          organization,
        ]);
    } else {
      const table = is_renumbered ? 'audit_entry' : 'audit_chain';
      await client.query(`DELETE FROM ${table} WHERE organization = $1`, [organization]);
    }
  }
}

const ROWS_AT_ONCE = 1_000;

/** The rows name their columns, so a column that was added to the table is written as it was read. */
async function insertAll(client: pg.Client, table: string, rows: readonly object[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {});
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const values = rows.slice(from, from + ROWS_AT_ONCE).map((row) => Object.values(row));
    const parameters = values.map(
      (row, at) => `(${row.map((_, column) => `$${at * columns.length + column + 1}`).join(', ')})`,
    );
    await client.query(
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${parameters.join(', ')}`,
      values.flat(),
    );
  }
}
