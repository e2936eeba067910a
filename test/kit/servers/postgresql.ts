/** A PostgreSQL server on loopback, in a temporary folder. Without the program, its tests are skipped; in CI they fail. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { removeFolder } from '../remove_folder.ts';
import type { IssuedCertificate } from '../upstream/certificates.ts';
import { freePort } from './ports.ts';

export interface PostgresqlServer {
  readonly port: number;
  /** The folder of its files. */
  readonly data: string;
  /** Runs statements as the owner of the server. */
  execute(statements: string, database?: string): Promise<void>;
  /** The rows of one statement, as the owner of the server. */
  query(statement: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Ends the server at once, without a checkpoint, and starts it again after `pause_ms`. */
  restart(pause_ms?: number): Promise<void>;
  stop(): Promise<void>;
}

export const POSTGRESQL_OWNER = 'owner';
export const POSTGRESQL_OWNER_PASSWORD = 'owner-password-5d1f';
const FOLDER = '/usr/lib/postgresql';
const READY_TIMEOUT_MS = 30_000;
/** The server refuses to run as root. */
export const POSTGRESQL_USER_ID = 65_534;

const binary_folder = existsSync(FOLDER)
  ? readdirSync(FOLDER)
      .map((version) => join(FOLDER, version, 'bin'))
      .find((folder) => existsSync(join(folder, 'initdb')))
  : undefined;

/** The path of psql. */
export const PSQL: string = join(binary_folder ?? '', 'psql');

/** Whether the tests are skipped: never in CI. */
export const NO_POSTGRESQL = binary_folder === undefined && process.env.CI === undefined;

/** `rules`: lines of pg_hba.conf. `more_settings`: as `name=value`. */
export async function startPostgresql(
  rules: readonly string[],
  certificate?: IssuedCertificate,
  more_settings: readonly string[] = [],
): Promise<PostgresqlServer> {
  if (binary_folder === undefined) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  const ids = process.getuid?.() === 0 ? { uid: POSTGRESQL_USER_ID, gid: POSTGRESQL_USER_ID } : {};
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-postgresql-'));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (ids.uid !== undefined) chownSync(path, ids.uid, ids.gid);
    return path;
  };
  if (ids.uid !== undefined) chownSync(folder, ids.uid, ids.gid);
  chmodSync(folder, 0o700);
  const password_file = write('password', POSTGRESQL_OWNER_PASSWORD);
  const data = join(folder, 'data');
  const options = ['-D', data, '-U', POSTGRESQL_OWNER, '-A', 'scram-sha-256', '--no-sync'];
  execFileSync(join(binary_folder, 'initdb'), [...options, `--pwfile=${password_file}`], {
    ...ids,
    cwd: folder,
    stdio: 'ignore',
  });
  write('data/pg_hba.conf', `${rules.join('\n')}\n`);
  const tls =
    certificate === undefined
      ? []
      : [
          'ssl=on',
          `ssl_cert_file=${write('server.crt', certificate.cert)}`,
          `ssl_key_file=${write('server.key', certificate.key)}`,
        ];
  const port = await freePort();
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    ...tls,
    ...more_settings,
  ];
  const program = join(binary_folder, 'postgres');
  const query = (statement: string, database = 'postgres') => queryAt(folder, port, database, statement);
  const execute = async (statements: string, database?: string) => {
    await query(statements, database);
  };
  const start = async () => {
    const settings_arguments = settings.flatMap((setting) => ['-c', setting]);
    const options = { ...ids, cwd: folder, stdio: 'ignore' } as const;
    const started = spawn(program, ['-D', data, '-F', ...settings_arguments], options);
    await untilReady(started, () => execute('SELECT 1'));
    return started;
  };
  const end = async () => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGQUIT');
    await ended;
  };
  let server = await start();
  const restart = async (pause_ms = 0) => {
    await end();
    await new Promise((resolve) => setTimeout(resolve, pause_ms));
    server = await start();
  };
  const stop = async () => {
    await end();
    await removeFolder(folder);
  };
  return { port, data, execute, query, restart, stop };
}

/** The owner needs no password on the socket, and one over TCP. */
export const PASSWORD_RULES: readonly string[] = [
  'local all all trust',
  'host all all 127.0.0.1/32 scram-sha-256',
];

/** Each commit then waits for a synchronous standby of this name; for none if it is empty. */
export async function requireStandby(server: PostgresqlServer, name: string): Promise<void> {
  await server.execute(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
  await server.execute('SELECT pg_reload_conf()');
}

let databases = 0;

/** Creates an empty database and resolves with its name. */
export async function createDatabase(server: PostgresqlServer): Promise<string> {
  databases += 1;
  const name = `test_${databases}`;
  await server.execute(`CREATE DATABASE ${name}`);
  return name;
}

/** Over the socket in the folder, whatever the rules for TCP are. */
async function queryAt(host: string, port: number, database: string, statements: string) {
  const client = new pg.Client({
    host,
    port,
    database,
    user: POSTGRESQL_OWNER,
    password: POSTGRESQL_OWNER_PASSWORD,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(statements);
    return rows;
  } finally {
    await client.end();
  }
}

async function untilReady(server: ChildProcess, attempt: () => Promise<void>): Promise<void> {
  const started = performance.now();
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (server.exitCode !== null || performance.now() - started > READY_TIMEOUT_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
