/** The HTTP settings: an invalid one is named and its text never repeated, and a valid one is parsed. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseHttpSettings } from '../../src/settings/http.ts';

const SECRET = 'a-secret-in-the-wrong-place';
const HOME = '/srv/keyhold';
const NO_LIMITS = ['', '-1', '1.5', '1e3', '1000001', '99999999999999999999', 'none', '1 1', SECRET];
const WRONG = Object.entries({
  KEYHOLD_HOST: [
    '',
    ' ',
    'a b',
    'http://localhost',
    'localhost:8787',
    '127.0.0.1/8',
    '[::1',
    ':::',
    `${SECRET}!`,
  ],
  KEYHOLD_PORT: ['', '-1', '65536', '8787.0', '0x1f90', '87 87', 'http', SECRET],
  KEYHOLD_PUBLIC_URL: [
    '',
    'vault.example.com',
    '//vault.example.com',
    'ftp://vault.example.com',
    'javascript:alert(1)',
    `https://user:${SECRET}@vault.example.com`,
    `https://vault.example.com/?key=${SECRET}`,
    `https://vault.example.com/#${SECRET}`,
    'https://vault.example.com/a b',
    SECRET,
  ],
  KEYHOLD_ALLOWED_HOSTS: ['', ',', 'a,', 'a b', '*', '*.example.com', 'a:8787', 'https://a', `a,${SECRET}!`],
  KEYHOLD_BEHIND_PROXY: ['', 'yes', '1', 'TRUE', SECRET],
  KEYHOLD_TLS_CERT: ['', '  '],
  KEYHOLD_TLS_KEY: ['', '  '],
  KEYHOLD_RATE_LIMIT: NO_LIMITS,
  KEYHOLD_AUTH_FAILURE_LIMIT: NO_LIMITS,
  KEYHOLD_DRAIN_SECONDS: ['', '-1', '0.5', '301', '10s', SECRET],
}).flatMap(([setting, texts]) => texts.map((text) => ({ setting, text })));

function refusal(env: NodeJS.ProcessEnv): string {
  try {
    parseHttpSettings(env, HOME);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toStrictEqual(['INVALID_INPUT', 'setting_invalid']);
    return error.message;
  }
  throw new Error('the settings were accepted');
}

describe('parseHttpSettings', () => {
  test.each(WRONG)('rejects $setting="$text" and names the setting', ({ setting, text }) => {
    const message = refusal({ [setting]: text });
    expect(message).toMatch(new RegExp(`^The setting ${setting} must be .+\\.$`));
    expect(message).not.toContain(SECRET);
  });

  test('defaults to loopback, no TLS and rate limits', () => {
    expect(parseHttpSettings({}, HOME)).toStrictEqual({
      host: '127.0.0.1',
      port: 8787,
      public_url: undefined,
      allowed_hosts: [],
      behind_proxy: false,
      tls: undefined,
      requests_per_minute: 60,
      auth_failures_per_minute: 10,
      drain_seconds: 0,
    });
  });

  test('parses every setting and resolves paths against the home folder', () => {
    const http = parseHttpSettings(
      {
        KEYHOLD_HOST: '[::]',
        KEYHOLD_PORT: '0',
        KEYHOLD_PUBLIC_URL: 'HTTPS://Vault.example.com/keyhold//',
        KEYHOLD_ALLOWED_HOSTS: 'vault.internal, 10.0.0.5 ,[fd00::1]',
        KEYHOLD_BEHIND_PROXY: 'true',
        KEYHOLD_TLS_CERT: 'tls/cert.pem',
        KEYHOLD_TLS_KEY: '/etc/key.pem',
        KEYHOLD_RATE_LIMIT: '0',
        KEYHOLD_AUTH_FAILURE_LIMIT: '1000000',
        KEYHOLD_DRAIN_SECONDS: '300',
      },
      HOME,
    );
    expect(http).toStrictEqual({
      host: '::',
      port: 0,
      public_url: 'https://vault.example.com/keyhold',
      allowed_hosts: ['vault.internal', '10.0.0.5', 'fd00::1'],
      behind_proxy: true,
      tls: { cert_path: '/srv/keyhold/tls/cert.pem', key_path: '/etc/key.pem' },
      requests_per_minute: 0,
      auth_failures_per_minute: 1_000_000,
      drain_seconds: 300,
    });
  });

  test('waits five seconds before it stops behind a proxy, unless the setting has another time', () => {
    expect(parseHttpSettings({ KEYHOLD_BEHIND_PROXY: 'true' }, HOME).drain_seconds).toBe(5);
    const env = { KEYHOLD_BEHIND_PROXY: 'true', KEYHOLD_DRAIN_SECONDS: '0' };
    expect(parseHttpSettings(env, HOME).drain_seconds).toBe(0);
  });

  test('rejects a certificate without its key and a key without its certificate', () => {
    expect(refusal({ KEYHOLD_TLS_CERT: '/a' })).toBe(
      'The setting KEYHOLD_TLS_KEY must be set too when KEYHOLD_TLS_CERT is.',
    );
    expect(refusal({ KEYHOLD_TLS_KEY: '/a' })).toBe(
      'The setting KEYHOLD_TLS_CERT must be set too when KEYHOLD_TLS_KEY is.',
    );
  });
});
