/** Which settings reach a client through its entry, and which never do. */
import { describe, expect, test } from 'vitest';
import { findClient } from '../../../src/cli/commands/install/clients.ts';
import { serverEntry, serverEnv } from '../../../src/cli/commands/install/server_env.ts';

const carried = (env: NodeJS.ProcessEnv) =>
  serverEnv({ platform: 'linux', env, home_folder: '/home/ann', cwd: '/work/project' });

describe('what the entry carries', () => {
  test.each([
    [{}, {}],
    [{ KEYHOLD_HOME: '' }, {}],
    [{ KEYHOLD_HOME: '/vault' }, { KEYHOLD_HOME: '/vault' }],
    [{ KEYHOLD_ROOT_KEY: 'file:/keys/root.key' }, { KEYHOLD_ROOT_KEY: 'file:/keys/root.key' }],
    [{ KEYHOLD_ROOT_KEY: 'keychain' }, { KEYHOLD_ROOT_KEY: 'keychain' }],
    [{ KEYHOLD_LOG: 'debug', KEYHOLD_PORT: '1', PATH: '/bin' }, {}],
  ])('of %j is %j, without a note', (env, expected) => {
    expect(carried(env).env).toEqual(expected);
    expect(carried(env).notes).toEqual([]);
  });

  test('is absolute where a setting is relative, since the client starts elsewhere', () => {
    const { env } = carried({ KEYHOLD_HOME: 'vault', KEYHOLD_ROOT_KEY: 'file:../root.key' });
    expect(env).toEqual({
      KEYHOLD_HOME: '/work/project/vault',
      KEYHOLD_ROOT_KEY: 'file:/work/root.key',
    });
  });

  test('is the name of a variable, never what is in it', () => {
    const result = carried({ KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: 'canary-key' });
    expect(result.env).toEqual({ KEYHOLD_ROOT_KEY: 'env:MY_KEY' });
    expect(result.notes).toEqual([expect.stringContaining('set that variable where the client is started')]);
    expect(JSON.stringify(result)).not.toContain('canary-key');
  });

  test('is the word passphrase, with a note on the passphrase itself', () => {
    const result = carried({ KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'canary-pass' });
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
    ['keychain=canary'],
  ])('is not a root key setting that could be a key, and no note repeats it: %s', (setting) => {
    const result = carried({ KEYHOLD_ROOT_KEY: setting });
    expect(result.env).toEqual({});
    expect(result.notes).toEqual([
      expect.stringContaining('KEYHOLD_ROOT_KEY is set here and is not written'),
    ]);
    if (setting.length > 5) expect(JSON.stringify(result)).not.toContain(setting);
  });

  test('is not the store, which can hold a password; a note says so', () => {
    const result = carried({ KEYHOLD_STORE: 'postgres://u:canary@h/d' });
    expect(result.env).toEqual({});
    expect(result.notes).toEqual([expect.stringContaining('KEYHOLD_STORE is set here and is not written')]);
    expect(JSON.stringify(result)).not.toContain('canary');
  });
});

describe('the entry', () => {
  const cursor = findClient('cursor');

  test('is never one that clients read otherwise than it is written', () => {
    const refused = expect.objectContaining({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('which MCP clients replace'),
    });
    const placeholder = ['/a/$', '{HOME}/b'].join('');
    expect(() => serverEntry(cursor, { command: placeholder, args: [] }, {})).toThrow(refused);
    expect(() => serverEntry(cursor, { command: 'node', args: [placeholder] }, {})).toThrow(refused);
    expect(() => serverEntry(cursor, { command: 'node', args: [] }, { KEYHOLD_HOME: placeholder })).toThrow(
      refused,
    );
  });

  test('starts the MCP server, with the settings only where there are some', () => {
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
