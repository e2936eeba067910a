/** The TLS certificate of a server is replaced while it runs, and only by one that can be used. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readTls, renewTls } from '../../src/app/background/tls_renewal.ts';
import { openListener } from '../../src/http/server/listener.ts';
import { collectingLog, type LogLine, startServeProcess } from '../kit/http/http_server.ts';
import { type IssuedCertificate, issueCertificate, TEST_CA_CERT } from '../kit/upstream/certificates.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const EVERY_MS = 20;
const SEVERAL_RUNS_MS = 300;
/** For a loaded machine. */
const WAIT = { timeout: 15_000 };
const RENEWED = 'TLS certificate renewed';
const KEPT = 'TLS certificate not renewed; the former one stays in use';

const newPair = () => issueCertificate(['127.0.0.1']);
const fingerprintOf = ({ cert }: IssuedCertificate) => new X509Certificate(cert).fingerprint256;

/** Certificates of the test kit have EC keys. */
function rsaKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Each file in one step. */
function write(folder: string, { cert, key }: Partial<IssuedCertificate>): void {
  for (const [name, content] of [
    ['cert.pem', cert],
    ['key.pem', key],
  ] as const) {
    if (content === undefined) continue;
    writeFileSync(join(folder, 'new'), content);
    renameSync(join(folder, 'new'), join(folder, name));
  }
}

async function connectTo(url: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), ca: TEST_CA_CERT, ...options }, () =>
      resolve(socket),
    );
    socket.once('error', reject);
    onTestFinished(() => void socket.destroy());
  });
}

