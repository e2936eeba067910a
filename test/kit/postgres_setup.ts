/**
 * Starts the PostgreSQL server that has the databases of the vaults, for all tests of a run on PostgreSQL. It is stopped after the
 * last test.
 */
import { type PostgresqlServer, startPostgresql } from './servers/postgresql.ts';
import { VAULT_ROLE } from './vault/postgres_pool.ts';

/**
 * A vault has two connections, and tests open many; a test that locks tables prepares a transaction. Nothing has to survive a
 * crash of the machine.
 */
const SETTINGS = [
  'max_connections=400',
  'max_prepared_transactions=10',
  'full_page_writes=off',
  'autovacuum=off',
  'max_wal_size=1GB',
  'wal_level=minimal',
  'max_wal_senders=0',
];

let server: PostgresqlServer | undefined;

export async function setup(): Promise<void> {
  // Called for each project of the configuration.
  if (process.env.KEYHOLD_TEST_POSTGRES_PORT !== undefined) return;
  server = await startPostgresql(
    ['local all all trust', 'host all all 127.0.0.1/32 trust'],
    undefined,
    SETTINGS,
  );
  await server.execute(`CREATE ROLE ${VAULT_ROLE} LOGIN`);
  process.env.KEYHOLD_TEST_POSTGRES_PORT = String(server.port);
  process.env.KEYHOLD_TEST_POSTGRES_DATA = server.data;
}

export async function teardown(): Promise<void> {
  await server?.stop();
}
