/** The settings of every command: an invalid one is named and its text never repeated, and a valid one is parsed. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseSettings } from '../../src/settings/settings.ts';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { connectStdioClient } from '../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const SECRET = 'a-secret-in-the-wrong-place';
const WRONG: Readonly<Record<string, readonly string[]>> = {
  KEYHOLD_HOME: ['', '   ', '.', 'vault', './vault', '../vault', '~ann/vault', '\r\n'],
  KEYHOLD_STORE: ['', 'sqlite:', 'sqlite', '/var/lib/vault.db', `postgres://user:${SECRET}@host/db`, SECRET],
  KEYHOLD_ROOT_KEY: [
    '',
    'file:',
    'file',
    'env:',
    'env:9',
    'env:A B',
    'env:A=B',
    'passphrase:x',
    'keychain:',
    SECRET,
  ],
  KEYHOLD_KEY_CACHE_MINUTES: ['', '0', '1441', '1.5', '-1', SECRET],
  KEYHOLD_CIPHER: ['', 'aes', 'AES-256-GCM', 'none', SECRET],
  KEYHOLD_PROTECT: ['', 'yes', 'ON', '1', SECRET],
  KEYHOLD_LOG: ['', 'verbose', 'INFO', SECRET],
};
const EACH_WRONG = Object.entries(WRONG).flatMap(([setting, texts]) =>
  texts.map((text) => ({ setting, text })),
);

function refusal(env: NodeJS.ProcessEnv): { code: string; reason: string | undefined; message: string } {
  try {
    parseSettings(env);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return { code: error.code, reason: error.reason, message: error.message };
  }
  throw new Error('the settings were accepted');
}

describe('an invalid setting', () => {
  test.each(EACH_WRONG)('$setting="$text" is rejected by name', ({ setting, text }) => {
    const { code, reason, message } = refusal({ KEYHOLD_HOME: '/srv/keyhold', [setting]: text });
    expect([code, reason]).toEqual(['INVALID_INPUT', 'setting_invalid']);
    expect(message).toMatch(new RegExp(`^The setting ${setting} must be .+\\.$`));
    expect(message).not.toContain(SECRET);
  });

  test('is rejected with the allowed values', () => {
    expect(refusal({ KEYHOLD_LOG: 'loud' }).message).toContain('debug, info, warn, error, silent');
    expect(refusal({ KEYHOLD_ROOT_KEY: 'kms' }).message).toContain(
      'file:PATH, env:NAME, passphrase, keychain',
    );
    expect(refusal({ KEYHOLD_STORE: 'x' }).message).toContain('sqlite:PATH');
    expect(refusal({ KEYHOLD_CIPHER: 'x' }).message).toContain('aes-256-gcm or xchacha20-poly1305');
  });

  test.each(Object.keys(WRONG))('%s ends every command with exit code 2 and its name', async (setting) => {
    const env = { KEYHOLD_HOME: temporaryFolder(), [setting]: WRONG[setting]?.at(-1) };
    const { code, stdout, stderr } = await runProgram(['status', '--json'], { env });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'INVALID_INPUT', reason: 'setting_invalid', message: expect.stringContaining(setting) },
    });
  });

  test('does not stop the MCP server: it lists its tools, and a call returns the name of the setting', async () => {
    const child = startProgram(['mcp'], { env: { KEYHOLD_HOME: temporaryFolder(), KEYHOLD_LOG: 'loud' } });
    const client = await connectStdioClient(child);
    // Invalid messages, which would be logged, but there is no log.
    child.stdin?.write('{"jsonrpc":"2.0","id":"x","method":7}\n{"neither":1}\n');
    expect(await client.listTools()).toContain('list_services');
    const { error } = await client.call('list_services');
    expect(error).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'setting_invalid',
      message: expect.stringContaining('KEYHOLD_LOG'),
    });
    expect(await client.listTools()).toContain('list_services');
    expect(await client.end()).toBe(0);
  });
});

describe('parseSettings', () => {
  test('puts everything into the data folder of the platform by default', () => {
    const settings = parseSettings({ HOME: '/home/ann', USERPROFILE: 'C:\\Users\\ann' });
    expect(settings.home).toMatch(/ann/);
    expect(settings.home).toMatch(/keyhold/i);
    expect(JSON.stringify(settings.store).includes(settings.home)).toBe(true);
    expect(settings).toMatchObject({ cipher: 'aes-256-gcm', log: 'info', root_key: { kind: 'file' } });
  });

  test('puts everything into KEYHOLD_HOME', () => {
    expect(parseSettings({ KEYHOLD_HOME: '/srv/keyhold' })).toEqual({
      home: '/srv/keyhold',
      store: { kind: 'sqlite', path: '/srv/keyhold/data/vault.db' },
      root_key: { kind: 'file', path: '/srv/keyhold/keys/root.key' },
      key_cache_ms: 3_600_000,
      services_folder: '/srv/keyhold/services',
      cipher: 'aes-256-gcm',
      protects: false,
      log: 'info',
    });
  });

  test('resolves the paths of other settings against the home', () => {
    const home = '/srv/keyhold';
    const settings = parseSettings({
      KEYHOLD_HOME: home,
      KEYHOLD_STORE: 'sqlite:elsewhere/my.db',
      KEYHOLD_ROOT_KEY: 'file:../my.key',
    });
    expect(settings.store).toEqual({ kind: 'sqlite', path: join(home, 'elsewhere', 'my.db') });
    expect(settings.root_key).toEqual({ kind: 'file', path: join(home, '..', 'my.key') });
  });

  test('keeps absolute paths', () => {
    const settings = parseSettings({
      KEYHOLD_HOME: '/srv/keyhold',
      KEYHOLD_STORE: 'sqlite:/data/with space:and colon.db',
      KEYHOLD_ROOT_KEY: 'file:/run/secrets/root key',
    });
    expect(settings.store).toEqual({ kind: 'sqlite', path: '/data/with space:and colon.db' });
    expect(settings.root_key).toEqual({ kind: 'file', path: '/run/secrets/root key' });
  });

  test('accepts the other key sources, the other cipher and the other log levels', () => {
    expect(parseSettings({ KEYHOLD_ROOT_KEY: 'env:VAULT_KEY' }).root_key).toEqual({
      kind: 'env',
      name: 'VAULT_KEY',
    });
    expect(parseSettings({ KEYHOLD_ROOT_KEY: 'passphrase' }).root_key).toEqual({ kind: 'passphrase' });
    expect(parseSettings({ KEYHOLD_CIPHER: 'xchacha20-poly1305' }).cipher).toBe('xchacha20-poly1305');
    expect(parseSettings({ KEYHOLD_PROTECT: 'on' }).protects).toBe(true);
    for (const log of ['debug', 'info', 'warn', 'error', 'silent']) {
      expect(parseSettings({ KEYHOLD_LOG: log }).log).toBe(log);
    }
  });

  test('expands a leading ~/ to the home folder in every path', () => {
    const settings = parseSettings({
      HOME: '/home/ann',
      KEYHOLD_HOME: '~/vault',
      KEYHOLD_STORE: 'sqlite:~/my.db',
      KEYHOLD_ROOT_KEY: 'file:~/keys/my.key',
    });
    expect(settings).toMatchObject({
      home: '/home/ann/vault',
      store: { kind: 'sqlite', path: '/home/ann/my.db' },
      root_key: { kind: 'file', path: '/home/ann/keys/my.key' },
    });
    expect(parseSettings({ HOME: '/home/ann', KEYHOLD_HOME: '~' }).home).toBe('/home/ann');
    expect(parseSettings({ HOME: '/home/ann', KEYHOLD_HOME: '/srv/~/x' }).home).toBe('/srv/~/x');
  });

  test('ignores relative folders of the platform, which would follow the working directory', () => {
    expect(parseSettings({ HOME: '/home/ann', XDG_DATA_HOME: 'data' }).home).toBe(
      '/home/ann/.local/share/keyhold',
    );
    expect(parseSettings({ HOME: '/home/ann', XDG_DATA_HOME: '/data' }).home).toBe('/data/keyhold');
    expect(parseSettings({ HOME: 'here' }).home).toMatch(/^\//);
    expect(parseSettings({ HOME: '' }).home).toMatch(/^\//);
  });

  test('ignores other environment variables', () => {
    expect(
      parseSettings({ KEYHOLD_HOME: '/srv/keyhold', KEYHOLD_PASSPHRASE: SECRET, PATH: '' }),
    ).not.toHaveProperty('KEYHOLD_PASSPHRASE');
  });
});
