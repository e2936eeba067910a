/**
 * Passes the canary to the commands that take no value, in settings and in the files of other programs, while the vault
 * contains it. It must not appear in output, logs or files.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { newCanary } from '../kit/canary.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import {
  createHomeWith,
  expectNoLeak,
  INVALID_INPUT,
  LOCKED,
  NOT_FOUND,
  OK,
  type Run,
  unknownOptions,
} from './command_runs.ts';

test('status and delete do not print a stored value or a misplaced one', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  await expectNoLeak(home, canary, [
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
    ...unknownOptions(canary, 'status'),
    { args: ['delete', value, '--yes'], code: NOT_FOUND },
    { args: ['delete', word, '--yes', '--json'], code: NOT_FOUND },
    { args: ['delete', 'linear', value, '--yes'], code: INVALID_INPUT },
    { args: ['delete', 'linear'], input: value, code: INVALID_INPUT },
    { args: ['delete', 'linear', '--yes', '--name', word], code: NOT_FOUND },
    { args: ['delete', 'linear', '--yes', '--stack', `${word}\u0007`], code: INVALID_INPUT },
    ...unknownOptions(canary, 'delete', 'linear', '--yes'),
  ]);
  await expectNoLeak(home, canary, [
    { args: ['delete', 'linear', '--yes'], code: OK },
    { args: ['delete', 'gmail', '-y', '--json'], code: OK },
  ]);
});

test('services list, show and add do not print a stored value or a misplaced one', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  const valid = {
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
  const field = valid.fields[0];
  const add = (definition: unknown): Run => ({
    args: ['services', 'add', '-'],
    input: typeof definition === 'string' ? definition : JSON.stringify(definition),
    code: INVALID_INPUT,
  });
  const file = join(temporaryFolder(), 'definition.json');
  writeFileSync(file, JSON.stringify({ ...valid, [word]: value }));
  await expectNoLeak(home, canary, [
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
    add({ ...valid, [word]: value }),
    add({ ...valid, slug: value }),
    add({ ...valid, name: [value] }),
    add({ ...valid, category: word }),
    add({ ...valid, hosts: [value] }),
    add({ ...valid, aliases: [value] }),
    add({ ...valid, fields: [{ ...field, field_id: value }] }),
    add({ ...valid, fields: [{ ...field, [word]: value }] }),
    add({ ...valid, fields: [{ ...field, pattern: `(${word}` }] }),
    add({ ...valid, value_field: { bearer: word } }),
    add({ ...valid, credential_types: [word] }),
    add({ ...valid, injection: { in: 'header', headers: { Authorization: `{${word}}` } } }),
    add({ ...valid, injection: { in: 'header', headers: { [value]: '{token}' } } }),
    add({ name: `io.example/${value}`, version: value, remotes: [{ type: word, url: value }] }),
    ...unknownOptions(canary, 'services', 'list'),
    ...unknownOptions(canary, 'services', 'add'),
  ]);
  await expectNoLeak(home, canary, [
    { args: ['services', 'add', '-', '--yes'], input: JSON.stringify(valid), code: OK },
  ]);
});

test('audit and doctor do not print a stored value or a misplaced one', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  await expectNoLeak(home, canary, [
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
    ...unknownOptions(canary, 'audit', 'list'),
    { args: ['doctor'], code: OK },
    { args: ['doctor', '--json'], code: OK },
    { args: ['doctor', value], code: INVALID_INPUT },
    ...unknownOptions(canary, 'doctor'),
  ]);
});

test('install does not print a value of the environment or of the configuration file', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  const user = join(home, 'user');
  const secrets = {
    HOME: user,
    KEYHOLD_PASSPHRASE: value,
    GITHUB_TOKEN: value,
  };
  const store = { ...secrets, KEYHOLD_STORE: `postgres://user:${word}@host/data` };
  const other = { mcpServers: { github: { command: 'npx', env: { GITHUB_TOKEN: value } } } };
  const runs: Run[] = [
    { args: ['install'], env: secrets, code: OK },
    { args: ['install', 'cursor', '--print'], env: secrets, code: OK },
    { args: ['install'], env: store, code: OK },
    { args: ['install', 'cursor', '--print'], env: store, code: INVALID_INPUT },
    {
      args: ['install', 'cursor', '--json'],
      env: { ...secrets, KEYHOLD_ROOT_KEY: value },
      code: INVALID_INPUT,
    },
    {
      args: ['install', 'vscode'],
      env: { ...secrets, KEYHOLD_ROOT_KEY: `env:${word}` },
      code: INVALID_INPUT,
    },
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
  await expectNoLeak(home, canary, runs, true);

  // A file of another program may contain a secret, which stays in that file and must not be printed.
  const withConfig = (text: string) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, '.cursor'), { recursive: true });
    writeFileSync(join(folder, '.cursor', 'mcp.json'), text);
    return { ...secrets, HOME: folder };
  };
  const config_runs: Run[] = [
    { args: ['install', 'cursor'], env: withConfig(JSON.stringify(other)), code: OK },
    { args: ['install', 'cursor', '--remove'], env: withConfig(JSON.stringify(other)), code: OK },
    { args: ['install'], env: withConfig(`{"mcpServers": "${word}"`), code: OK },
    {
      args: ['install', 'cursor'],
      env: withConfig(`{"mcpServers": {"${word}": ${value}`),
      code: INVALID_INPUT,
    },
    {
      args: ['install', 'cursor', '--json'],
      env: withConfig(JSON.stringify({ mcpServers: value })),
      code: INVALID_INPUT,
    },
  ];
  await expectNoLeak(home, canary, config_runs, true);
});

test('init, mcp, completion and unknown commands do not print a stored value or a misplaced one', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
  await expectNoLeak(home, canary, [
    { args: ['init'], code: OK },
    { args: ['init', '--json'], code: OK },
    { args: ['init', value], code: INVALID_INPUT },
    ...unknownOptions(canary, 'init'),
    { args: ['mcp', value], code: INVALID_INPUT },
    { args: ['mcp'], input: `${value}\n`, code: OK },
    ...unknownOptions(canary, 'mcp'),
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

test('commands do not print the value of an invalid setting', async () => {
  const canary = newCanary();
  const { value, word } = canary;
  const home = await createHomeWith(canary);
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
  await expectNoLeak(home, canary, runs);
});
