/** A real redis-server on loopback, with a password, users with other permissions, and a port with TLS. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from '../remove_folder.ts';
import { issueCertificate } from '../upstream/certificates.ts';
import { freePort } from './ports.ts';

/** Debian package `redis-server`. In CI it is installed, so that no test is skipped there. */
export const CAN_RUN_REDIS: boolean =
  process.env.CI !== undefined || spawnSync('redis-server', ['--version']).status === 0;

export interface RedisServer {
  readonly port: number;
  /** With a certificate of the test CA for `localhost`. */
  readonly tls_port: number;
  stop(): Promise<void>;
}

/** `config`: further lines of `redis.conf`. Ready when it resolves. */
export async function startRedis(config: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-redis-'));
  const { cert, key } = issueCertificate(['localhost']);
  writeFileSync(join(folder, 'cert.pem'), cert);
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 });
  const [port, tls_port] = [await freePort(), await freePort()];
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `tls-port ${tls_port}`,
    `tls-cert-file ${folder}/cert.pem`,
    `tls-key-file ${folder}/key.pem`,
    'tls-auth-clients no',
    `dir ${folder}`,
    'save ""',
    'databases 4',
    ...config,
  ];
  // The configuration is read from the standard input.
  const child = spawn('redis-server', ['-'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin.end(`${lines.join('\n')}\n`);
  await ready(child);
  return {
    port,
    tls_port,
    async stop() {
      child.kill('SIGKILL');
      await exited;
      await removeFolder(folder);
    },
  };
}

async function ready(child: ChildProcess): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (output.includes('Ready to accept connections')) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`redis-server ended: ${output}`)));
  });
}
