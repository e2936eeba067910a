/** The settings that are copied to a client's entry, and those that never are. */
import { describe, expect, test } from 'vitest';
import { findClient } from '../../../src/cli/commands/install/install.ts';
import { serverEntry, serverEnv } from '../../../src/cli/commands/install/server_env.ts';

const copyEnv = (env: NodeJS.ProcessEnv) =>
  serverEnv({ platform: 'linux', env, home_folder: '/home/ann', cwd: '/work/project' });

describe('serverEnv', () => {
  test.each([
    [{}, {}],
    [{ KEYHOLD_HOME: '' }, {}],
    [{ KEYHOLD_HOME: '/vault' }, { KEYHOLD_HOME: '/vault' }],
    [{ KEYHOLD_ROOT_KEY: 'file:/keys/root.key' }, { KEYHOLD_ROOT_KEY: 'file:/keys/root.key' }],
    [{ KEYHOLD_LOG: 'debug', KEYHOLD_PORT: '1', PATH: '/bin' }, {}],
  ])('serverEnv of %j returns %j, without a note', (env, expected) => {
    expect(copyEnv(env).env).toEqual(expected);
    expect(copyEnv(env).notes).toEqual([]);
  });

  test('serverEnv makes relative paths absolute, because the client starts in another folder', () => {
    const { env } = copyEnv({ KEYHOLD_HOME: 'vault', KEYHOLD_ROOT_KEY: 'file:../root.key' });
    expect(env).toEqual({
      KEYHOLD_HOME: '/work/project/vault',
      KEYHOLD_ROOT_KEY: 'file:/work/root.key',
    });
  });

  test('serverEnv copies the name of a variable, never its value', () => {
    const result = copyEnv({ KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: 'canary-key' });
    expect(result.env).toEqual({ KEYHOLD_ROOT_KEY: 'env:MY_KEY' });
    expect(result.notes).toEqual([expect.stringContaining('set that variable where the client is started')]);
    expect(JSON.stringify(result)).not.toContain('canary-key');
  });

  test('serverEnv copies the source `passphrase`, with a note about the passphrase', () => {
    const result = copyEnv({ KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'canary-pass' });
    expect(result.env).toEqual({ KEYHOLD_ROOT_KEY: 'passphrase' });
    expect(result.notes).toEqual([
      expect.stringContaining('set KEYHOLD_PASSPHRASE where the client is started'),
    ]);
    expect(JSON.stringify(result)).not.toContain('canary-pass');
  });

  test.each([
    ['env:aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU'],
    ['env:aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU='],
    ['env:'],
    ['file:'],
    ['aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU='],
    ['passphrase:canary'],
    ['keychain'],
    ['keychain=canary'],
  ])('serverEnv does not copy or repeat a root key setting that could be a key: %s', (setting) => {
    const result = copyEnv({ KEYHOLD_ROOT_KEY: setting });
    expect(result.env).toEqual({});
    expect(result.notes).toEqual([
      expect.stringContaining('KEYHOLD_ROOT_KEY is set here and is not written'),
    ]);
    if (setting.length > 5) expect(JSON.stringify(result)).not.toContain(setting);
  });

  test('serverEnv does not copy the store setting, which can contain a password, and returns a note', () => {
    const result = copyEnv({ KEYHOLD_STORE: 'postgres://u:canary@h/d' });
    expect(result.env).toEqual({});
    expect(result.notes).toEqual([expect.stringContaining('KEYHOLD_STORE is set here and is not written')]);
    expect(JSON.stringify(result)).not.toContain('canary');
  });
});

describe('serverEntry', () => {
  const cursor = findClient('cursor');

  test('serverEntry throws INVALID_INPUT for a path that clients would expand', () => {
    const invalid_input = expect.objectContaining({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('which MCP clients replace'),
    });
    const placeholder = ['/a/$', '{HOME}/b'].join('');
    expect(() => serverEntry(cursor, { command: placeholder, args: [] }, {})).toThrow(invalid_input);
    expect(() => serverEntry(cursor, { command: 'node', args: [placeholder] }, {})).toThrow(invalid_input);
    expect(() => serverEntry(cursor, { command: 'node', args: [] }, { KEYHOLD_HOME: placeholder })).toThrow(
      invalid_input,
    );
  });

  test('serverEntry starts the MCP server, and has `env` only if settings were copied', () => {
    expect(serverEntry(cursor, { command: 'node', args: ['k.js'] }, {})).toEqual({
      type: 'stdio',
      command: 'node',
      args: ['k.js', 'mcp'],
    });
    expect(
      serverEntry(findClient('windsurf'), { command: 'keyhold', args: [] }, { KEYHOLD_HOME: '/v' }),
    ).toEqual({
      command: 'keyhold',
      args: ['mcp'],
      env: { KEYHOLD_HOME: '/v' },
    });
  });
});
