/** Tests of SFTP credentials, against OpenSSH and against servers of other protocols. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { TestOutput } from '../../src/contract/use/test.ts';
import { freePort } from '../kit/servers/ports.ts';
import {
  authorizeKey,
  fingerprintOf,
  NO_SSH_PASSWORD,
  NO_SSHD,
  type SshdOptions,
  type SshdServer,
  startSshd,
} from '../kit/servers/sshd.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const PASSWORD = 'p4ss-canary-6d2e';
const PASSPHRASE = 'phrase canary 93ab';
const SFTP = { service_id: 'sftp' };
/** Made for this file; no server knows it. */
const UNKNOWN_KEY = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const KEYS: SshdOptions = { host_keys: ['ed25519', 'ecdsa', 'rsa'] };

type Fields = Record<string, string>;

/** The output of a test of these fields, and the vault that it was made in. */
async function testOf(fields: Fields): Promise<{ output: TestOutput; at: TestVault }> {
  const at = await openTestVault(temporaryFolder(), { KEYHOLD_EGRESS_ALLOW: '127.0.0.0/8' });
  await at.vault.update(at.caller(), { ...SFTP, credentials: { host: '127.0.0.1', ...fields } });
  return { output: await testAgain(at, fields), at };
}

/** Nothing that is shown or logged has a line of a secret. */
async function testAgain(at: TestVault, fields: Fields): Promise<TestOutput> {
  const output = await at.tests.test(at.caller(), SFTP);
  const status = await at.vault.status(at.caller(), SFTP);
  await at.vault.uses.close();
  const shown = JSON.stringify([output, status, await at.vault.listAudit(at.caller())]);
  for (const id of ['password', 'private_key_data', 'private_key_passphrase'])
    for (const line of fields[id]?.split('\n') ?? [])
      if (line.length > 8 && !line.startsWith('---')) expect(shown).not.toContain(line);
  expect(status.last_test).toMatchObject({ result: output.result, reason: output.reason });
  return output;
}

