/**
 * Passes the canary to the commands that take a value, as the value and in wrong arguments. It must not appear on standard
 * output or error, in the log, the audit log or the files.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newCanary, processesWithCanary } from '../kit/canary.ts';
import { startProgram } from '../kit/child/built_program.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';
import {
  createHomeWith,
  expectNoLeak,
  INVALID_INPUT,
  NOT_FOUND,
  OK,
  type Run,
  runAll,
  unknownOptions,
  WRONG_KEY,
} from './command_runs.ts';

test('store does not print the value or repeat it from a wrong argument', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  await expectNoLeak(home, canary, [
    { args: ['store', 'linear'], input: `${value}\n`, code: OK },
    { args: ['store', 'linear', '--json', '--stdin'], input: value, code: OK },
    { args: ['store', 'openai', '--type', 'api_key', '--from-env', 'KEY'], env: { KEY: value }, code: OK },
    { args: ['store', 'github', '--name', 'work', '--stack', 'team'], input: value, code: OK },
    { args: ['store', value], input: value, code: NOT_FOUND },
    { args: ['store', word, '--json'], input: value, code: NOT_FOUND },
    { args: ['store', 'linear', value], code: INVALID_INPUT },
    { args: ['store', 'linear', '--type', value], input: value, code: INVALID_INPUT },
    { args: ['store', 'linear', '--type', 'custom'], input: value, code: INVALID_INPUT },
    { args: ['store', 'linear', '--from-env', value], code: INVALID_INPUT },
    { args: ['store', 'linear', '--from-env', word], code: INVALID_INPUT },
    { args: ['store', 'linear', '--from-env', 'KEY', '--stdin'], env: { KEY: value }, code: INVALID_INPUT },
    { args: ['store', 'linear', '--name', `${word}\u0007`], input: value, code: INVALID_INPUT },
    { args: ['store', 'linear', '--stack', word.repeat(6)], input: value, code: INVALID_INPUT },
    { args: ['store', 'linear'], input: `${value}\n${value}\n`, code: INVALID_INPUT },
    { args: ['store', 'linear'], input: value.repeat(5_000), code: INVALID_INPUT },
    { args: ['store', 'linear'], input: `sealed:${value}`, code: INVALID_INPUT },
    { args: ['store', 'linear', '--json'], input: `sealed:${word}`, code: INVALID_INPUT },
    { args: ['store', 'postgresql'], input: value, code: INVALID_INPUT },
    ...unknownOptions(canary, 'store', 'linear'),
  ]);
});

test('update does not print the value or repeat it from a wrong argument', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  const json = (credentials: unknown) => JSON.stringify(credentials);
  const update = (input: string, code: number): Run => ({
    args: ['update', 'gmail', '--create', '--stdin'],
    input,
    code,
  });
  await expectNoLeak(home, canary, [
    { args: ['update', 'gmail', 'gmail_oauth_token'], input: `${value}\n`, code: OK },
    { args: ['update', 'gmail', 'gmail_oauth_token', '--name', value], input: value, code: NOT_FOUND },
    { args: ['update', 'gmail', 'gmail_oauth_token', '--create'], input: `${value}\n`, code: OK },
    { args: ['update', 'gmail', '--from-env', 'gmail_client_id=KEY'], env: { KEY: value }, code: OK },
    update(json({ gmail_client_secret: value, gmail_signature: `${value}\n${value}` }), OK),
    { args: ['update', value], input: value, code: NOT_FOUND },
    { args: ['update', 'gmail', value], input: value, code: INVALID_INPUT },
    { args: ['update', 'gmail', `gmail_oauth_token=${value}`], code: INVALID_INPUT },
    { args: ['update', 'gmail', 'gmail_oauth_token', value], input: value, code: INVALID_INPUT },
    { args: ['update', 'gmail', '--from-env', value], code: INVALID_INPUT },
    { args: ['update', 'gmail', '--from-env', `${word}=KEY`], code: INVALID_INPUT },
    { args: ['update', 'gmail', '--from-env', `gmail_oauth_token=${value}`], code: INVALID_INPUT },
    { args: ['update', 'gmail', '--from-env', `gmail_oauth_token=${word}`], code: INVALID_INPUT },
    {
      args: ['update', 'gmail', '--name', `${word}\u001b`],
      input: json({ gmail_oauth_token: value }),
      code: INVALID_INPUT,
    },
    update(value, INVALID_INPUT),
    update(json(value), INVALID_INPUT),
    update(json([value]), INVALID_INPUT),
    update(json({}), INVALID_INPUT),
    update(json({ [word]: value }), INVALID_INPUT),
    update(json({ gmail_oauth_token: { [word]: value } }), INVALID_INPUT),
    update(json({ gmail_oauth_token: `${value} ${value}` }), INVALID_INPUT),
    update(`{"gmail_oauth_token":"${word}`, INVALID_INPUT),
    ...unknownOptions(canary, 'update', 'gmail'),
  ]);
});

test('seal prints ciphertext only, and does not repeat the value from a wrong argument', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  const runs = await runAll(home, [
    { args: ['seal', 'linear'], input: `${value}\n`, code: OK },
    { args: ['seal', 'linear', '--from-env', 'KEY'], env: { KEY: value }, code: OK },
  ]);
  for (const [, { stdout, stderr }] of runs) {
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^sealed:2:[A-Za-z0-9+/]+=*\n$/);
  }
  await expectNoLeak(home, canary, [
    { args: ['seal', 'linear'], input: value, code: OK },
    { args: ['seal', 'linear', '--json', '--stdin'], input: value, code: OK },
    { args: ['seal'], input: value, code: INVALID_INPUT },
    { args: ['seal', value], input: value, code: NOT_FOUND },
    { args: ['seal', 'linear', value], input: value, code: INVALID_INPUT },
    { args: ['seal', 'linear', '--user', `/${value}`], input: value, code: INVALID_INPUT },
    { args: ['seal', 'linear', '--expires', value], input: value, code: INVALID_INPUT },
    { args: ['seal', 'linear', '--org', value], input: value, code: INVALID_INPUT },
    { args: ['seal', 'linear', '--key', value], input: value, code: INVALID_INPUT },
    {
      args: ['seal', 'linear', '--key', Buffer.from(word).toString('base64')],
      input: value,
      code: INVALID_INPUT,
    },
    { args: ['seal', 'linear', '--from-env', value], code: INVALID_INPUT },
    { args: ['seal', 'linear'], input: `sealed:${value}`, code: INVALID_INPUT },
    { args: ['seal', 'linear'], input: value.repeat(5_000), code: INVALID_INPUT },
    ...unknownOptions(canary, 'seal'),
  ]);
});

test('init, doctor and status do not print the passphrase', async () => {
  const canary = newCanary();
  const { home } = await openTestVault();
  const passphrase = (KEYHOLD_PASSPHRASE: string, folder: string) => ({
    KEYHOLD_HOME: join(home, folder),
    KEYHOLD_ROOT_KEY: 'passphrase',
    KEYHOLD_PASSPHRASE,
  });
  await expectNoLeak(home, canary, [{ args: ['init'], env: passphrase(canary.value, 'own'), code: OK }]);
  await expectNoLeak(home, canary, [
    { args: ['doctor', '--json'], env: passphrase(canary.value, 'own'), code: OK },
    { args: ['init'], env: passphrase('another passphrase', 'others'), code: OK },
  ]);
  await expectNoLeak(home, canary, [
    { args: ['status'], env: passphrase(canary.value, 'others'), code: WRONG_KEY },
  ]);
});

test
  .runIf(process.platform === 'linux')
  .each([
    [['store', 'linear', '--stdin']],
    [['update', 'gmail', 'gmail_oauth_token', '--stdin']],
    [['seal', 'linear', '--stdin']],
  ])('no argument of a process contains the value that %j is reading', async (args) => {
  const canary = newCanary();
  const home = await createHomeWith(canary);
  const child = startProgram(args, { env: { KEYHOLD_HOME: home } });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve) => child.stdin?.write(canary.value, () => resolve()));
  expect(processesWithCanary(canary)).toStrictEqual([]);
  child.stdin?.end();
  expect(await ended).toBe(0);
});
