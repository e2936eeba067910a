/** A vault in PostgreSQL and its nodes: processes of the built `keyhold serve`, each with a home folder of its own, as on several machines. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ServeProcess, startServeProcess } from '../http/http_server.ts';
import { createDatabase, POSTGRESQL_OWNER, type PostgresqlServer } from '../servers/postgresql.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../vault/temp_vault.ts';
import { runProgram } from './built_program.ts';

/** The server accepts local connections without a password. */
export const TRUST_RULES = ['local all all trust', 'host all all 127.0.0.1/32 trust'];

export interface DatabaseNodes {
  /** An API key of the user `me`. */
  readonly admin_key: string;
  /** Starts a node that ends with the test. */
  start(): Promise<ServeProcess>;
  /** Opens the vault in this process, as a further node with its own memory. */
  open(): Promise<TestVault>;
}

/** Creates a vault in a new database with `keyhold init`. `env`: of all nodes. */
export async function createDatabaseNodes(
  server: PostgresqlServer,
  env: NodeJS.ProcessEnv = {},
): Promise<DatabaseNodes> {
  const home = temporaryFolder();
  const database = await createDatabase(server);
  const shared = {
    ...env,
    KEYHOLD_STORE: `postgres://${POSTGRESQL_OWNER}@127.0.0.1:${server.port}/${database}`,
    KEYHOLD_ROOT_KEY: `file:${join(home, 'keys', 'root.key')}`,
  };
  const { code, stderr } = await runProgram(['init'], { env: { ...shared, KEYHOLD_HOME: home } });
  if (code !== 0) throw new Error(`keyhold init failed: ${stderr}`);
  return {
    admin_key: readFileSync(join(home, 'keys', 'admin.key'), 'utf8').trim(),
    start: () => startServeProcess({ home: temporaryFolder(), env: shared }),
    open: () => openTestVault(temporaryFolder(), shared, 'no'),
  };
}