describe.skipIf(NO_SSHD)('a test of an SFTP credential', () => {
  let server: SshdServer;
  let key: string;
  let login: Fields;

  beforeAll(async () => {
    server = await startSshd(PASSWORD, KEYS);
    key = authorizeKey(server, 'ed25519');
    login = { port: String(server.port), username: server.username };
  });
  afterAll(() => server.stop());
  afterEach(() => {
    for (const folder of [server.home, server.read_only]) expect(readdirSync(folder)).toEqual([]);
  });

  /** With other settings until the test ends. */
  async function restart(options: Partial<SshdOptions>): Promise<void> {
    await server.restart({ ...KEYS, ...options });
    onTestFinished(() => server.restart(KEYS));
  }

  test.each([
    ['without its passphrase', ['-N', PASSPHRASE], {}, 'no passphrase is stored'],
    [
      'with another passphrase',
      ['-N', PASSPHRASE],
      { private_key_passphrase: 'wrong' },
      'does not decrypt it',
    ],
    ['in PEM without its passphrase', ['-N', PASSPHRASE, '-m', 'PKCS8'], {}, 'no passphrase is stored'],
    [
      'that is cut',
      [],
      { private_key_data: '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n' },
      'not a private',
    ],
  ])('makes no connection for a key %s', async (_, options, fields, detail) => {
    const sent = await startRawServer(() => undefined);
    const private_key_data = authorizeKey(server, 'ecdsa', options);
    const { output } = await testOf({ ...login, private_key_data, port: sent.port, ...fields });
    expect(output).toMatchObject({ result: 'invalid', reason: 'key_unreadable', checked: [] });
    expect(output.message).toContain(detail);
    expect(sent.connections()).toBe(0);
  });

  test('refuses a fingerprint that is not one of SHA-256 when it is stored', async () => {
    const at = await openTestVault();
    const credentials = { ...login, host: '127.0.0.1', password: PASSWORD };
    for (const host_key_fingerprint of ['SHA256:abc', '16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48'])
      await expect(
        at.vault.update(at.caller(), { ...SFTP, credentials: { ...credentials, host_key_fingerprint } }),
      ).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining('host_key_fingerprint'),
      });
  });

  test('reports a key that the server does not know as refused, and rejects the credential', async () => {
    const { output, at } = await testOf({ ...login, private_key_data: UNKNOWN_KEY });
    expect(output).toMatchObject({
      result: 'invalid',
      reason: 'refused_credentials',
      checked: ['connection', 'host key', 'login'],
      facts: { host_key: fingerprintOf(server, 'ed25519') },
    });
    expect(await at.vault.status(at.caller(), SFTP)).toMatchObject({ status: 'rejected' });
  });

  test.skipIf(NO_SSH_PASSWORD)('distinguishes a wrong password from the right one', async () => {
    const wrong = await testOf({ ...login, password: `${PASSWORD}x` });
    expect(wrong.output).toMatchObject({ result: 'invalid', reason: 'refused_credentials' });
    const { output } = await testOf({ ...login, password: PASSWORD });
    expect(output).toMatchObject({
      result: 'valid',
      reason: 'accepted',
      account: server.username,
      checked: ['connection', 'host key', 'login', 'SFTP', 'write access'],
      facts: {
        server: expect.stringMatching(/^OpenSSH_/),
        host_key: fingerprintOf(server, 'ed25519'),
        test_path: '.',
        can_write: 'yes',
      },
    });
  });

  test('names the method that the server accepts, if it is another one', async () => {
    await restart({ settings: ['AuthenticationMethods publickey'] });
    const { output } = await testOf({ ...login, password: PASSWORD });
    expect(output).toMatchObject({ result: 'invalid', reason: 'refused_credentials' });
    expect(output.message).toContain('accepts only a private key for this user');
  });

  test.skipIf(NO_SSH_PASSWORD)('is uncertain about a key if the server requires a password too', async () => {
    await restart({ settings: ['AuthenticationMethods publickey,password'] });
    const { output } = await testOf({ ...login, private_key_data: key });
    expect(output).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
    expect(output.message).toContain('more than the credential has');
    const both = await testOf({ ...login, private_key_data: key, password: PASSWORD });
    expect(both.output).toMatchObject({ result: 'valid', reason: 'accepted' });
  });

  test.each([
    ['ed25519', []],
    ['rsa', []],
    ['ecdsa', ['-b', '521']],
    ['rsa', ['-m', 'PEM']],
    ['ecdsa', ['-m', 'PKCS8']],
    ['ed25519', ['-N', PASSPHRASE]],
    ['rsa', ['-N', PASSPHRASE, '-m', 'PEM']],
    ['ecdsa', ['-N', PASSPHRASE, '-m', 'PKCS8']],
  ] as const)('logs in with a key that `ssh-keygen -t %s` made with %j', async (type, options) => {
    const private_key_data = authorizeKey(server, type, options);
    const passphrase = options.some((one) => one === PASSPHRASE)
      ? { private_key_passphrase: PASSPHRASE }
      : {};
    const { output } = await testOf({ ...login, private_key_data, ...passphrase });
    expect(output).toMatchObject({ result: 'valid', reason: 'accepted', account: server.username });
  });

  test('stores the host key of the first login, and refuses another one before anything is sent', async () => {
    const fields = { ...login, private_key_data: key, ...(NO_SSH_PASSWORD ? {} : { password: PASSWORD }) };
    const { at } = await testOf(fields);
    const pinned = fingerprintOf(server, 'ed25519');
    const bound = async () => (await at.vault.uses.find(at.caller(), SFTP)).destination.fields;
    expect(await bound()).toMatchObject({ host_key_fingerprint: pinned });
    expect(await testAgain(at, fields)).toMatchObject({ result: 'valid', facts: { host_key: pinned } });
    expect(server.log()).toContain('userauth-request');

    await restart({ host_keys: ['ed25519-other', 'ecdsa-other', 'rsa-other'] });
    const output = await testAgain(at, fields);
    expect(output).toMatchObject({
      result: 'unknown',
      reason: 'host_key_changed',
      checked: ['connection', 'host key'],
      facts: { host_key: fingerprintOf(server, 'ed25519-other') },
    });
    expect(server.log()).toContain('Connection from');
    expect(server.log()).not.toContain('userauth-request');
    expect(await bound()).toMatchObject({ host_key_fingerprint: pinned });
  });

  test('accepts a stored fingerprint of each key of the server, also in hexadecimal', async () => {
    for (const name of ['ed25519', 'ecdsa', 'rsa']) {
      const fingerprint = fingerprintOf(server, name);
      const hex = Buffer.from(fingerprint.slice(7), 'base64').toString('hex');
      for (const host_key_fingerprint of [
        `${fingerprint}=`,
        hex,
        hex.toUpperCase().replace(/..(?!$)/g, '$&:'),
      ]) {
        const { output } = await testOf({ ...login, private_key_data: key, host_key_fingerprint });
        expect(output).toMatchObject({ result: 'valid', facts: { host_key: fingerprint } });
      }
    }
  });

  test('a change of the fingerprint alone is refused, since it would send the secrets to another server', async () => {
    const { at } = await testOf({ ...login, private_key_data: key });
    const host_key_fingerprint = `SHA256:${'A'.repeat(43)}`;
    await expect(
      at.vault.update(at.caller(), { ...SFTP, credentials: { host_key_fingerprint } }),
    ).rejects.toMatchObject({ reason: 'destination_changed' });
    expect(await testAgain(at, {})).toMatchObject({ result: 'valid' });
  });

  test('is valid without a permission in a folder that is read-only, and in one that is missing', async () => {
    const { output } = await testOf({ ...login, private_key_data: key, test_path: server.read_only });
    expect(output).toMatchObject({
      result: 'valid',
      reason: 'permission_missing',
      facts: { test_path: server.read_only, can_write: 'no' },
    });
    expect(output.message).toContain('may not create a file in the folder');
    const test_path = `${server.home}/missing`;
    const missing = await testOf({ ...login, private_key_data: key, test_path });
    expect(missing.output).toMatchObject({ result: 'valid', reason: 'folder_missing', facts: { test_path } });
    expect(missing.output.message).toContain('no folder at test_path');
    const root = await testOf({ ...login, private_key_data: key, test_path: `${server.home}/` });
    expect(root.output).toMatchObject({ reason: 'accepted', facts: { can_write: 'yes' } });
  });

  test('is valid without a permission if the server has no SFTP', async () => {
    await restart({ has_sftp: false });
    const { output } = await testOf({ ...login, private_key_data: key });
    expect(output).toMatchObject({ result: 'valid', reason: 'permission_missing' });
    expect(output.message).toContain('starts no SFTP session');
  });
});

