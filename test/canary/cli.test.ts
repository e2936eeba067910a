/**
 * The canary goes through every command: given as a value, and put where it does not belong. It must come out nowhere:
 * not on standard output or error, not in the log, not in the audit log, not in the files.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { CliApp } from '../../src/cli/app.ts';
import { type Canary, findCanary, findCanaryInFiles, newCanary, processesWithCanary } from '../kit/canary.ts';
import { keyhold } from '../kit/cli.ts';
import { type Finished, runProgram, startProgram } from '../kit/program.ts';
import { openTestVault } from '../kit/temp_vault.ts';

interface Run {
  readonly args: readonly string[];
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The exit code, as the table of errors has it. */
  readonly code: number;
}

const OK = 0;
const INVALID_INPUT = 2;
const NOT_FOUND = 5;
const LOCKED = 10;
const WRONG_KEY = 11;

/** As many at once as a small machine can take. */
const RUNS_AT_ONCE = 4;
const SLOW = process.env.SLOW === '1';

/** A home with a vault that holds the canary in three services. */
async function homeWith({ value }: Canary): Promise<string> {
  const { home, vault, caller } = await openTestVault();
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: value });
  await vault.store(caller(), { service_id: 'openai', credential_type: 'bearer', credential_value: value });
  await vault.update(caller(), { service_id: 'gmail', credentials: { gmail_oauth_token: value } });
  await vault.close();
  return home;
}

type Seen = Pick<Finished, 'code' | 'stdout' | 'stderr'>;

/**
 * Runs all of these, a few at once. What succeeds is run by the built program; what is refused in this process, which
 * takes a tenth of the time, with a log that keeps what it is given.
 */
async function runAll(home: string, runs: readonly Run[], built = SLOW): Promise<(readonly [Run, Seen])[]> {
  const waiting = [...runs];
  const finished: (readonly [Run, Seen])[] = [];
  const take = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const seen = built || run.code === OK ? runBuilt(home, run) : runHere(home, run);
      finished.push([run, await seen]);
    }
  };
  await Promise.all(Array.from({ length: RUNS_AT_ONCE }, take));
  return finished;
}

function runBuilt(home: string, { args, env, input }: Run): Promise<Seen> {
  return runProgram(args, {
    env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug', ...env },
    cwd: home,
    ...(input === undefined ? {} : { input }),
  });
}

async function runHere(home: string, { args, env = {}, input = '' }: Run): Promise<Seen> {
  const logged: unknown[] = [];
  const keep = (...line: unknown[]) => void logged.push(line);
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const change = (app: CliApp): CliApp => ({ ...app, log: async () => log });
  const { code, stdout, stderr } = await keyhold(home, args, { env, stdin: input, change });
  // Every failure is logged but what the doctor finds; else nothing of a log would be looked at here.
  if (args[0] !== 'doctor') expect(logged.length, args.join(' ')).toBeGreaterThan(0);
  return { code, stdout, stderr: `${stderr}${logged.map((line) => JSON.stringify(line)).join('\n')}` };
}

/** Runs all of these, none of which may show the canary; nor may the files and the audit log afterwards. */
async function expectUnseen(home: string, canary: Canary, runs: readonly Run[], built = SLOW): Promise<void> {
  for (const [{ args, code }, { code: ended, stdout, stderr }] of await runAll(home, runs, built)) {
    const what = `keyhold ${args.join(' ').slice(0, 200)}\n${stdout}\n${stderr}`;
    expect(ended, what).toBe(code);
    expect(findCanary(stdout, canary), what).toStrictEqual([]);
    expect(findCanary(stderr, canary), what).toStrictEqual([]);
    // A trace of Node.js may quote anything: whatever goes wrong is to be put into words.
    expect(stderr, what).not.toMatch(/^ {4}at |Node\.js v/m);
  }
  await expectNothingLeft(home, canary);
}

async function expectNothingLeft(home: string, canary: Canary): Promise<void> {
  expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
  if (!existsSync(join(home, 'data', 'vault.db'))) return;
  const audit = await keyhold(home, ['audit', 'list', '--limit', '100', '--json']);
  expect(audit.code).toBe(OK);
  expect(findCanary(audit.stdout + audit.stderr, canary)).toStrictEqual([]);
}

/** Options that there are not, with the canary in them. */
function wrongOptions({ value, word }: Canary, ...command: string[]): Run[] {
  const forms = [[`--${word}=${value}`, '--json'], ['--value', value], [`--${word}`], [`-x${word}`]];
  return forms.map((words) => ({ args: [...command, ...words], code: INVALID_INPUT }));
}

