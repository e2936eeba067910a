/**
 * The canary is put where it does not belong, in the commands that take no value, in settings and in other programs'
 * files, while the vault holds it. It must come out nowhere.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { newCanary } from '../kit/canary.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import {
  expectUnseen,
  homeWith,
  INVALID_INPUT,
  LOCKED,
  NOT_FOUND,
  OK,
  type Run,
  wrongOptions,
} from './command_runs.ts';

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
  const file = join(temporaryFolder(), 'definition.json');
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
    const folder = temporaryFolder();
    mkdirSync(join(folder, '.cursor'), { recursive: true });
    writeFileSync(join(folder, '.cursor', 'mcp.json'), text);
    return { ...secrets, HOME: folder };
  };
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
