/** A real PgBouncer on loopback, in front of a PostgreSQL server. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from '../remove_folder.ts';
import { freePort } from './ports.ts';
import { POSTGRESQL_OWNER, POSTGRESQL_OWNER_PASSWORD, POSTGRESQL_USER_ID } from './postgresql.ts';

/** Debian package `pgbouncer`. In CI it is installed, so that no test is skipped there. */
export const CAN_RUN_PGBOUNCER: boolean =
  process.env.CI !== undefined || spawnSync('pgbouncer', ['--version']).status === 0;

const READY_TIMEOUT_MS = 10_000;

export interface Pooler {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Resolves when it accepts connections. `server_port`: of PostgreSQL. It refuses to run as root. For each transaction, all clients
 * share one session of the server.
 */
export async function startPgbouncer(
  server_port: number,
  pool_mode: 'session' | 'transaction',
): Promise<Pooler> {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-pgbouncer-'));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const users = join(folder, 'users.txt');
  const settings = join(folder, 'pgbouncer.ini');
  const lines = [
    '[databases]',
    `* = host=127.0.0.1 port=${server_port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${users}`,
    `pool_mode = ${pool_mode}`,
    ...(pool_mode === 'transaction' ? ['default_pool_size = 1'] : []),
  ];
  writeFileSync(users, `"${POSTGRESQL_OWNER}" "${POSTGRESQL_OWNER_PASSWORD}"\n`);
  writeFileSync(settings, `${lines.join('\n')}\n`);
  const ids = process.getuid?.() === 0 ? { uid: POSTGRESQL_USER_ID, gid: POSTGRESQL_USER_ID } : {};
  const child = spawn('pgbouncer', ['-q', settings], { ...ids, stdio: 'ignore' });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const started = performance.now();
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() - started > READY_TIMEOUT_MS)
      throw new Error('PgBouncer has not started');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await exited;
      removeFolder(folder);
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (is_open: boolean) => {
      socket.destroy();
      resolve(is_open);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
