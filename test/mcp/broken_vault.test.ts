/**
 * A vault that does not open: the server starts anyway, every call reports the problem and how to fix it, and the same
 * server works once it is fixed.
 */
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ErrorCode, ErrorReason } from '../../src/contract/errors.ts';
import { STORE_FORMAT } from '../../src/store/sqlite/schema.ts';
import { CLIENT_KINDS, type ClientKind, connectClient } from '../kit/mcp/mcp_clients.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { DANUBE_CALL } from './calls.ts';

/** A valid call of every tool. */
const RIGHT_CALLS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  store_credential: DANUBE_CALL,
  update_credentials: { service_id: 'linear', credentials: { linear_api_key: 'lin_api_abc' } },
  get_credential_status: { service_id: 'linear' },
  list_services: {},
  test_credential: { service_id: 'linear' },
  request_access: { service_id: 'linear', reason: 'r' },
  call_service: { service_id: 'linear', method: 'POST', path: '/graphql', dry_run: true },
  delete_credential: { service_id: 'linear' },
};

interface Breakage {
  readonly what: string;
  /** Breaks the vault at `home`, and returns the function that fixes it. */
  readonly make: (home: string) => () => void;
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  /** The advice in the message. */
  readonly remedy: RegExp;
}

const vaultOf = (home: string) => join(home, 'data', 'vault.db');
const keyOf = (home: string) => join(home, 'keys', 'root.key');

/** Replaces a file with the result of `put`. Returns the function that restores it. */
function replaced(path: string, put: (path: string) => void): () => void {
  const aside = `${path}.aside`;
  renameSync(path, aside);
  put(path);
  return () => {
    rmSync(path, { recursive: true, force: true });
    renameSync(aside, path);
  };
}

/** Changes the bytes of a file. Returns the function that restores them. */
function changed(path: string, change: (path: string) => void): () => void {
  const bytes = readFileSync(path);
  change(path);
  return () => writeFileSync(path, bytes);
}

function withMode(path: string, mode: number): () => void {
  const before = statSync(path).mode & 0o777;
  chmodSync(path, mode);
  return () => chmodSync(path, before);
}

function withUserVersion(path: string, version: number): () => void {
  const set = (number: number) => {
    const database = new Database(path);
    database.pragma(`user_version = ${number}`);
    database.close();
  };
  set(version);
  return () => set(STORE_FORMAT);
}

function ownService(home: string, text: string): () => void {
  const path = join(home, 'services', 'intranet.json');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return () => rmSync(path);
}

const OTHER_KEY = `${Buffer.from(Array.from({ length: 32 }, (_, at) => at + 7)).toString('base64')}\n`;

const BREAKAGES: readonly Breakage[] = [
  {
    what: 'the root key of another vault',
    make: (home) => changed(keyOf(home), (path) => writeFileSync(path, OTHER_KEY)),
    code: 'WRONG_KEY',
    remedy: /Use the one it was made with/,
  },
  {
    what: 'a root key that others can read',
    make: (home) => withMode(keyOf(home), 0o644),
    code: 'LOCKED',
    reason: 'root_key_exposed',
    remedy: /chmod 600/,
  },
  {
    what: 'an invalid root key',
    make: (home) => changed(keyOf(home), (path) => writeFileSync(path, 'not a key\n')),
    code: 'LOCKED',
    reason: 'root_key_invalid',
    remedy: /Restore the right key/,
  },
  {
    what: 'a missing root key',
    make: (home) => replaced(keyOf(home), () => {}),
    code: 'LOCKED',
    reason: 'root_key_missing',
    remedy: /Restore the key file/,
  },
  {
    what: 'a missing vault',
    make: (home) => replaced(vaultOf(home), () => {}),
    code: 'NOT_FOUND',
    reason: 'vault_missing',
    remedy: /Restore the vault file/,
  },
  {
    what: 'a folder at the path of the vault',
    make: (home) => replaced(vaultOf(home), (path) => mkdirSync(path)),
    code: 'INVALID_INPUT',
    reason: 'not_a_file',
    remedy: /Move it, or point/,
  },
  {
    what: 'a file that is not a database',
    make: (home) => replaced(vaultOf(home), (path) => writeFileSync(path, 'no database '.repeat(1_000))),
    code: 'CORRUPT',
    reason: 'not_a_vault',
    remedy: /Restore it from a backup/,
  },
  {
    what: 'the database of another program',
    make: (home) =>
      replaced(vaultOf(home), (path) => {
        const database = new Database(path);
        database.exec('CREATE TABLE notes (text TEXT)');
        database.close();
      }),
    code: 'CORRUPT',
    reason: 'not_a_vault',
    remedy: /Point KEYHOLD_STORE at the right file/,
  },
  {
    what: 'a truncated vault',
    make: (home) => changed(vaultOf(home), (path) => truncateSync(path, statSync(path).size / 2)),
    code: 'CORRUPT',
    reason: 'record_damaged',
    remedy: /Restore it from a backup/,
  },
  {
    what: 'a vault of a newer version of Keyhold',
    make: (home) => withUserVersion(vaultOf(home), STORE_FORMAT + 1),
    code: 'UNAVAILABLE',
    reason: 'newer_format',
    remedy: /Upgrade Keyhold/,
  },
  {
    what: 'an invalid custom service definition',
    make: (home) => ownService(home, '{"slug": "intranet",\n'),
    code: 'INVALID_INPUT',
    reason: 'service_definition_invalid',
    remedy: /intranet\.json: line 2, column 1/,
  },
];