test('store', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  await expectUnseen(home, canary, [
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
    ...wrongOptions(canary, 'store', 'linear'),
  ]);
});

test('update', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  const json = (credentials: unknown) => JSON.stringify(credentials);
  const update = (input: string, code: number): Run => ({
    args: ['update', 'gmail', '--stdin'],
    input,
    code,
  });
  await expectUnseen(home, canary, [
    { args: ['update', 'gmail', 'gmail_oauth_token'], input: `${value}\n`, code: OK },
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
    ...wrongOptions(canary, 'update', 'gmail'),
  ]);
});

test('seal prints ciphertext and nothing else', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  const runs = await runAll(home, [
    { args: ['seal'], input: `${value}\n`, code: OK },
    { args: ['seal', '--from-env', 'KEY'], env: { KEY: value }, code: OK },
  ]);
  for (const [, { stdout, stderr }] of runs) {
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^sealed:[A-Za-z0-9+/]+=*\n$/);
  }
  await expectUnseen(home, canary, [
    { args: ['seal'], input: value, code: OK },
    { args: ['seal', '--json', '--stdin'], input: value, code: OK },
    { args: ['seal', value], input: value, code: INVALID_INPUT },
    { args: ['seal', '--key', value], input: value, code: INVALID_INPUT },
    { args: ['seal', '--key', Buffer.from(word).toString('base64')], input: value, code: INVALID_INPUT },
    { args: ['seal', '--from-env', value], code: INVALID_INPUT },
    { args: ['seal'], input: `sealed:${value}`, code: INVALID_INPUT },
    { args: ['seal'], input: value.repeat(5_000), code: INVALID_INPUT },
    ...wrongOptions(canary, 'seal'),
  ]);
});

test('status and delete', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  await expectUnseen(home, canary, [
    { args: ['status'], code: OK },
    { args: ['status', '--json'], code: OK },
    { args: ['status', 'linear'], code: OK },
    { args: ['status', 'gmail', '--json'], code: OK },
    { args: ['status', '--name', word], code: OK },
    { args: ['status', 'linear', '--stack', word, '--json'], code: OK },
    { args: ['status', value], code: NOT_FOUND },
    { args: ['status', word, '--json'], code: NOT_FOUND },
    { args: ['status', 'linear', value], code: INVALID_INPUT },
    { args: ['status', 'linear', '--name', `${word}\u0007`], code: INVALID_INPUT },
    { args: ['status', '--stack', word.repeat(6)], code: INVALID_INPUT },
    ...wrongOptions(canary, 'status'),
    { args: ['delete', value, '--yes'], code: NOT_FOUND },
    { args: ['delete', word, '--yes', '--json'], code: NOT_FOUND },
    { args: ['delete', 'linear', value, '--yes'], code: INVALID_INPUT },
    { args: ['delete', 'linear'], input: value, code: INVALID_INPUT },
    { args: ['delete', 'linear', '--yes', '--name', word], code: NOT_FOUND },
    { args: ['delete', 'linear', '--yes', '--stack', `${word}\u0007`], code: INVALID_INPUT },
    ...wrongOptions(canary, 'delete', 'linear', '--yes'),
  ]);
  await expectUnseen(home, canary, [
    { args: ['delete', 'linear', '--yes'], code: OK },
    { args: ['delete', 'gmail', '-y', '--json'], code: OK },
  ]);
});

