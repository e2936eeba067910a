/**
 * An OpenSSH server on loopback, in a temporary folder, with SFTP. As root it has a separate user with a password, removed at
 * the end; otherwise the user who runs the tests logs in with keys only. Without the program, its tests are skipped; in CI they
 * fail.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from '../remove_folder.ts';
import { freePort } from './ports.ts';

export interface SshdServer {
  readonly port: number;
  readonly username: string;
  /** The folder after the login, in which the user may write. */
  readonly home: string;
  /** A folder in which the user may not write. */
  readonly read_only: string;
  /** The log of the server since its start. */
  log(): string;
  /** With other settings, such as `host_keys`, on the same port. */
  restart(options: SshdOptions): Promise<void>;
  stop(): Promise<void>;
}

export interface SshdOptions {
  /** Host keys by name, made once per name. */
  readonly host_keys: readonly string[];
  /** More lines of sshd_config, which come first and so win. */
  readonly settings?: readonly string[];
  readonly has_sftp?: boolean;
}

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

const PROGRAM = '/usr/sbin/sshd';
/** Of root, which the server requires. */
const PRIVILEGE_SEPARATION_FOLDER = '/run/sshd';
const READY_TIMEOUT_MS = 10_000;
const ATTEMPTS_MAX = 20;
const is_root = process.getuid?.() === 0;
const is_installed = existsSync(PROGRAM);

/** Whether the tests are skipped: never in CI. */
export const NO_SSHD = !is_installed && process.env.CI === undefined;
/** Only root can make a user with a password. */
export const NO_SSH_PASSWORD = !is_root;

/** `password`: of the user, if the tests run as root. */
export async function startSshd(password: string, options: SshdOptions): Promise<SshdServer> {
  if (!is_installed) throw new Error('OpenSSH is not installed: apt-get install openssh-server');
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-sshd-'));
  // The server reads the authorized keys as the user who logs in.
  chmodSync(folder, 0o755);
  const { home, read_only } = { home: join(folder, 'home'), read_only: join(folder, 'read_only') };
  mkdirSync(home);
  mkdirSync(read_only);
  chmodSync(read_only, 0o555);
  const username = is_root ? addUser(home, password) : userInfo().username;
  writeFileSync(join(folder, 'authorized_keys'), '', { mode: 0o644 });
  if (is_root) {
    mkdirSync(PRIVILEGE_SEPARATION_FOLDER, { recursive: true, mode: 0o755 });
    chownSync(home, Number(execFileSync('id', ['-u', username])), 0);
  }
  const port = await freePort();
  let running = await startServer(folder, port, options);
  const end = () => running.end();
  return {
    port,
    username,
    home,
    read_only,
    log: () => running.log(),
    restart: async (changed) => {
      await end();
      running = await startServer(folder, port, changed);
    },
    stop: async () => {
      await end();
      if (is_root) retry(() => execFileSync('userdel', ['--force', username], { stdio: 'ignore' }));
      await removeFolder(folder);
    },
  };
}

/** The private key of a new pair in the format of OpenSSH, which the server accepts for its user. `options`: of ssh-keygen. */
export function authorizeKey(server: SshdServer, type: KeyType, options: readonly string[] = []): string {
  const folder = join(server.home, '..');
  const path = join(folder, `key-${randomBytes(4).toString('hex')}`);
  const passphrase = options.includes('-N') ? [] : ['-N', ''];
  execFileSync('ssh-keygen', ['-q', '-t', type, '-f', path, ...passphrase, ...options]);
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(`${path}.pub`), { flag: 'a' });
  return readFileSync(path, 'utf8');
}

/** As `ssh-keygen -lf` prints it. */
export function fingerprintOf(server: SshdServer, host_key: string): string {
  const path = join(server.home, '..', `host-${host_key}.pub`);
  return String(execFileSync('ssh-keygen', ['-lf', path])).split(' ')[1] ?? '';
}

/** `host_key`: `TYPE` or `TYPE-NAME`. */
function hostKeyFile(folder: string, host_key: string): string {
  const path = join(folder, `host-${host_key}`);
  const [type = ''] = host_key.split('-');
  if (!existsSync(path)) execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', path]);
  return path;
}

interface RunningServer {
  log(): string;
  end(): Promise<void>;
}

async function startServer(
  folder: string,
  port: number,
  { host_keys, settings = [], has_sftp = true }: SshdOptions,
): Promise<RunningServer> {
  const config = join(folder, 'sshd_config');
  const lines = [
    ...settings,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...host_keys.map((name) => `HostKey ${hostKeyFile(folder, name)}`),
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'KbdInteractiveAuthentication no',
    'PidFile none',
    'LogLevel DEBUG',
    ...(has_sftp ? [`Subsystem sftp internal-sftp -d ${join(folder, 'home')}`] : []),
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const server = spawn(PROGRAM, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  await untilListening(server, () => log);
  return {
    log: () => log,
    end: async () => {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGTERM');
      await ended;
    },
  };
}

async function untilListening(server: ChildProcess, log: () => string): Promise<void> {
  const started = performance.now();
  while (!log().includes('Server listening on')) {
    if (server.exitCode !== null || performance.now() - started > READY_TIMEOUT_MS)
      throw new Error(`sshd did not start: ${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function addUser(home: string, password: string): string {
  const name = `keyhold-${randomBytes(4).toString('hex')}`;
  const options = [
    '--system',
    '--no-create-home',
    '--no-user-group',
    '--shell',
    '/bin/sh',
    '--home-dir',
    home,
  ];
  retry(() => execFileSync('useradd', [...options, name], { stdio: 'ignore' }));
  retry(() =>
    execFileSync('chpasswd', { input: `${name}:${password}\n`, stdio: ['pipe', 'ignore', 'ignore'] }),
  );
  return name;
}

/** The files of users are locked while another process changes them. */
function retry(change: () => unknown): void {
  for (let attempt = 1; ; attempt++) {
    try {
      change();
      return;
    } catch (error) {
      if (attempt >= ATTEMPTS_MAX) throw error;
      execFileSync('sleep', ['0.2']);
    }
  }
}
