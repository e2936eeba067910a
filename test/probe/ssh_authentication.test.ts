/** Tests of SFTP credentials against SSH servers with prompts and replies that OpenSSH has with PAM only. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import ssh2, { type AuthContext } from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import { readPrivateKey } from '../../src/probe/ssh/private_key.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { HOST, listenScripted, testCredential } from './connection_kit.ts';

const PASSWORD = 'p4ss-canary-2f7c';
const SFTP = { service_id: 'sftp' };
const HOST_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  type: 'pkcs1',
  format: 'pem',
});

interface Login {
  /** Methods in the order in which the client tried them. */
  readonly methods: string[];
  /** Every password and every response to a prompt that the server received. */
  readonly received: string[];
}

/** The result of a test with the password, at a server that authenticates like this; it has no SFTP. */
async function testAt(authenticate: (context: AuthContext, login: Login) => void) {
  const login: Login = { methods: [], received: [] };
  const server = new ssh2.Server({ hostKeys: [HOST_KEY] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (context) => {
      login.methods.push(context.method);
      if (context.method === 'password') login.received.push(context.password);
      authenticate(context, login);
    });
    client.on('ready', () => client.on('session', (_accept, reject) => reject()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const at = await openTestVault(temporaryFolder(), { KEYHOLD_EGRESS_ALLOW: '127.0.0.0/8' });
  const credentials = { host: '127.0.0.1', port: String(port), username: 'deploy', password: PASSWORD };
  await at.vault.update(at.caller(), { ...SFTP, credentials });
  const output = await at.tests.test(at.caller(), SFTP);
  expect(JSON.stringify(output)).not.toContain(PASSWORD);
  return { output, login };
}

/** Sends prompts one after the other, and accepts the login if the first response is the password. */
const prompts =
  (...texts: readonly { readonly prompt: string; readonly echo: boolean }[]) =>
  (context: AuthContext, login: Login) => {
    if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
    const send = (index: number) => {
      const text = texts[index];
      if (text === undefined)
        return login.received.at(-texts.length) === PASSWORD
          ? context.accept()
          : context.reject(['keyboard-interactive']);
      context.prompt([text], (responses) => {
        login.received.push(...responses);
        send(index + 1);
      });
    };
    send(0);
  };

test('a wrong password is sent once to a server that offers a password and prompts', async () => {
  const { output, login } = await testAt((context) => context.reject(['password', 'keyboard-interactive']));
  expect(output).toMatchObject({ result: 'invalid', reason: 'refused_credentials' });
  expect(login).toEqual({ methods: ['password'], received: [PASSWORD] });
});

test('the password is never the response to a second prompt', async () => {
  const { output, login } = await testAt(
    prompts({ prompt: 'Password: ', echo: false }, { prompt: 'One-time code: ', echo: false }),
  );
  expect(output).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
  expect(output.message).toContain('more than the credential has');
  expect(login.received).toEqual([PASSWORD, PASSWORD]);
});

test('the password is never the response to a prompt that a terminal would show', async () => {
  const { output, login } = await testAt(prompts({ prompt: 'Token: ', echo: true }));
  expect(output).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
  expect(login.methods).toEqual(['password', 'keyboard-interactive']);
  expect(login.received).toEqual([PASSWORD]);
});

test('the password is the response to the only prompt of a server', async () => {
  const { output, login } = await testAt(prompts({ prompt: 'Password: ', echo: false }));
  expect(output).toMatchObject({ result: 'valid', reason: 'permission_missing', account: 'deploy' });
  expect(login.methods).toEqual(['password', 'keyboard-interactive']);
});

test('a password that the server wants changed has expired', async () => {
  const { output } = await testAt((context) => {
    if (context.method === 'password') context.requestChange('Change it: ', () => undefined);
  });
  expect(output).toMatchObject({ result: 'invalid', reason: 'expired' });
});

/** A PKCS#8 key with PBKDF2 (RFC 8018); its content decrypts with no passphrase. */
function encryptedKey(iterations: number, key_length?: number): string {
  const number = (value: number) => {
    const hex = value.toString(16);
    const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
    return der(0x02, bytes.readUInt8() < 0x80 ? bytes : Buffer.concat([Buffer.alloc(1), bytes]));
  };
  const identifier = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
  const salt = der(0x04, Buffer.alloc(16));
  const hash = der(0x30, identifier('2a864886f70d0209'), der(0x05));
  const length = key_length === undefined ? [] : [number(key_length)];
  const derivation = der(0x30, salt, number(iterations), ...length, hash);
  const cipher = der(0x30, identifier('60864801650304012a'), salt);
  const parameters = der(0x30, der(0x30, identifier('2a864886f70d01050c'), derivation), cipher);
  const algorithm = der(0x30, identifier('2a864886f70d01050d'), parameters);
  return pem('ENCRYPTED PRIVATE KEY', der(0x30, algorithm, der(0x04, Buffer.alloc(64))));
}

/** ITU-T X.690. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

async function readTimed(text: string) {
  const started = performance.now();
  const read = await readPrivateKey(new Secret(text), new Secret('passphrase'), new AbortController().signal);
  return { problem: 'problem' in read ? read.problem : undefined, duration_ms: performance.now() - started };
}

test.each([
  ['in the derivation of its key', encryptedKey(2 ** 23)],
  ['in the derivation of its key, with a key length', encryptedKey(2 ** 23, 32)],
  [
    'inside a block with another label',
    `-----BEGIN A-----\n-----END B-----\nProc-Type: 4,ENCRYPTED\n${encryptedKey(2 ** 23)}-----END A-----\n`,
  ],
])('a private key that costs seconds %s is not decrypted', async (_, text) => {
  const { problem, duration_ms } = await readTimed(text);
  expect(problem).toContain('too many rounds');
  expect(duration_ms).toBeLessThan(500);
});

test('a private key with the usual cost is decrypted', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const encryption = { cipher: 'aes-256-cbc', passphrase: 'passphrase' };
  const text = String(privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }));
  expect((await readTimed(text)).problem).toBeUndefined();
  const { problem, duration_ms } = await readTimed(encryptedKey(600_000));
  expect(problem).toContain('passphrase does not decrypt');
  // It was derived.
  expect(duration_ms).toBeGreaterThan(20);
});

test('an RSA key whose signature takes minutes is not used', async () => {
  const random = (bytes: number) => der(0x02, Buffer.from([0x7f]), randomBytes(bytes - 2), Buffer.from([1]));
  const [size, half] = [65_536 / 8, 65_536 / 16];
  const numbers = [size, 3, size, half, half, half, half, half].map(random);
  const text = pem('RSA PRIVATE KEY', der(0x30, der(0x02, Buffer.from([0])), ...numbers));
  expect((await readTimed(text)).problem).toBe('It has more than 8192 bits.');
});

const testScripted = (port: number) => {
  const credentials = { host: HOST, port: String(port), username: 'deploy', password: PASSWORD };
  return testCredential('sftp', credentials, [PASSWORD]);
};

test('the client offers no key exchange with a group that the server chooses', async () => {
  const { port, received } = await listenScripted((socket) => {
    socket.write('SSH-2.0-Test\r\n');
    socket.once('data', () => setTimeout(() => socket.destroy(), 100));
  });
  expect(await testScripted(port)).toMatchObject({ result: 'unknown' });
  expect(received()).toContain('diffie-hellman-group14-sha256');
  expect(received()).not.toContain('group-exchange');
});

test.each([14, 15])(
  'a disconnection with the code %i before the key exchange does not refuse the credential',
  async (code) => {
    // RFC 4253, section 6: lengths of the packet and of the padding, the message 1, the code, two empty texts.
    const packet = Buffer.alloc(24);
    packet.set([0, 0, 0, 20, 6, 1, 0, 0, 0, code]);
    const { port } = await listenScripted((socket) => {
      socket.write('SSH-2.0-Test\r\n');
      socket.once('data', () => socket.write(packet));
    });
    expect(await testScripted(port)).toMatchObject({ result: 'unknown', reason: 'unexpected_response' });
  },
);