describe('a test of an SFTP credential at a server of another protocol', () => {
  const reasonAt = async (fields: Fields) => {
    const { output } = await testOf({ username: 'deploy', password: PASSWORD, ...fields });
    expect(output.result).toBe('unknown');
    return output.reason;
  };

  test('reports an unknown host and a closed port', async () => {
    expect(await reasonAt({ host: 'missing.invalid' })).toBe('unknown_host');
    expect(await reasonAt({ port: String(await freePort()) })).toBe('connection_refused');
  });

  test('ends within its limit, sends no secret and leaves no connection open', async () => {
    const flood = (text: string) => (socket: Socket) => {
      const write = () => {
        while (!socket.destroyed && socket.write(text));
      };
      socket.on('drain', write);
      write();
    };
    const cases: readonly (readonly [reason: string, onConnection: (socket: Socket) => void])[] = [
      ['timed_out', () => undefined],
      ['timed_out', (socket) => socket.write('SSH-2.0-silent\r\n')],
      ['unreachable', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n', () => socket.end())],
      ['unreachable', (socket) => socket.write(Buffer.alloc(20_000, 0xff))],
      ['unreachable', (socket) => socket.end('SSH-')],
      ['unreachable', flood('x'.repeat(64 * 1024))],
      ['unreachable', flood(`${'x'.repeat(8000)}\n`.repeat(8))],
      ['unexpected_response', (socket) => socket.write(`SSH-2.0-garbage\r\n${'x'.repeat(50_000)}`)],
      ['unexpected_response', (socket) => socket.end('SSH-2.0-short\r\n')],
      ['unexpected_response', flood(`SSH-2.0-flood\r\n${'\0'.repeat(64 * 1024)}`)],
    ];
    const started = performance.now();
    await Promise.all(
      cases.map(async ([reason, onConnection], index) => {
        const server = await startRawServer(onConnection);
        expect(await reasonAt({ port: server.port }), `case ${index}`).toBe(reason);
        await expect.poll(() => server.open()).toBe(0);
        expect(server.received()).not.toContain(PASSWORD);
      }),
    );
    expect(performance.now() - started).toBeLessThan(15_000);
  }, 30_000);
});

interface RawServer {
  readonly port: string;
  connections(): number;
  open(): number;
  received(): string;
}

/** A TCP server on loopback until the test ends. */
async function startRawServer(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let received = '';
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const port = String((server.address() as AddressInfo).port);
  return { port, connections: () => connections, open: () => sockets.size, received: () => received };
}
