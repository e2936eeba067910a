/**
 * PostgreSQL implementation of `TestDatabase`: a database per home on the server that `test/kit/global_setup.ts` starts for
 * the whole run. The databases of a worker are used again by its next tests, because a new one takes longer than an empty schema.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { POSTGRESQL_OWNER, PSQL } from '../servers/postgresql.ts';
import type {
  AuditChainRow,
  AuditEntryRow,
  HeaderRow,
  RecordRow,
  TestDatabase,
  TestEngine,
} from './database.ts';
import { TABLES } from './tables.ts';

/** Of the server of this run; see `test/kit/global_setup.ts`. */
const { KEYHOLD_TEST_POSTGRES_PORT: PORT = '', KEYHOLD_TEST_POSTGRES_DATA: DATA_FOLDER = '' } = process.env;
/** The role of the vaults. It owns their databases and may do nothing else. */
export const VAULT_ROLE = 'vault';

/** Databases by home. Those of a home that was removed are free for the next one. */
const databases = new Map<string, string>();
const free: string[] = [];
let created = 0;

/** The tables of 64-bit integers as numbers. */
const INT8_OID = 20;

export const postgresEngine: TestEngine = {
  is_remote: true,
  open: (home) => openPostgresDatabase(databaseOf(home)),
  settings: (home) => ({ KEYHOLD_STORE: `postgres://${VAULT_ROLE}@127.0.0.1:${PORT}/${databaseOf(home)}` }),
  copy: async (home, to_home) => {
    const [from, to] = [databaseOf(home), databaseOf(to_home)];
    // A database with connections cannot be copied. An open vault connects again when it needs to.
    execute(
      `DROP DATABASE ${to} WITH (FORCE);
      ALTER DATABASE ${from} ALLOW_CONNECTIONS false;
      SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${from}';
      CREATE DATABASE ${to} TEMPLATE ${from} OWNER ${VAULT_ROLE};
      ALTER DATABASE ${from} ALLOW_CONNECTIONS true`,
    );
  },
  forget: (folder) => {
    for (const [home, database] of databases) {
      if (home !== folder && !home.startsWith(folder + path.sep)) continue;
      databases.delete(home);
      free.push(database);
    }
  },
};

/** The empty database of a home, on first use. Synchronous, because settings are. */
function databaseOf(home: string): string {
  const known = databases.get(home);
  if (known !== undefined) return known;
  // The pool id is unique among the workers that run at the same time.
  const database = free.shift() ?? `vault_${process.env.VITEST_POOL_ID ?? 0}_${++created}`;
  databases.set(home, database);
  execute(
    `SELECT 'CREATE DATABASE ${database} OWNER ${VAULT_ROLE}'
      WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '${database}') \\gexec
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}';
    \\c ${database}
    DROP SCHEMA IF EXISTS keyhold CASCADE`,
  );
  return database;
}

function execute(statements: string, database = 'postgres'): string {
  const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', PORT];
  return execFileSync(PSQL, [...args, '-U', POSTGRESQL_OWNER, '-d', database], {
    input: statements,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PGOPTIONS: '-c client_min_messages=warning' },
  }).trim();
}

async function connect(database: string): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port: Number(PORT), database, user: POSTGRESQL_OWNER });
  client.setTypeParser(INT8_OID, Number);
  // The server may end the connection with the database.
  client.on('error', () => undefined);
  await client.connect();
  await client.query('SET search_path = keyhold');
  return client;
}

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
  async function transaction<Result>(act: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = await connect(database);
    try {
      await client.query('BEGIN');
      const result = await act(client);
      await client.query('COMMIT');
      return result;
    } finally {
      await client.end();
    }
  }
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
      const client = await connect(database);
      await client.query(`BEGIN; LOCK TABLE ${TABLES.join(', ')} IN EXCLUSIVE MODE`);
      return async () => {
        await client.query('ROLLBACK');
        await client.end();
      };
    },
    exists: () => execute("SELECT to_regnamespace('keyhold')", database) !== '',
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

/** The rows name their columns, so a column that was added to the table is written as it was read. */
async function insertAll(client: pg.Client, table: string, rows: readonly object[]): Promise<void> {
  for (const row of rows) {
    const columns = Object.keys(row);
    const parameters = columns.map((_, at) => `$${at + 1}`);
    await client.query(
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${parameters.join(', ')})`,
      Object.values(row),
    );
  }
}
