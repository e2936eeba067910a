/**
 * The commands against a server, with the canary as a value, as the API key and where neither belongs; and the commands
 * that make keys. Nothing comes out anywhere but a new key, once, where it is shown.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Canary, findCanary, findCanaryInFiles, newCanary, processesWithCanary } from '../kit/canary.ts';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import {
  expectUnseen,
  INVALID_INPUT,
  NOT_FOUND,
  OK,
  type Run,
  runAll,
  wrongOptions,
} from './command_runs.ts';

const UNAUTHENTICATED = 3;
const UNAVAILABLE = 13;
const NO_ID = '01a202a0-0000-7000-8000-000000000000';

/** The secret of a key as something that is to be found nowhere. */
function canaryOf(key: string): Canary {
  return { value: key, word: key.slice(-43) };
}

interface Served {
  readonly server: ServeProcess;
  /** Of the one who runs the command; there is nothing in it. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly key: Canary;
}

async function served(): Promise<Served> {
  const server = await startServeProcess({ env: { KEYHOLD_LOG: 'debug' } });
  const env = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: server.admin_key };
  return { server, home: temporaryFolder(), env, key: canaryOf(server.admin_key) };
}

/** The same runs with the environment that reaches the server. */
const within = (env: NodeJS.ProcessEnv, runs: readonly Run[]): Run[] =>
  runs.map((run) => ({ ...run, env: { ...env, ...run.env } }));

function expectUnseenByServer({ server }: Served, canary: Canary): void {
  expect(findCanary(server.stderr() + server.stdout(), canary)).toStrictEqual([]);
  expect(findCanaryInFiles(join(server.home, 'data'), canary)).toStrictEqual([]);
}

test('a value that goes to a server', async () => {
  const there = await served();
  const { home, env, key } = there;
  const canary = newCanary();
  const { value, word } = canary;
  const runs = within(env, [
    { args: ['store', 'linear'], input: `${value}\n`, code: OK },
    { args: ['store', 'openai', '--json', '--from-env', 'KEY'], env: { KEY: value }, code: OK },
    { args: ['update', 'gmail', 'gmail_oauth_token'], input: value, code: OK },
    { args: ['update', 'gmail', '--stdin'], input: JSON.stringify({ gmail_signature: value }), code: OK },
    { args: ['seal'], input: value, code: OK },
    { args: ['status', '--json'], code: OK },
    { args: ['status', 'linear'], code: OK },
    { args: ['audit', 'list', '--json'], code: OK },
    { args: ['audit', 'verify'], code: OK },
    { args: ['doctor'], code: OK },
    { args: ['delete', 'openai', '--yes'], code: OK },
    { args: ['store', value], input: value, code: NOT_FOUND },
    { args: ['store', 'linear', value], code: INVALID_INPUT },
    { args: ['store', 'linear'], input: `${value}\n${value}\n`, code: INVALID_INPUT },
    { args: ['store', 'linear'], input: value.repeat(5_000), code: INVALID_INPUT },
    { args: ['store', 'linear'], input: `sealed:${value}`, code: INVALID_INPUT },
    { args: ['store', 'linear', '--name', `${word}\u0007`], input: value, code: INVALID_INPUT },
    { args: ['update', 'gmail', '--stdin'], input: JSON.stringify({ [word]: value }), code: INVALID_INPUT },
    {
      args: ['update', 'gmail', 'gmail_oauth_token'],
      input: `${value} ${value}`,
      code: INVALID_INPUT,
    },
    { args: ['status', value], code: NOT_FOUND },
    { args: ['delete', value, '--yes'], code: NOT_FOUND },
    { args: ['services', 'list', value], code: OK },
    { args: ['services', 'show', word, '--json'], code: NOT_FOUND },
    { args: ['audit', 'list', '--action', value], code: INVALID_INPUT },
    { args: ['keys', 'rotate', value], code: INVALID_INPUT },
    { args: ['keys', 'revoke', value, '--yes'], code: INVALID_INPUT },
    { args: ['keys', 'create', '--scopes', value], code: INVALID_INPUT },
    { args: ['keys', 'create', '--org', value], code: INVALID_INPUT },
    { args: ['units', 'create', value], code: INVALID_INPUT },
    { args: ['status', '--url', value], code: INVALID_INPUT },
    { args: ['status', '--url', `https://${word}@127.0.0.1:9/`], code: INVALID_INPUT },
    { args: ['status', '--key-file', value], code: INVALID_INPUT },
    { args: ['init', value], code: INVALID_INPUT },
    { args: ['init'], code: INVALID_INPUT },
    ...wrongOptions(canary, 'keys', 'create'),
    ...wrongOptions(canary, 'units', 'create'),
  ]);
  await expectUnseen(home, canary, runs);
  await expectUnseen(home, key, runs.slice(0, 11));
  expectUnseenByServer(there, canary);
  expectUnseenByServer(there, key);
});

test('an API key: right, wrong, in the wrong place, and on the way to nowhere', async () => {
  const there = await served();
  const { server, home, env, key } = there;
  const file = join(temporaryFolder(), 'api.key');
  writeFileSync(file, `${server.admin_key}\n`);
  const wrong = newCanary();
  const long = join(temporaryFolder(), 'long.key');
  writeFileSync(long, wrong.value.repeat(100));
  const url = ['--url', server.url];
  const runs: Run[] = [
    { args: ['status'], env, code: OK },
    { args: ['status', '--json', ...url, '--key-file', file], code: OK },
    { args: ['doctor', '--json', ...url, '--key-file', file], code: OK },
    { args: ['keys', 'list', '--json'], env, code: OK },
    { args: ['units', 'list'], env, code: OK },
    { args: ['__complete', 'keys', 'revoke', ''], env, code: OK },
    { args: ['keys', 'revoke', server.admin_key, '--yes'], env, code: INVALID_INPUT },
    { args: ['keys', 'rotate', key.word], env, code: INVALID_INPUT },
    { args: ['keys', 'rotate', NO_ID], env, code: NOT_FOUND },
    { args: ['status', ...url, '--key-file', server.admin_key], code: INVALID_INPUT },
    { args: ['status', ...url, '--key', server.admin_key], code: INVALID_INPUT },
    { args: ['status', '--url', `http://${key.word}.example`], env, code: INVALID_INPUT },
    { args: ['status', '--url', 'http://127.0.0.1:9'], env, code: UNAVAILABLE },
    { args: ['doctor', '--url', 'http://127.0.0.1:9'], env, code: UNAVAILABLE },
  ];
  await expectUnseen(home, key, runs);
  await expectUnseen(home, wrong, [
    { args: ['status'], env: { ...env, KEYHOLD_API_KEY: `kh_${wrong.word}` }, code: UNAUTHENTICATED },
    { args: ['doctor', '--json'], env: { ...env, KEYHOLD_API_KEY: wrong.word }, code: UNAUTHENTICATED },
    { args: ['status'], env: { ...env, KEYHOLD_API_KEY: wrong.value }, code: INVALID_INPUT },
    { args: ['status', ...url, '--key-file', long], code: INVALID_INPUT },
  ]);
  expectUnseenByServer(there, key);
  expectUnseenByServer(there, wrong);
});

test.each([
  ['here', false],
  ['on a server', true],
])('a new key is on standard output once, and nowhere else: %s', async (_where, remote) => {
  const there = remote ? await served() : undefined;
  const home = there?.home ?? temporaryFolder();
  const env: NodeJS.ProcessEnv = { ...there?.env, KEYHOLD_LOG: 'debug' };
  const made = await runAll(home, [
    { args: ['keys', 'create', '--org', 'acme', '--user', 'ana'], env, code: OK },
    { args: ['keys', 'create', '--org', 'acme', '--user', 'ana', '--json'], env, code: OK },
  ]);
  const keys = made.map(([, { stdout, stderr }]) => {
    const [key = ''] = stdout.match(/kh_[0-9a-f]{32}_[A-Za-z0-9_-]{43}/) ?? [];
    expect(stdout.split(key)).toHaveLength(2);
    expect(findCanary(stdout.replace(key, ''), canaryOf(key))).toStrictEqual([]);
    expect(findCanary(stderr, canaryOf(key))).toStrictEqual([]);
    return key;
  });
  expect(new Set(keys).size).toBe(2);
  for (const key of keys) {
    const canary = canaryOf(key);
    await expectUnseen(
      home,
      canary,
      within(env, [
        { args: ['keys', 'list', '--org', 'acme'], code: OK },
        { args: ['keys', 'list', '--org', 'acme', '--json'], code: OK },
        { args: ['audit', 'list', '--org', 'acme', '--json'], code: OK },
      ]),
    );
    expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
    if (there !== undefined) expectUnseenByServer(there, canary);
  }
});

test.runIf(process.platform === 'linux')('no argument of a process holds the value or the key', async () => {
  const { home, env, key } = await served();
  const canary = newCanary();
  const child = startProgram(['store', 'linear', '--stdin'], { env: { KEYHOLD_HOME: home, ...env } });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve) => child.stdin?.write(canary.value, () => resolve()));
  expect(processesWithCanary(canary)).toStrictEqual([]);
  expect(processesWithCanary(key)).toStrictEqual([]);
  child.stdin?.end();
  expect(await ended).toBe(0);
  expect((await runProgram(['status', 'linear'], { env: { KEYHOLD_HOME: home, ...env } })).stdout).toContain(
    'active',
  );
});
