/** A real IMAP server on loopback: Dovecot, with TLS from the start and one user. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeFolder } from '../remove_folder.ts';
import { issueCertificate } from '../upstream/certificates.ts';
import { freePort } from './ports.ts';

export const IMAP_USER = 'ana@example.com';
const START_TIMEOUT_MS = 20_000;

/** Debian package `dovecot-imapd`. It needs root, and in CI it is installed. */
export const CAN_RUN_DOVECOT: boolean =
  process.getuid?.() === 0 &&
  (process.env.CI !== undefined || spawnSync('dovecot', ['--version']).status === 0);

export interface DovecotServer {
  /** With a certificate of the test CA for `localhost`. */
  readonly port: number;
  stop(): Promise<void>;
}

/** Accepts connections when it resolves. */
export async function startDovecot(password: string): Promise<DovecotServer> {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-imap-'));
  chmodSync(folder, 0o755);
  const { cert, key } = issueCertificate(['localhost']);
  const port = await freePort();
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const users = file('users', `${IMAP_USER}:{PLAIN}${password}:65534:65534::/tmp::\n`);
  const config = file(
    'dovecot.conf',
    `protocols = imap
base_dir = ${folder}/run
state_dir = ${folder}
log_path = /dev/stderr
listen = 127.0.0.1
ssl = required
ssl_cert = <${file('cert.pem', cert)}
ssl_key = <${file('key.pem', key)}
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:${folder}/mail
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = ${users}
}
userdb {
  driver = passwd-file
  args = ${users}
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = ${port}
    ssl = yes
  }
}
`,
  );
  // In the foreground, so that it ends with this child.
  const child = spawn('dovecot', ['-F', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`dovecot failed: ${log}`);
    await sleep(50);
  }
  return {
    port,
    async stop() {
      child.kill('SIGTERM');
      await exited;
      await removeFolder(folder);
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false)).once('connect', () => resolve(socket.destroy().destroyed));
  });
}