/** Settings cannot change while a server runs. */
const WRONG_SETTINGS: readonly (readonly [name: string, value: string, message: RegExp])[] = [
  ['KEYHOLD_CIPHER', 'rot13', /must be aes-256-gcm or xchacha20-poly1305/],
  ['KEYHOLD_LOG', 'loud', /must be one of debug, info/],
  ['KEYHOLD_STORE', 'postgres://localhost/keyhold', /must be sqlite:PATH/],
  ['KEYHOLD_ROOT_KEY', 'hunter2', /must be file:PATH, env:NAME, passphrase, keychain/],
  ['KEYHOLD_HOME', ' ', /must be the path of a folder/],
];

async function makeVault(): Promise<string> {
  const { home, vault, caller } = await openTestVault();
  const value = { credential_type: 'api_key', credential_value: 'lin_api_abc' } as const;
  await vault.store(caller(), { service_id: 'linear', ...value });
  await vault.close();
  return home;
}

async function connect(kind: ClientKind, home: string, env: Readonly<Record<string, string>> = {}) {
  const client = await connectClient(kind, home, env);
  onTestFinished(() => client.close());
  return client;
}

describe.each(BREAKAGES)('$what', ({ make, code, reason, remedy }) => {
  test('every call returns the code and the advice until the vault is fixed, and then the same server works', async () => {
    const home = await makeVault();
    const fix = make(home);
    const client = await connect('sdk 1.x, 2025-11-25', home);
    expect((await client.listTools()).map(({ name }) => name).sort()).toStrictEqual(
      Object.keys(RIGHT_CALLS).sort(),
    );
    for (const [tool, input] of Object.entries(RIGHT_CALLS)) {
      const { is_error, text, meta } = await client.call(tool, input);
      expect(is_error, tool).toBe(true);
      expect(text, tool).toMatch(new RegExp(`^${code}: `));
      expect(text, tool).toMatch(remedy);
      expect(text, tool).not.toContain(home);
      // The arguments are valid, so the advice must not send a model to correct them.
      expect(text, tool).not.toMatch(/Correct the arguments|Check the id/);
      expect(meta['keyhold/error'], tool).toMatchObject(reason === undefined ? { code } : { code, reason });
    }
    fix();
    const { text, structured } = await client.call('get_credential_status', { service_id: 'linear' });
    expect(structured, text).toMatchObject({ status: 'active' });
    expect(await client.call('store_credential', DANUBE_CALL)).toMatchObject({ is_error: false });
  });
});

test.each(WRONG_SETTINGS)(
  'every call reports an invalid %s without its value',
  async (name, value, message) => {
    const client = await connect('sdk 1.x, 2025-11-25', temporaryFolder(), { [name]: value });
    expect(await client.listTools()).toHaveLength(Object.keys(RIGHT_CALLS).length);
    for (const [tool, input] of Object.entries(RIGHT_CALLS)) {
      const { is_error, text } = await client.call(tool, input);
      expect(is_error, tool).toBe(true);
      expect(text).toMatch(new RegExp(`^INVALID_INPUT: The setting ${name} `));
      expect(text).toMatch(message);
      expect(text).not.toMatch(/Correct the arguments/);
      if (value.trim() !== '') expect(text).not.toContain(value);
    }
  },
);

test.each(CLIENT_KINDS)(
  '%s gets LOCKED while the root key has wrong permissions, and the content after a fix',
  async (kind) => {
    const home = await makeVault();
    const fix = withMode(keyOf(home), 0o640);
    const client = await connect(kind, home);
    expect((await client.call('list_services')).text).toMatch(/^LOCKED: .*chmod 600/);
    fix();
    const { structured } = await client.call('get_credential_status');
    expect(structured).toMatchObject({ credentials: [{ service_id: 'linear', status: 'active' }] });
  },
);

test('a call to a vault that needs a passphrase gets LOCKED and names KEYHOLD_PASSPHRASE', async () => {
  const client = await connect('sdk 1.x, 2025-11-25', temporaryFolder(), { KEYHOLD_ROOT_KEY: 'passphrase' });
  expect((await client.call('list_services')).text).toMatch(/^LOCKED: .*KEYHOLD_PASSPHRASE/);
});
