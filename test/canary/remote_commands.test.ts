/**
 * Runs the commands against a server with the canary as a value, as the API key and in wrong arguments, and the commands
 * that create keys. Only a new key may appear, once, on standard output.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Canary, findCanary, findCanaryInFiles, newCanary, processesWithCanary } from '../kit/canary.ts';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import {
  expectNoLeak,
  INVALID_INPUT,
  NOT_FOUND,
  OK,
  type Run,
  runAll,
  unknownOptions,
} from './command_runs.ts';

const UNAUTHENTICATED = 3;
const UNAVAILABLE = 13;
const NO_ID = '01a202a0-0000-7000-8000-000000000000';

/** Returns a canary for the API key and its secret. */
function toCanary(key: string): Canary {
  return { value: key, word: key.slice(-43) };
}

interface TestServer {
  readonly server: ServeProcess;
  /** The home of the client, which stays empty. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly key: Canary;
}

async function startServer(): Promise<TestServer> {
  const server = await startServeProcess({ env: { KEYHOLD_LOG: 'debug' } });
  const env = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: server.admin_key };
  return { server, home: temporaryFolder(), env, key: toCanary(server.admin_key) };
}

/** Returns the runs with `env` added, which contains the URL and the key of the server. */
const withEnv = (env: NodeJS.ProcessEnv, runs: readonly Run[]): Run[] =>
  runs.map((run) => ({ ...run, env: { ...env, ...run.env } }));

function expectNoLeakByServer({ server }: TestServer, canary: Canary): void {
  expect(findCanary(server.stderr() + server.stdout(), canary)).toStrictEqual([]);
  expect(findCanaryInFiles(join(server.home, 'data'), canary)).toStrictEqual([]);
}

test('a value that is sent to a server appears in no output, log or file', async () => {
  const test_server = await startServer();
  const { home, env, key } = test_server;
  const canary = newCanary();
  const { value, word } = canary;
  const runs = withEnv(env, [
    { args: ['store', 'linear'], input: `${value}\n`, code: OK },
    { args: ['store', 'openai', '--json', '--from-env', 'KEY'], env: { KEY: value }, code: OK },
    { args: ['update', 'gmail', 'gmail_oauth_token', '--create'], input: value, code: OK },
    {
      args: ['update', 'gmail', '--create', '--stdin'],
      input: JSON.stringify({ gmail_signature: value }),
      code: OK,
    },
    { args: ['seal', 'linear'], input: value, code: OK },
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
    {
      args: ['update', 'gmail', '--create', '--stdin'],
      input: JSON.stringify({ [word]: value }),
      code: INVALID_INPUT,
    },
    {
      args: ['update', 'gmail', 'gmail_oauth_token', '--create'],
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
    ...unknownOptions(canary, 'keys', 'create'),
    ...unknownOptions(canary, 'units', 'create'),
  ]);
  await expectNoLeak(home, canary, runs);
  await expectNoLeak(home, key, runs.slice(0, 11));
  expectNoLeakByServer(test_server, canary);
  expectNoLeakByServer(test_server, key);
});

test('an API key appears in no output, valid or not, in the wrong argument or if the server is unreachable', async () => {
  const test_server = await startServer();
  const { server, home, env, key } = test_server;
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
  await expectNoLeak(home, key, runs);
  await expectNoLeak(home, wrong, [
    { args: ['status'], env: { ...env, KEYHOLD_API_KEY: `kh_${wrong.word}` }, code: UNAUTHENTICATED },
    { args: ['doctor', '--json'], env: { ...env, KEYHOLD_API_KEY: wrong.word }, code: UNAUTHENTICATED },
    { args: ['status'], env: { ...env, KEYHOLD_API_KEY: wrong.value }, code: INVALID_INPUT },
    { args: ['status', ...url, '--key-file', long], code: INVALID_INPUT },
  ]);
  expectNoLeakByServer(test_server, key);
  expectNoLeakByServer(test_server, wrong);
});

test.each([
  ['a local vault', false],
  ['a server', true],
])('keys create with %s prints the new key once, on standard output only', async (_vault, remote) => {
  const test_server = remote ? await startServer() : undefined;
  const home = test_server?.home ?? temporaryFolder();
  const env: NodeJS.ProcessEnv = { ...test_server?.env, KEYHOLD_LOG: 'debug' };
  const made = await runAll(home, [
    { args: ['keys', 'create', '--org', 'acme', '--user', 'ana'], env, code: OK },
    { args: ['keys', 'create', '--org', 'acme', '--user', 'ana', '--json'], env, code: OK },
  ]);
  const keys = made.map(([, { stdout, stderr }]) => {
    const [key = ''] = stdout.match(/kh_[0-9a-f]{32}_[A-Za-z0-9_-]{43}/) ?? [];
    expect(stdout.split(key)).toHaveLength(2);
    expect(findCanary(stdout.replace(key, ''), toCanary(key))).toStrictEqual([]);
    expect(findCanary(stderr, toCanary(key))).toStrictEqual([]);
    return key;
  });
  expect(new Set(keys).size).toBe(2);
  for (const key of keys) {
    const canary = toCanary(key);
    await expectNoLeak(
      home,
      canary,
      withEnv(env, [
        { args: ['keys', 'list', '--org', 'acme'], code: OK },
        { args: ['keys', 'list', '--org', 'acme', '--json'], code: OK },
        { args: ['audit', 'list', '--org', 'acme', '--json'], code: OK },
      ]),
    );
    expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
    if (test_server !== undefined) expectNoLeakByServer(test_server, canary);
  }
});

test.runIf(process.platform === 'linux')(
  'no argument of a process contains the value or the API key',
  async () => {
    const { home, env, key } = await startServer();
    const canary = newCanary();
    const child = startProgram(['store', 'linear', '--stdin'], { env: { KEYHOLD_HOME: home, ...env } });
    const ended = new Promise((resolve) => child.once('close', resolve));
    await new Promise<void>((resolve) => child.stdin?.write(canary.value, () => resolve()));
    expect(processesWithCanary(canary)).toStrictEqual([]);
    expect(processesWithCanary(key)).toStrictEqual([]);
    child.stdin?.end();
    expect(await ended).toBe(0);
    expect(
      (await runProgram(['status', 'linear'], { env: { KEYHOLD_HOME: home, ...env } })).stdout,
    ).toContain('active');
  },
);
