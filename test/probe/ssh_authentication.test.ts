/** Tests of SFTP credentials against SSH servers with prompts and replies that OpenSSH has with PAM only. */
import { generateKeyPairSync } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import ssh2, { type AuthContext } from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

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
