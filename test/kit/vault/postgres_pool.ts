/**
 * The databases of the vaults of tests, on the server that `test/kit/postgres_setup.ts` starts for the whole run. A database is
 * emptied and used again when its home is removed: a new one, new tables and new connections take most of the time of a short test.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import pg from 'pg';
import { POSTGRESQL_OWNER, PSQL } from '../servers/postgresql.ts';
import { TABLES } from './tables.ts';

/** Of the server of this run. */
const { KEYHOLD_TEST_POSTGRES_PORT: PORT = '' } = process.env;
/** The role of the vaults. It owns their databases and may do nothing else. */
export const VAULT_ROLE = 'vault';

/** Databases by home. */
const databases = new Map<string, string>();
/** Databases that are empty. */
const free: string[] = [];
const clients = new Map<string, Promise<pg.Client>>();
/** The last use of each shared connection. */
const uses = new Map<string, Promise<unknown>>();
let created = 0;

/** The tables of 64-bit integers as numbers. */
const INT8_OID = 20;

export function urlOf(home: string): string {
  return `postgres://${VAULT_ROLE}@127.0.0.1:${PORT}/${databaseOf(home)}`;
}

/** The empty database of a home, on first use. Synchronous, because settings are. */
export function databaseOf(home: string): string {
  const known = databases.get(home);
  if (known !== undefined) return known;
  const database = free.shift() ?? createDatabase();
  databases.set(home, database);
  return database;
}

/** The worker that had this number before may have left a database. */
function createDatabase(): string {
  // The pool id is unique among the workers that run at the same time.
  const database = `vault_${process.env.VITEST_POOL_ID ?? 0}_${++created}`;
  execute(
    `SELECT 'CREATE DATABASE ${database} OWNER ${VAULT_ROLE}'
      WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '${database}') \\gexec
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${database}';
    \\c ${database}
    SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = '${database}' \\gexec
    DROP SCHEMA IF EXISTS keyhold CASCADE`,
  );
  return database;
}

export async function copyDatabase(home: string, to_home: string): Promise<void> {
  const [from, to] = [databaseOf(home), databaseOf(to_home)];
  // A database with connections cannot be copied. An open vault connects again when it needs to.
  execute(
    `DROP DATABASE ${to} WITH (FORCE);
    ALTER DATABASE ${from} ALLOW_CONNECTIONS false;
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${from}';
    CREATE DATABASE ${to} TEMPLATE ${from} OWNER ${VAULT_ROLE};
    ALTER DATABASE ${from} ALLOW_CONNECTIONS true`,
  );
  for (const database of [from, to]) clients.delete(database);
}

/** Empties the databases of the homes in a folder that was removed. */
export async function releaseDatabases(folder: string): Promise<void> {
  for (const [home, database] of databases) {
    if (home !== folder && !home.startsWith(folder + path.sep)) continue;
    databases.delete(home);
    await useShared(database, makeEmpty);
    free.push(database);
  }
}

async function makeEmpty(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
  );
  for (const { gid } of rows) await client.query(`ROLLBACK PREPARED '${gid}'`);
  await client.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  // The tables of a test that has changed them, or has created none, are dropped.
  const tables = TABLES.map((table) => `keyhold.${table}`).join(', ');
  await client
    .query(`TRUNCATE ${tables}; ALTER SEQUENCE keyhold.record_seq RESTART`)
    .catch(() => client.query('DROP SCHEMA IF EXISTS keyhold CASCADE'));
}

/** Runs psql with the rights of the owner of the server. */
export function execute(statements: string, database = 'postgres'): string {
  const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', PORT];
  return execFileSync(PSQL, [...args, '-U', POSTGRESQL_OWNER, '-d', database], {
    input: statements,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PGOPTIONS: '-c client_min_messages=warning' },
  }).trim();
}

/** A connection with the rights of the owner of the server. */
async function connect(database: string): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port: Number(PORT), database, user: POSTGRESQL_OWNER });
  client.setTypeParser(INT8_OID, Number);
  // The server may end the connection with the database.
  client.on('error', () => clients.delete(database));
  client.on('end', () => clients.delete(database));
  await client.connect();
  await client.query('SET search_path = keyhold');
  return client;
}

/** Uses the connection that the tests of this worker share, one after the other. */
export async function useShared<Result>(
  database: string,
  act: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const use = (uses.get(database) ?? Promise.resolve()).then(async () => {
    const client = clients.get(database) ?? connect(database);
    clients.set(database, client);
    return act(await client);
  });
  uses.set(
    database,
    use.catch(() => undefined),
  );
  return use;
}
