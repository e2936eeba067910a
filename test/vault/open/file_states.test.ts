/**
 * Invalid states of the files of a vault: each is refused with its own code, reason and remedy by the vault, by
 * `keyhold status` and by `keyhold mcp`, and no byte is changed.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import Driver from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE, type ErrorCode, type ErrorReason, VaultError } from '../../../src/contract/errors.ts';
import { STORE_FORMAT } from '../../../src/store/sqlite/schema.ts';
import type { CreatePolicy } from '../../../src/vault/open_vault.ts';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { snapshot } from '../../kit/file_system.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

interface State {
  readonly name: string;
  /** Produces the state in the home of a valid closed vault. */
  readonly arrange: (files: Files) => void;
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  /** The remedy in the message. */
  readonly remedy: RegExp;
  readonly env?: NodeJS.ProcessEnv;
}

interface Files {
  readonly home: string;
  readonly data: string;
  readonly vault: string;
  readonly keys: string;
  readonly key: string;
}

const KEY_IN_BASE64 = Buffer.from(Array.from({ length: 32 }, (_, at) => at + 7)).toString('base64');
const damagedKeys: Readonly<Record<string, string>> = {
  'an empty file': '',
  'a byte too short': Buffer.alloc(31, 7).toString('base64'),
  'a byte too long': Buffer.alloc(33, 7).toString('base64'),
  'no base64': '#'.repeat(44),
  'in hexadecimal': Buffer.from(Array.from({ length: 32 }, (_, at) => at + 7)).toString('hex'),
  'two keys': `${KEY_IN_BASE64}\n${KEY_IN_BASE64}\n`,
};
const NOT_A_FILE = {
  code: 'INVALID_INPUT',
  reason: 'not_a_file',
  remedy: /KEYHOLD_STORE|KEYHOLD_HOME/,
} as const;
const NOT_A_VAULT = {
  code: 'CORRUPT',
  reason: 'not_a_vault',
  remedy: /KEYHOLD_STORE at the right file/,
} as const;
const DAMAGED = { code: 'CORRUPT', reason: 'record_damaged', remedy: /from a backup/ } as const;
const NO_VAULT = { code: 'NOT_FOUND', reason: 'vault_missing', remedy: /keyhold init/ } as const;
const NO_KEY = { code: 'LOCKED', reason: 'root_key_missing', remedy: /Restore the key file/ } as const;
const BAD_KEY = { code: 'LOCKED', reason: 'root_key_invalid', remedy: /right key|KEYHOLD_ROOT_KEY/ } as const;
const SOURCE_CHANGED = {
  code: 'LOCKED',
  reason: 'root_key_source_changed',
  remedy: /Set KEYHOLD_ROOT_KEY to its former value/,
} as const;