test('services', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  const right = {
    slug: 'intranet',
    name: 'Intranet',
    description: 'Ours.',
    category: 'other',
    fields: [
      {
        field_id: 'token',
        name: 'Token',
        description: 'A token.',
        required: true,
        secret: true,
        max_length: 100,
      },
    ],
    value_field: { bearer: 'token' },
    credential_types: ['bearer'],
    hosts: [],
    injection: { in: 'none' },
  };
  const field = right.fields[0];
  const add = (definition: unknown): Run => ({
    args: ['services', 'add', '-'],
    input: typeof definition === 'string' ? definition : JSON.stringify(definition),
    code: INVALID_INPUT,
  });
  const file = join(home, '..', `${home.split('/').at(-1)}-definition.json`);
  writeFileSync(file, JSON.stringify({ ...right, [word]: value }));
  await expectUnseen(home, canary, [
    { args: ['services', 'list', value], code: OK },
    { args: ['services', 'list', word, '--json'], code: OK },
    { args: ['services', 'list', word.repeat(12)], code: INVALID_INPUT },
    { args: ['services', 'show', 'linear'], code: OK },
    { args: ['services', 'show', value], code: NOT_FOUND },
    { args: ['services', 'show', 'linear', value], code: INVALID_INPUT },
    { args: ['services', value], code: INVALID_INPUT },
    { args: ['services', 'add', value], code: INVALID_INPUT },
    { args: ['services', 'add', `/nowhere/${word}.json`], code: INVALID_INPUT },
    { args: ['services', 'add', file], code: INVALID_INPUT },
    add(value),
    add(`{"slug":"${word}`),
    add([value]),
    add({ ...right, [word]: value }),
    add({ ...right, slug: value }),
    add({ ...right, name: [value] }),
    add({ ...right, category: word }),
    add({ ...right, hosts: [value] }),
    add({ ...right, aliases: [value] }),
    add({ ...right, fields: [{ ...field, field_id: value }] }),
    add({ ...right, fields: [{ ...field, [word]: value }] }),
    add({ ...right, fields: [{ ...field, pattern: `(${word}` }] }),
    add({ ...right, value_field: { bearer: word } }),
    add({ ...right, credential_types: [word] }),
    add({ ...right, injection: { in: 'header', headers: { Authorization: `{${word}}` } } }),
    add({ ...right, injection: { in: 'header', headers: { [value]: '{token}' } } }),
    add({ name: `io.example/${value}`, version: value, remotes: [{ type: word, url: value }] }),
    ...wrongOptions(canary, 'services', 'list'),
    ...wrongOptions(canary, 'services', 'add'),
  ]);
  await expectUnseen(home, canary, [
    { args: ['services', 'add', '-'], input: JSON.stringify(right), code: OK },
  ]);
});

test('audit and doctor', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  await expectUnseen(home, canary, [
    { args: ['audit', 'list'], code: OK },
    { args: ['audit', 'list', '--json'], code: OK },
    { args: ['audit', 'list', '--user', word], code: OK },
    { args: ['audit', 'list', '--service', value, '--json'], code: OK },
    { args: ['audit', 'list', '--credential', word], code: OK },
    ...['--limit', '--before', '--action', '--outcome', '--since', '--until'].map((option) => ({
      args: ['audit', 'list', option, value],
      code: INVALID_INPUT,
    })),
    { args: ['audit', 'list', value], code: INVALID_INPUT },
    { args: ['audit', value], code: INVALID_INPUT },
    { args: ['audit', 'verify'], code: OK },
    { args: ['audit', 'verify', '--json'], code: OK },
    { args: ['audit', 'verify', value], code: INVALID_INPUT },
    ...wrongOptions(canary, 'audit', 'list'),
    { args: ['doctor'], code: OK },
    { args: ['doctor', '--json'], code: OK },
    { args: ['doctor', value], code: INVALID_INPUT },
    ...wrongOptions(canary, 'doctor'),
  ]);
});

test('install', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  const user = join(home, 'user');
  const secrets = {
    HOME: user,
    KEYHOLD_PASSPHRASE: value,
    KEYHOLD_STORE: `sqlite:/srv/${word}.db`,
    GITHUB_TOKEN: value,
  };
  const other = { mcpServers: { github: { command: 'npx', env: { GITHUB_TOKEN: value } } } };
  const set: Run[] = [
    { args: ['install'], env: secrets, code: OK },
    { args: ['install', 'cursor', '--print'], env: secrets, code: OK },
    { args: ['install', 'cursor', '--json'], env: { ...secrets, KEYHOLD_ROOT_KEY: value }, code: OK },
    { args: ['install', 'vscode'], env: { ...secrets, KEYHOLD_ROOT_KEY: `env:${word}` }, code: OK },
    { args: ['install', 'windsurf'], env: { ...secrets, KEYHOLD_ROOT_KEY: 'env:GITHUB_TOKEN' }, code: OK },
    {
      args: ['install', 'claude-code', '--json'],
      env: { ...secrets, KEYHOLD_ROOT_KEY: 'passphrase' },
      code: OK,
    },
    { args: ['install', value], env: secrets, code: INVALID_INPUT },
    { args: ['install', 'cursor', value], env: secrets, code: INVALID_INPUT },
    { args: ['install', 'cursor', '--name', value], env: secrets, code: INVALID_INPUT },
    { args: ['install', 'cursor', '--scope', value], env: secrets, code: INVALID_INPUT },
    { args: ['install', `--${word}`, value], env: secrets, code: INVALID_INPUT },
  ];
  await expectUnseen(home, canary, set, true);

  // In a file of another program there may be anything; it is kept there, and shown nowhere.
  const there = (text: string) => {
    const folder = join(home, '..', `${home.split('/').at(-1)}-user-${findings++}`);
    mkdirSync(join(folder, '.cursor'), { recursive: true });
    writeFileSync(join(folder, '.cursor', 'mcp.json'), text);
    return { ...secrets, HOME: folder };
  };
  let findings = 0;
  const kept: Run[] = [
    { args: ['install', 'cursor'], env: there(JSON.stringify(other)), code: OK },
    { args: ['install', 'cursor', '--remove'], env: there(JSON.stringify(other)), code: OK },
    { args: ['install'], env: there(`{"mcpServers": "${word}"`), code: OK },
    { args: ['install', 'cursor'], env: there(`{"mcpServers": {"${word}": ${value}`), code: INVALID_INPUT },
    {
      args: ['install', 'cursor', '--json'],
      env: there(JSON.stringify({ mcpServers: value })),
      code: INVALID_INPUT,
    },
  ];
  await expectUnseen(home, canary, kept, true);
});

