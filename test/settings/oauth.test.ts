/** The settings of access tokens: all that are required or none, and no URL whose response could be forged on the way. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseOAuthSettings } from '../../src/settings/oauth.ts';

const SECRET = 'a-secret-in-the-wrong-place';
const ISSUER = { KEYHOLD_OAUTH_ISSUER: 'https://login.example/tenant/' };
const AUDIENCE = { KEYHOLD_OAUTH_AUDIENCE: 'https://vault.example/mcp' };
const NO_URLS = [
  '',
  SECRET,
  'http://login.example',
  'ftp://login.example',
  'file:///etc/passwd',
  `https://user:${SECRET}@login.example`,
  `https://login.example/?key=${SECRET}`,
  `https://login.example/#${SECRET}`,
  'https://login.example/ x',
];
const WRONG = Object.entries({
  KEYHOLD_OAUTH_ISSUER: NO_URLS,
  KEYHOLD_OAUTH_JWKS_URL: NO_URLS,
  KEYHOLD_OAUTH_AUDIENCE: ['', 'two words', 'x'.repeat(256)],
  KEYHOLD_OAUTH_ORGANIZATION: ['', 'Acme', 'a/b', 'local'],
  KEYHOLD_OAUTH_CLIENT_IDS: ['', 'a,,b', 'two words', 'a"b', Array(1_001).fill('x').join(',')],
  KEYHOLD_OAUTH_USERS: ['', 'ana', 'a=b=c', 'a=', '=b', 'a=../b', 'a=oauth/1/b', 'a=b,a=c'],
  KEYHOLD_OAUTH_CLIENT_SUBJECTS: ['', 'yes', 'TRUE'],
  KEYHOLD_OAUTH_TOKEN_TYPES: ['', 'at', 'jwt,', 'id+jwt'],
  KEYHOLD_OAUTH_LIFETIME: ['', '0', '-1', '1h', '1e3', '100000000'],
}).flatMap(([setting, texts]) => texts.map((text) => ({ setting, text })));

function refusal(env: NodeJS.ProcessEnv): string {
  try {
    parseOAuthSettings(env);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toStrictEqual(['INVALID_INPUT', 'setting_invalid']);
    return error.message;
  }
  throw new Error('the settings were accepted');
}

describe('parseOAuthSettings', () => {
  test.each(WRONG)('rejects $setting="$text" and names the setting', ({ setting, text }) => {
    const message = refusal({ ...ISSUER, ...AUDIENCE, [setting]: text });
    expect(message).toMatch(new RegExp(`^The setting ${setting} must (?:be|name) .+\\.$`));
    expect(message).not.toContain(SECRET);
  });

  test.each([
    [ISSUER, 'KEYHOLD_OAUTH_AUDIENCE must be set too when KEYHOLD_OAUTH_ISSUER is'],
    [AUDIENCE, 'KEYHOLD_OAUTH_ISSUER must be set too when KEYHOLD_OAUTH_AUDIENCE is'],
    [{ KEYHOLD_OAUTH_ORGANIZATION: 'acme' }, 'KEYHOLD_OAUTH_ISSUER must be set too'],
    [{ KEYHOLD_OAUTH_JWKS_URL: 'https://login.example/keys' }, 'KEYHOLD_OAUTH_ISSUER must be set too'],
  ])('rejects %o without the other settings', (env, message) => {
    expect(refusal(env)).toContain(message);
  });

  test('returns undefined without any of the settings', () => {
    expect(parseOAuthSettings({})).toBeUndefined();
  });

  test('keeps the issuer as it is written, since it is compared exactly', () => {
    expect(parseOAuthSettings({ ...ISSUER, ...AUDIENCE })).toStrictEqual({
      issuer: 'https://login.example/tenant/',
      audience: 'https://vault.example/mcp',
      client_ids: [],
      jwks_url: undefined,
      organization: undefined,
      users: new Map(),
      client_subjects: false,
      token_types: ['at+jwt'],
      lifetime_max_seconds: 86_400,
    });
  });

  test('accepts an issuer on this machine over http, and every other setting', () => {
    const env = {
      KEYHOLD_OAUTH_ISSUER: 'http://127.0.0.1:8080',
      KEYHOLD_OAUTH_AUDIENCE: 'keyhold',
      KEYHOLD_OAUTH_JWKS_URL: 'http://[::1]:8080/keys',
      KEYHOLD_OAUTH_ORGANIZATION: 'acme',
      KEYHOLD_OAUTH_CLIENT_IDS: '7f3k, 9x',
      KEYHOLD_OAUTH_USERS: 'auth0|7=ada, 8@clients=ben@acme.example',
      KEYHOLD_OAUTH_CLIENT_SUBJECTS: 'true',
      KEYHOLD_OAUTH_TOKEN_TYPES: 'JWT,none',
      KEYHOLD_OAUTH_LIFETIME: '3600',
    };
    expect(parseOAuthSettings(env)).toStrictEqual({
      issuer: 'http://127.0.0.1:8080',
      audience: 'keyhold',
      client_ids: ['7f3k', '9x'],
      jwks_url: 'http://[::1]:8080/keys',
      organization: 'acme',
      users: new Map([
        ['auth0|7', 'ada'],
        ['8@clients', 'ben@acme.example'],
      ]),
      client_subjects: true,
      token_types: ['jwt', 'none'],
      lifetime_max_seconds: 3_600,
    });
  });
});
