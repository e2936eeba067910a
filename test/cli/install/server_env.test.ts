/** The settings of a client's entry: the server that it starts opens the vault that this command would open. */
import { describe, expect, test } from 'vitest';
import { findClient } from '../../../src/cli/commands/install/install.ts';
import { serverEntry, serverEnv } from '../../../src/cli/commands/install/server_env.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import { parseSettings } from '../../../src/settings/settings.ts';

const cursor = findClient('cursor');
const HOME = '/home/ann';
const envFor = (env: NodeJS.ProcessEnv, client = cursor) => serverEnv(client, { env: { HOME, ...env } });

/** The settings of a server that the client starts with the entry and the variables that every client passes on. */
const startedWith = (env: NodeJS.ProcessEnv) => parseSettings({ HOME, ...envFor(env).env });

function refusal(act: () => unknown): VaultError {
  try {
    act();
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('serverEnv', () => {
  test.each([
    [{}],
    [{ XDG_DATA_HOME: '/data' }],
    [{ KEYHOLD_HOME: '/vault' }],
    [{ KEYHOLD_HOME: '~/vault', KEYHOLD_ROOT_KEY: 'file:mine.key' }],
    [{ KEYHOLD_HOME: '/vault\r\n', KEYHOLD_STORE: 'sqlite:my.db\n' }],
    [{ KEYHOLD_ROOT_KEY: 'file:../keys/root.key', KEYHOLD_CIPHER: 'xchacha20-poly1305' }],
    [{ KEYHOLD_STORE: 'sqlite:/data/my.db', KEYHOLD_ROOT_KEY: 'file:~/root.key' }],
  ])('the entry for %j opens the same vault with the same key in any working directory', (env) => {
    const { log: _, ...expected } = parseSettings({ HOME, ...env });
    expect(startedWith(env)).toMatchObject(expected);
    expect(envFor(env).notes).toEqual([]);
  });

  test('the entry always has KEYHOLD_HOME, and no setting that has no influence on the vault', () => {
    expect(envFor({ KEYHOLD_LOG: 'debug', KEYHOLD_PORT: '1', PATH: '/bin' }).env).toEqual({
      KEYHOLD_HOME: '/home/ann/.local/share/keyhold',
    });
  });

  test.each([
    ['claude-code', ['$', '{KEYHOLD_PASSPHRASE}'].join('')],
    ['cursor', ['$', '{env:KEYHOLD_PASSPHRASE}'].join('')],
    ['vscode', ['$', '{env:KEYHOLD_PASSPHRASE}'].join('')],
    ['windsurf', ['$', '{env:KEYHOLD_PASSPHRASE}'].join('')],
  ])(
    'the entry of %s refers to the passphrase as the client expects, never with its value',
    (id, reference) => {
      const env = { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'canary-pass' };
      const result = envFor(env, findClient(id));
      expect(result.env).toMatchObject({ KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: reference });
      expect(result.notes).toEqual([expect.stringContaining('set KEYHOLD_PASSPHRASE where')]);
      expect(JSON.stringify(result)).not.toContain('canary-pass');
      // A client that does not replace it must not create a vault with this text as the passphrase.
      expect(() => parseSettings({ HOME, KEYHOLD_HOME: reference })).toThrow('did not replace');
    },
  );

  test('the entry refers to the variable of the root key, never with its value', () => {
    const result = envFor({ KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: 'canary-key' });
    expect(result.env).toMatchObject({
      KEYHOLD_ROOT_KEY: 'env:MY_KEY',
      MY_KEY: ['$', '{env:MY_KEY}'].join(''),
    });
    expect(JSON.stringify(result)).not.toContain('canary-key');
  });

  test('the entry for a keychain or a key service selects the source and contains no token', () => {
    expect(envFor({ KEYHOLD_ROOT_KEY: 'keychain' })).toMatchObject({
      env: { KEYHOLD_ROOT_KEY: 'keychain' },
      notes: [],
    });
    const KEYHOLD_ROOT_KEY = 'transit:https://bao.internal:8200/transit/keyhold';
    const result = envFor({ KEYHOLD_ROOT_KEY, KEYHOLD_TRANSIT_TOKEN: 'canary-token' });
    expect(result.env).toMatchObject({ KEYHOLD_ROOT_KEY });
    expect(result.notes.join()).toContain('no access to the key service');
    expect(JSON.stringify(result)).not.toContain('canary-token');
  });

  test.each([
    { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'canary' },
    { KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: 'canary' },
  ])(
    'a root key that Claude Desktop cannot pass on is refused, with sources and clients that work: %j',
    (env) => {
      const { code, message } = refusal(() => envFor(env, findClient('claude-desktop')));
      expect(code).toBe('INVALID_INPUT');
      expect(message).toContain('Claude Desktop does not pass environment variables on');
      expect(message).toContain('KEYHOLD_ROOT_KEY=file:PATH');
      expect(message).toContain('Claude Code, Cursor, VS Code, Windsurf');
      expect(message).not.toContain('canary');
    },
  );

  test.each([
    ['env:aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU'],
    ['env:aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU='],
    ['env:'],
    ['file:'],
    ['aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU='],
    ['passphrase:canary'],
    ['keychain:can/ary'],
    ['keychain=canary'],
  ])('a root key setting that the server would refuse or that could be a key is refused: %s', (setting) => {
    const { code, message } = refusal(() => envFor({ KEYHOLD_ROOT_KEY: setting }));
    expect(code).toBe('INVALID_INPUT');
    expect(message).toContain('KEYHOLD_ROOT_KEY');
    if (setting.length > 8) expect(message).not.toContain(setting);
  });

  test('the password of a database is passed on as a reference or as the path of its file, never as text', () => {
    const KEYHOLD_STORE = 'postgres://ann@db/keyhold?sslmode=verify-full';
    const entry = envFor({ KEYHOLD_STORE, KEYHOLD_STORE_PASSWORD: 'canary' });
    expect(JSON.stringify(entry)).not.toContain('canary');
    expect(entry.env).toMatchObject({ KEYHOLD_STORE, KEYHOLD_STORE_PASSWORD: expect.stringContaining('{') });
    expect(entry.notes).toEqual([expect.stringContaining('KEYHOLD_STORE_PASSWORD')]);
    const of_file = envFor({
      KEYHOLD_STORE,
      KEYHOLD_HOME: '/vault',
      KEYHOLD_STORE_PASSWORD_FILE: 'password',
    });
    expect(of_file.env).toMatchObject({ KEYHOLD_STORE, KEYHOLD_STORE_PASSWORD_FILE: '/vault/password' });
    const without = refusal(() =>
      envFor({ KEYHOLD_STORE, KEYHOLD_STORE_PASSWORD: 'canary' }, findClient('claude-desktop')),
    );
    expect(without).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('.pgpass') });
  });

  test('a store setting that the server would refuse is refused, and not repeated', () => {
    const { message } = refusal(() => envFor({ KEYHOLD_STORE: 'postgres://u:canary@h/d' }));
    expect(message).toContain('KEYHOLD_STORE');
    expect(message).not.toContain('canary');
  });
});

describe('serverEntry', () => {
  test('serverEntry throws INVALID_INPUT for a path that clients would expand', () => {
    const invalid_input = expect.objectContaining({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('which MCP clients replace'),
    });
    const placeholder = ['/a/$', '{HOME}/b'].join('');
    expect(() => serverEntry(cursor, { command: placeholder, args: [] }, {})).toThrow(invalid_input);
    expect(() => serverEntry(cursor, { command: 'node', args: [placeholder] }, {})).toThrow(invalid_input);
    const home = ['/a/$', '{HOME'].join('');
    expect(() => envFor({ KEYHOLD_HOME: home })).toThrow(invalid_input);
  });

  test('serverEntry starts the MCP server, with `type` only for clients that document it', () => {
    const env = { KEYHOLD_HOME: '/v' };
    expect(serverEntry(cursor, { command: 'node', args: ['k.js'] }, env)).toEqual({
      type: 'stdio',
      command: 'node',
      args: ['k.js', 'mcp'],
      env,
    });
    expect(serverEntry(findClient('windsurf'), { command: 'keyhold', args: [] }, env)).toEqual({
      command: 'keyhold',
      args: ['mcp'],
      env,
    });
  });
});