const STATES: readonly State[] = [
  {
    name: 'a folder in the place of the vault file',
    arrange: ({ vault }) => replaceWithFolder(vault),
    ...NOT_A_FILE,
  },
  {
    name: 'a pipe in the place of the vault file',
    arrange: ({ vault }) => replaceWithPipe(vault),
    ...NOT_A_FILE,
  },
  {
    name: 'a file in the place of the data folder',
    arrange: ({ data }) => replaceWithFile(data),
    ...NOT_A_FILE,
  },
  {
    name: 'a link to nowhere in the place of the vault file, with a key',
    arrange: ({ vault }) => replaceWithLink(vault, '/nonexistent/vault.db'),
    ...NOT_A_FILE,
  },
  {
    name: 'a link to nowhere in the place of the vault file, and no key',
    arrange: ({ vault, keys }) => {
      replaceWithLink(vault, '/nonexistent/vault.db');
      fs.rmSync(keys, { recursive: true });
    },
    ...NOT_A_FILE,
  },
  {
    name: 'a link to itself in the place of the vault file',
    arrange: ({ vault }) => replaceWithLink(vault, 'vault.db'),
    ...NOT_A_FILE,
  },
  {
    name: 'a vault file whose name is too long for the disk',
    arrange: () => undefined,
    env: { KEYHOLD_STORE: `sqlite:${'a'.repeat(300)}` },
    ...NOT_A_FILE,
  },

  {
    name: 'a vault file of zeros',
    arrange: ({ vault }) => fs.writeFileSync(vault, Buffer.alloc(8192)),
    ...NOT_A_VAULT,
  },
  {
    name: 'random bytes',
    arrange: ({ vault }) => fs.writeFileSync(vault, randomBytes(20_000)),
    ...NOT_A_VAULT,
  },
  { name: 'a text file', arrange: ({ vault }) => fs.writeFileSync(vault, 'shopping list'), ...NOT_A_VAULT },
  {
    name: "another application's database",
    arrange: ({ vault }) => replaceWithDatabase(vault),
    ...NOT_A_VAULT,
  },
  {
    name: "another application's database, and no key",
    arrange: ({ vault, keys }) => {
      replaceWithDatabase(vault);
      fs.rmSync(keys, { recursive: true });
    },
    ...NOT_A_VAULT,
  },
  ...[
    'CREATE TRIGGER copy AFTER INSERT ON record BEGIN DELETE FROM audit_entry; END',
    'CREATE TRIGGER forget BEFORE DELETE ON record BEGIN SELECT raise(IGNORE); END',
    'CREATE VIEW everything AS SELECT * FROM record',
    'CREATE VIRTUAL TABLE words USING fts5(text)',
  ].map((sql) => ({
    name: `a vault with a ${sql.split(' ').slice(1, 3).join(' ')} that was put into it`,
    arrange: ({ vault }: Files) => execute(vault, sql),
    code: 'CORRUPT' as const,
    reason: 'not_a_vault' as const,
    remedy: /from a backup/,
  })),
  {
    name: 'a vault of a newer format',
    arrange: ({ vault }) => setPragma(vault, `user_version = ${STORE_FORMAT + 1}`),
    code: 'UNAVAILABLE',
    reason: 'newer_format',
    remedy: /Upgrade Keyhold/,
  },
  {
    name: 'a vault cut off by a page',
    arrange: ({ vault }) => cutOff(vault, (size) => size - 4096),
    ...DAMAGED,
  },
  {
    name: 'a vault cut off in the middle',
    arrange: ({ vault }) => cutOff(vault, (size) => size / 2 + 100),
    ...DAMAGED,
  },
  { name: 'a vault cut off after one page', arrange: ({ vault }) => cutOff(vault, () => 4096), ...DAMAGED },
  { name: 'a vault cut off within its header', arrange: ({ vault }) => cutOff(vault, () => 99), ...DAMAGED },
  {
    name: 'a folder in the place of the write-ahead log',
    arrange: ({ vault }) => fs.mkdirSync(`${vault}-wal`),
    code: 'UNAVAILABLE',
    reason: 'unreadable',
    remedy: /Check the permissions of the file and its folder/,
  },

  { name: 'a key without its vault', arrange: ({ vault }) => fs.rmSync(vault), ...NO_VAULT },
  {
    name: 'a key without its vault and without the data folder',
    arrange: ({ data }) => fs.rmSync(data, { recursive: true }),
    ...NO_VAULT,
  },
  { name: 'a key and an empty vault file', arrange: ({ vault }) => fs.truncateSync(vault), ...NO_VAULT },

  { name: 'a vault without its key', arrange: ({ key }) => fs.rmSync(key), ...NO_KEY },
  {
    name: 'a vault without the keys folder',
    arrange: ({ keys }) => fs.rmSync(keys, { recursive: true }),
    ...NO_KEY,
  },
  {
    name: 'a link to nowhere in the place of the key',
    arrange: ({ key }) => replaceWithLink(key, '/nonexistent/key'),
    ...NO_KEY,
  },
  { name: 'a folder in the place of the key', arrange: ({ key }) => replaceWithFolder(key), ...BAD_KEY },
  { name: 'a pipe in the place of the key', arrange: ({ key }) => replaceWithPipe(key), ...BAD_KEY },
  {
    name: 'a file in the place of the keys folder',
    arrange: ({ keys }) => replaceWithFile(keys),
    code: 'LOCKED',
    reason: 'root_key_missing',
    remedy: /key file/,
  },
  ...Object.entries(damagedKeys).map(([name, text]) => ({
    name: `a key that is ${name}`,
    arrange: ({ key }: Files) => fs.writeFileSync(key, text),
    ...BAD_KEY,
  })),
  ...[0o644, 0o640, 0o604, 0o660].map((mode) => ({
    name: `a key file of mode ${mode.toString(8)}`,
    arrange: ({ key }: Files) => fs.chmodSync(key, mode),
    code: 'LOCKED' as const,
    reason: 'root_key_exposed' as const,
    remedy: /chmod 600/,
  })),
  {
    name: 'the key of another vault',
    arrange: ({ key }) => fs.writeFileSync(key, `${KEY_IN_BASE64}\n`),
    code: 'WRONG_KEY',
    remedy: /Use the one it was made with/,
  },
  {
    name: 'a key that now comes from the environment',
    arrange: () => undefined,
    env: { KEYHOLD_ROOT_KEY: 'env:VAULT_KEY', VAULT_KEY: KEY_IN_BASE64 },
    ...SOURCE_CHANGED,
  },
  {
    name: 'a key that now comes from a passphrase',
    arrange: () => undefined,
    env: { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'open sesame' },
    ...SOURCE_CHANGED,
  },
];

