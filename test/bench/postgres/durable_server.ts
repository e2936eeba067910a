/** A PostgreSQL server that flushes its log at each commit, with databases of vaults that one root key opens. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type PostgresqlServer, startPostgresql } from '../../kit/servers/postgresql.ts';

const ROLE = 'keyhold';
const PASSWORD = 'bench-password-7c1d';

export interface DurableServer {
  /** Creates a database and a vault in it. `program`: the built keyhold.js. Returns the environment of a node. */
  createVault(database: string, program: string): Promise<NodeEnvironment>;
  /** A connection of plain `pg`. */
  connect(database: string, is_pipelined: boolean): Promise<pg.Client>;
  stop(): Promise<void>;
}

export interface NodeEnvironment {
  readonly KEYHOLD_HOME: string;
  readonly KEYHOLD_STORE: string;
  readonly KEYHOLD_ROOT_KEY: string;
  readonly KEYHOLD_STORE_PASSWORD: string;
}

/** The settings that durability depends on; the test kit disables the first for speed. */
const DURABLE = ['fsync=on', 'synchronous_commit=on', 'full_page_writes=on'];

export async function startDurableServer(folder: string): Promise<DurableServer> {
  const rules = ['host all all 127.0.0.1/32 scram-sha-256', 'local all all scram-sha-256'];
  const server = await startPostgresql(rules, undefined, DURABLE);
  const [durable] = await server.query("SELECT current_setting('fsync') AS fsync");
  if (durable?.fsync !== 'on') throw new Error('the server would not flush its log');
  await server.execute(`CREATE ROLE ${ROLE} LOGIN PASSWORD '${PASSWORD}'`);
  return {
    createVault: (database, program) => createVault(server, join(folder, database), database, program),
    connect: (database, is_pipelined) => connect(server.port, database, is_pipelined),
    stop: () => server.stop(),
  };
}

async function createVault(server: PostgresqlServer, home: string, database: string, program: string) {
  await server.execute(`CREATE DATABASE ${database} OWNER ${ROLE}`);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const environment: NodeEnvironment = {
    KEYHOLD_HOME: home,
    KEYHOLD_STORE: `postgres://${ROLE}@127.0.0.1:${server.port}/${database}`,
    KEYHOLD_ROOT_KEY: `file:${join(home, 'root.key')}`,
    KEYHOLD_STORE_PASSWORD: PASSWORD,
  };
  const env = { ...process.env, ...environment };
  execFileSync(process.execPath, [program, 'init'], { env, stdio: 'ignore' });
  return environment;
}

async function connect(port: number, database: string, pipeline: boolean): Promise<pg.Client> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    database,
    user: ROLE,
    password: PASSWORD,
    ...(pipeline ? { pipeline } : {}),
  });
  await client.connect();
  return client;
}