test('init, mcp, completion, and what is no command', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  await expectUnseen(home, canary, [
    { args: ['init'], code: OK },
    { args: ['init', '--json'], code: OK },
    { args: ['init', value], code: INVALID_INPUT },
    ...wrongOptions(canary, 'init'),
    { args: ['mcp', value], code: INVALID_INPUT },
    { args: ['mcp'], input: `${value}\n`, code: OK },
    ...wrongOptions(canary, 'mcp'),
    ...['bash', 'zsh', 'fish'].map((shell) => ({
      args: ['completion', shell],
      env: { KEY: value },
      code: OK,
    })),
    { args: ['completion', value], code: INVALID_INPUT },
    { args: ['__complete', 'store', value], code: OK },
    { args: ['__complete', 'store', 'linear', '--from-env', 'KE'], env: { KEY: value }, code: OK },
    { args: [value], code: INVALID_INPUT },
    { args: [word, '--json'], code: INVALID_INPUT },
    { args: ['help', value], code: INVALID_INPUT },
    { args: [`--${word}`], code: INVALID_INPUT },
    { args: ['--', value], code: INVALID_INPUT },
    { args: ['store', 'linear', '--help', value], code: OK },
  ]);
});

test('settings', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await homeWith(canary);
  const settings: (readonly [NodeJS.ProcessEnv, number])[] = [
    [{ KEYHOLD_CIPHER: value }, INVALID_INPUT],
    [{ KEYHOLD_LOG: value }, INVALID_INPUT],
    [{ KEYHOLD_STORE: value }, INVALID_INPUT],
    [{ KEYHOLD_ROOT_KEY: value }, INVALID_INPUT],
    [{ KEYHOLD_ROOT_KEY: `env:${value}` }, INVALID_INPUT],
    [{ KEYHOLD_ROOT_KEY: `env:${word}` }, LOCKED],
    [{ KEYHOLD_ROOT_KEY: 'env:KEY', KEY: value }, LOCKED],
    [{ KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: value }, LOCKED],
  ];
  const runs = settings.flatMap(([env, code]) => [
    { args: ['status', '--json'], env, code },
    { args: ['doctor'], env, code },
    { args: ['store', 'linear'], input: value, env, code },
  ]);
  await expectUnseen(home, canary, runs);
});

test('a passphrase', async () => {
  const canary = newCanary();
  const { home } = await openTestVault();
  const passphrase = (KEYHOLD_PASSPHRASE: string, folder: string) => ({
    KEYHOLD_HOME: join(home, folder),
    KEYHOLD_ROOT_KEY: 'passphrase',
    KEYHOLD_PASSPHRASE,
  });
  await expectUnseen(home, canary, [{ args: ['init'], env: passphrase(canary.value, 'own'), code: OK }]);
  await expectUnseen(home, canary, [
    { args: ['doctor', '--json'], env: passphrase(canary.value, 'own'), code: OK },
    { args: ['init'], env: passphrase('another', 'others'), code: OK },
  ]);
  await expectUnseen(home, canary, [
    { args: ['status'], env: passphrase(canary.value, 'others'), code: WRONG_KEY },
  ]);
});

test
  .runIf(process.platform === 'linux')
  .each([
    [['store', 'linear', '--stdin']],
    [['update', 'gmail', 'gmail_oauth_token', '--stdin']],
    [['seal', '--stdin']],
  ])('no argument of a process holds the value that %j is reading', async (args) => {
  const canary = newCanary();
  const home = await homeWith(canary);
  const child = startProgram(args, { env: { KEYHOLD_HOME: home } });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve) => child.stdin?.write(canary.value, () => resolve()));
  expect(processesWithCanary(canary)).toStrictEqual([]);
  child.stdin?.end();
  expect(await ended).toBe(0);
});