function replaceWithFile(path: string): void {
  fs.rmSync(path, { recursive: true });
  fs.writeFileSync(path, 'a file');
}

function replaceWithFolder(path: string): void {
  fs.rmSync(path);
  fs.mkdirSync(path);
}

function replaceWithLink(path: string, target: string): void {
  fs.rmSync(path);
  fs.symlinkSync(target, path);
}

/** Opening it for reading blocks forever. */
function replaceWithPipe(path: string): void {
  fs.rmSync(path);
  expect(spawnSync('mkfifo', ['-m', '600', path]).status).toBe(0);
}

function replaceWithDatabase(path: string): void {
  fs.rmSync(path);
  const database = new Driver(path);
  database.exec("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('mine')");
  database.close();
}

function execute(path: string, sql: string): void {
  const database = new Driver(path);
  database.exec(sql);
  database.close();
}

function setPragma(path: string, pragma: string): void {
  const database = new Driver(path);
  database.pragma(pragma);
  database.close();
}

function cutOff(path: string, length: (size: number) => number): void {
  fs.truncateSync(path, Math.floor(length(fs.statSync(path).size)));
}

/** The files of a valid vault with one credential. */
async function soundVault(): Promise<Files> {
  const home = join(temporaryFolder(), 'home');
  const { vault, caller } = await openTestVault(home);
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'kept' });
  await vault.close();
  const data = join(home, 'data');
  const keys = join(home, 'keys');
  return { home, data, vault: join(data, 'vault.db'), keys, key: join(keys, 'root.key') };
}

async function refusal(home: string, env: NodeJS.ProcessEnv, create: CreatePolicy) {
  try {
    await openTestVault(home, env, create);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return { code: error.code, ...(error.reason && { reason: error.reason }), message: error.message };
  }
  throw new Error('the vault opened');
}

async function statusRefusal(env: NodeJS.ProcessEnv) {
  const { code: exit_code, stdout, stderr } = await runProgram(['status', '--json'], { env });
  expect(stdout).toBe('');
  const { error } = JSON.parse(stderr);
  return { error, exit_code };
}

async function mcpRefusal(env: NodeJS.ProcessEnv) {
  const client = await connectStdioClient(startProgram(['mcp'], { env }));
  const tools = await client.listTools();
  const { error } = await client.call('store_credential', {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'new',
  });
  return { tools, error, exit_code: await client.end() };
}

/** Each of two waits for a vault that another process may be creating takes ten seconds. */
const TIMEOUT_MS = 120_000;

describe.each(STATES)('$name', { timeout: TIMEOUT_MS }, ({ arrange, code, reason, remedy, env = {} }) => {
  test(`is refused with ${code}${reason === undefined ? '' : ` ${reason}`} everywhere, and stays as it is`, async () => {
    const files = await soundVault();
    arrange(files);
    const before = snapshot(files.home);
    const program_env = { KEYHOLD_HOME: files.home, KEYHOLD_LOG: 'silent', ...env };
    const expected = {
      code,
      ...(reason === undefined ? {} : { reason }),
      message: expect.stringMatching(remedy),
    };

    const [if_new, no, status, mcp] = await Promise.all([
      refusal(files.home, env, 'if_new'),
      refusal(files.home, env, 'no'),
      statusRefusal(program_env),
      mcpRefusal(program_env),
    ]);
    expect(if_new).toEqual(expected);
    expect(no).toEqual(expected);
    expect(status).toEqual({ error: expected, exit_code: ERROR_TABLE[code].exit_code });
    expect(mcp).toEqual({
      tools: expect.arrayContaining(['store_credential', 'get_credential_status']),
      error: { ...expected, request_id: expect.any(String) },
      exit_code: 0,
    });
    for (const { message } of [if_new, no, status.error]) expect(message).not.toContain(files.home);
    expect(snapshot(files.home)).toEqual(before);
  });
});

describe('a file at the path of the home', () => {
  test('a file at the path of the home is refused by every command with a hint, and is not changed', async () => {
    const { home } = await soundVault();
    replaceWithFile(home);
    const before = snapshot(home);
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    const { error: status } = await statusRefusal(env);
    const { error: mcp } = await mcpRefusal(env);
    for (const error of [await refusal(home, {}, 'if_new'), status, mcp]) {
      expect(['INVALID_INPUT', 'LOCKED', 'UNAVAILABLE']).toContain(error?.code);
      expect(error?.message).toMatch(/folder/);
    }
    expect(snapshot(home)).toEqual(before);
  });
});
