/** A MariaDB server on loopback, in a temporary folder. Without the program, its tests are skipped; in CI they fail. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { removeFolder } from '../remove_folder.ts';
import type { IssuedCertificate } from '../upstream/certificates.ts';
import { freePort } from './ports.ts';

export interface MariadbServer {
  readonly port: number;
  /** Runs statements as the administrator, over a socket in the folder. */
  execute(...statements: readonly string[]): Promise<void>;
  /** Replaces the certificate of a server with TLS. */
  useCertificate(certificate: IssuedCertificate): Promise<void>;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;
/** The server refuses to run as root. */
const ORDINARY_USER_ID = 65_534;

/** Debian package `mariadb-server`. Whether the tests are skipped: never in CI. */
export const NO_MARIADB: boolean =
  process.env.CI === undefined && spawnSync('mariadbd', ['--version']).status !== 0;

/** With TLS if it has a certificate. `settings`: further options of mariadbd. Ready when it resolves. */
export async function startMariadb(
  settings: readonly string[] = [],
  certificate?: IssuedCertificate,
): Promise<MariadbServer> {
  const ids = process.getuid?.() === 0 ? { uid: ORDINARY_USER_ID, gid: ORDINARY_USER_ID } : {};
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-mariadb-'));
  if (ids.uid !== undefined) chownSync(folder, ids.uid, ids.gid);
  const run = { ...ids, cwd: folder };
  const writeCertificate = ({ cert, key }: IssuedCertificate) => {
    for (const [name, text] of [
      ['server.crt', cert],
      ['server.key', key],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      if (ids.uid !== undefined) chownSync(join(folder, name), ids.uid, ids.gid);
    }
  };
  const data = join(folder, 'data');
  const install = ['--no-defaults', `--datadir=${data}`, '--skip-test-db'];
  execFileSync('mariadb-install-db', [...install, '--auth-root-authentication-method=normal'], {
    ...run,
    stdio: 'ignore',
  });
  if (certificate !== undefined) writeCertificate(certificate);
  const tls =
    certificate === undefined ? [] : [`--ssl-cert=${folder}/server.crt`, `--ssl-key=${folder}/server.key`];
  const [port, socket] = [await freePort(), join(folder, 'socket')];
  const options = [
    `--datadir=${data}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--socket=${socket}`,
    `--pid-file=${folder}/pid`,
    '--innodb-flush-method=nosync',
  ];
  const server = spawn('mariadbd', ['--no-defaults', ...options, ...tls, ...settings], {
    ...run,
    stdio: 'ignore',
  });
  const execute = (...statements: readonly string[]) => executeAt(socket, statements);
  await untilReady(server, () => execute('SELECT 1'));
  return {
    port,
    execute,
    async useCertificate(replaced) {
      writeCertificate(replaced);
      await execute('FLUSH SSL');
    },
    async stop() {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      await ended;
      await removeFolder(folder);
    },
  };
}

async function executeAt(socketPath: string, statements: readonly string[]): Promise<void> {
  const client = await mysql.createConnection({ socketPath, user: 'root' });
  try {
    for (const statement of statements) await client.query(statement);
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