/** Of the certificate that a new connection gets. The client verifies it. */
async function presented(url: string): Promise<string> {
  const socket = await connectTo(url);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function statusOn(socket: TLSSocket): Promise<string> {
  const response = new Promise<string>((resolve) => {
    socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1').split('\r\n')[0] ?? ''));
  });
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  return response;
}

/** A listener whose files are read every 20 ms. */
async function startRenewing(folder: string) {
  const files = { cert_path: join(folder, 'cert.pem'), key_path: join(folder, 'key.pem') };
  const pair = await readTls(files);
  const listener = await openListener({ host: '127.0.0.1', port: 0, behind_proxy: false, tls: pair });
  listener.serve(async () => new Response('ok'));
  const lines: LogLine[] = [];
  const stopping = new AbortController();
  const log = collectingLog(lines);
  const ended = renewTls({ files, pair, listener, log, every_ms: EVERY_MS, signal: stopping.signal });
  onTestFinished(async () => {
    stopping.abort();
    await ended;
    await listener.close(0);
  });
  return { url: listener.url, lines, messages: () => lines.map(({ message }) => message), stopping, ended };
}

async function startWithPair() {
  const folder = temporaryFolder();
  const first = newPair();
  write(folder, first);
  return { folder, first, ...(await startRenewing(folder)) };
}

describe('a pair that cannot be used', () => {
  test.each([
    ['a certificate without its key', { cert: newPair().cert }],
    ['a key without its certificate', { key: newPair().key }],
    ['a truncated certificate', { cert: newPair().cert.slice(0, 300) }],
    ['an empty key', { key: '' }],
    ['a key of another type', { key: rsaKey() }],
    ['a certificate that is not PEM', { cert: 'no certificate' }],
  ])('the former certificate stays in use with %s, which is logged once', async (_, change) => {
    const { folder, first, url, lines, messages } = await startWithPair();
    write(folder, change);
    await vi.waitFor(() => expect(messages()).toEqual([KEPT]), WAIT);
    await sleep(SEVERAL_RUNS_MS);
    expect(lines).toMatchObject([
      { level: 'warn', fields: { failure: [{ message: expect.stringContaining('belong together') }, {}] } },
    ]);
    expect(await presented(url)).toBe(fingerprintOf(first));
    const next = newPair();
    write(folder, next);
    await vi.waitFor(() => expect(messages().at(-1)).toBe(RENEWED), WAIT);
    expect(await presented(url)).toBe(fingerprintOf(next));
  });

  test('the former certificate stays in use while a file is missing, which is logged once with its setting', async () => {
    const { folder, first, url, lines, messages } = await startWithPair();
    rmSync(join(folder, 'key.pem'));
    await vi.waitFor(() => expect(messages()).toEqual([KEPT]), WAIT);
    await sleep(SEVERAL_RUNS_MS);
    const failure = [{ message: expect.stringContaining('KEYHOLD_TLS_KEY') }, { code: 'ENOENT' }];
    expect(lines).toMatchObject([{ level: 'warn', fields: { failure } }]);
    expect(await presented(url)).toBe(fingerprintOf(first));
    write(folder, first);
    await sleep(SEVERAL_RUNS_MS);
    expect(messages()).toEqual([KEPT]);
    rmSync(join(folder, 'key.pem'));
    await vi.waitFor(() => expect(messages()).toEqual([KEPT, KEPT]), WAIT);
  });
});

describe('a renewed pair', () => {
  test('new connections get the renewed certificate, open ones go on, and nothing is logged without a change', async () => {
    const { folder, first, url, lines } = await startWithPair();
    await sleep(SEVERAL_RUNS_MS);
    expect(lines).toEqual([]);
    const open = await connectTo(url);
    const second = newPair();
    write(folder, second);
    await vi.waitFor(async () => expect(await presented(url)).toBe(fingerprintOf(second)), WAIT);
    await sleep(SEVERAL_RUNS_MS);
    const valid_to = new X509Certificate(second.cert).validTo;
    expect(lines.filter(({ level }) => level !== 'warn')).toEqual([
      { level: 'info', fields: { valid_to }, message: RENEWED },
    ]);
    expect(await statusOn(open)).toBe('HTTP/1.1 200 OK');
    expect(open.getPeerCertificate().fingerprint256).toBe(fingerprintOf(first));
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    await expect(connectTo(url, old)).rejects.toThrow();
  });

  test('a mounted secret of Kubernetes is renewed, whose files are links to a folder that is replaced, with the same times', async () => {
    const [folder, first, second] = [temporaryFolder(), newPair(), newPair()];
    for (const [name, pair] of [
      ['..1', first],
      ['..2', second],
    ] as const) {
      mkdirSync(join(folder, name));
      write(join(folder, name), pair);
      for (const file of ['cert.pem', 'key.pem']) utimesSync(join(folder, name, file), 1, 1);
    }
    symlinkSync('..1', join(folder, '..data'));
    for (const file of ['cert.pem', 'key.pem']) symlinkSync(`..data/${file}`, join(folder, file));
    const { url, messages } = await startRenewing(folder);
    expect(await presented(url)).toBe(fingerprintOf(first));
    symlinkSync('..2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    await vi.waitFor(() => expect(messages().at(-1)).toBe(RENEWED), WAIT);
    expect(await presented(url)).toBe(fingerprintOf(second));
  });

  test('nothing is read any more after the request to stop', async () => {
    const { folder, url, first, lines, stopping, ended } = await startWithPair();
    stopping.abort();
    await ended;
    write(folder, newPair());
    await sleep(SEVERAL_RUNS_MS);
    expect([lines, await presented(url)]).toEqual([[], fingerprintOf(first)]);
  });
});

test('serve uses a renewed certificate within seconds, without a restart or a signal, and logs no key', async () => {
  const [home, next] = [temporaryFolder(), temporaryFolder()];
  const [first, second] = [newPair(), newPair()];
  write(home, first);
  write(next, second);
  const server = await startServeProcess({
    home,
    args: ['--tls-cert', join(home, 'cert.pem'), '--tls-key', join(home, 'key.pem')],
  });
  expect(await presented(server.url)).toBe(fingerprintOf(first));
  cpSync(next, home, { recursive: true });
  await vi.waitFor(async () => expect(await presented(server.url)).toBe(fingerprintOf(second)), {
    timeout: 40_000,
    interval: 500,
  });
  await vi.waitFor(() => expect(server.stderr()).toContain(RENEWED), WAIT);
  for (const { key } of [first, second]) expect(server.stderr()).not.toContain(key.split('\n')[1]);
  expect(await server.end()).toEqual({ code: 0, signal: null });
}, 90_000);
