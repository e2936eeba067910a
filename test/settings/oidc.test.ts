/** The settings of the identity provider: all that are required or none, and its secret from a variable or a file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseOidcSettings } from '../../src/settings/oidc.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const SECRET = 'a-secret-that-no-message-repeats';
const REQUIRED = {
  KEYHOLD_OIDC_ISSUER: 'https://login.example/tenant',
  KEYHOLD_OIDC_CLIENT_ID: 'keyhold',
  KEYHOLD_OIDC_ORGANIZATION: 'acme',
};
const WRONG = Object.entries({
  KEYHOLD_OIDC_ISSUER: [
    '',
    'http://login.example',
    'login.example',
    `https://a:${SECRET}@b.example`,
    'https://a.example/?x',
  ],
  KEYHOLD_OIDC_CLIENT_ID: ['', 'two words', 'x'.repeat(256)],
  KEYHOLD_OIDC_ORGANIZATION: ['', 'local', 'Acme'],
  KEYHOLD_OIDC_USERS: ['', 'ana', 'a=b,a=c', 'a=oauth/1/b', 'a=local/me'],
  KEYHOLD_OIDC_NAME: ['', 'x'.repeat(51), 'two\nlines', 'hidden\u200b'],
  KEYHOLD_OIDC_SCOPES: ['', 'email', 'openid "x"'],
}).flatMap(([setting, texts]) => texts.map((text) => ({ setting, text })));

function refusal(env: NodeJS.ProcessEnv, home = '/'): string {
  try {
    parseOidcSettings(env, home);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toStrictEqual(['INVALID_INPUT', 'setting_invalid']);
    return error.message;
  }
  throw new Error('the settings were accepted');
}

describe('parseOidcSettings', () => {
  test.each(WRONG)('rejects $setting="$text" and names the setting', ({ setting, text }) => {
    const message = refusal({ ...REQUIRED, [setting]: text });
    expect(message).toMatch(new RegExp(`^The setting ${setting} must (?:be|name) .+\\.$`));
    expect(message).not.toContain(SECRET);
  });

  test.each(Object.keys(REQUIRED))('rejects the settings without %s', (missing) => {
    const env = { ...REQUIRED, KEYHOLD_OIDC_NAME: 'Acme', [missing]: undefined };
    expect(refusal(env)).toContain(`${missing} must be set too when KEYHOLD_OIDC_`);
    expect(refusal({ KEYHOLD_OIDC_CLIENT_SECRET: SECRET })).toContain('KEYHOLD_OIDC_ISSUER must be set too');
  });

  test('returns undefined without any of the settings', () => {
    expect(parseOidcSettings({ KEYHOLD_OAUTH_ISSUER: 'https://login.example' }, '/')).toBeUndefined();
  });

  test('returns a public client with the scope openid, named by the host of the issuer', () => {
    expect(parseOidcSettings(REQUIRED, '/')).toStrictEqual({
      issuer: 'https://login.example/tenant',
      client_id: 'keyhold',
      client_secret: undefined,
      organization: 'acme',
      users: new Map(),
      name: 'login.example',
      scopes: ['openid'],
    });
  });

  test('returns all settings', () => {
    const env = {
      ...REQUIRED,
      KEYHOLD_OIDC_CLIENT_SECRET: ` ${SECRET}\n`,
      KEYHOLD_OIDC_USERS: 'auth0|1=ana, 2=bob',
      KEYHOLD_OIDC_NAME: 'Acme SSO',
      KEYHOLD_OIDC_SCOPES: 'openid email,profile',
    };
    const found = parseOidcSettings(env, '/');
    expect(found?.client_secret?.reveal()).toBe(SECRET);
    expect(found).toMatchObject({
      name: 'Acme SSO',
      scopes: ['openid', 'email', 'profile'],
    });
    expect([...(found?.users ?? [])]).toEqual([
      ['auth0|1', 'ana'],
      ['2', 'bob'],
    ]);
    expect(JSON.stringify(found)).not.toContain(SECRET);
  });

  test('reads the client secret from a file, whose path starts at the home folder', () => {
    const home = temporaryFolder();
    writeFileSync(join(home, 'client.secret'), `${SECRET}\n`);
    const env = { ...REQUIRED, KEYHOLD_OIDC_CLIENT_SECRET_FILE: 'client.secret' };
    expect(parseOidcSettings(env, home)?.client_secret?.reveal()).toBe(SECRET);
  });

  test.each([
    ['that is missing', undefined, 'cannot be read'],
    ['that is empty', ' \n', 'must name a file that is not empty'],
    ['that is too large', 'x'.repeat(4097), 'at most 4096 bytes'],
  ])('rejects a file %s', (_title, content, message) => {
    const home = temporaryFolder();
    if (content !== undefined) writeFileSync(join(home, 'client.secret'), content);
    const env = { ...REQUIRED, KEYHOLD_OIDC_CLIENT_SECRET_FILE: 'client.secret' };
    expect(refusal(env, home)).toContain(message);
  });

  test.each([
    [{ KEYHOLD_OIDC_CLIENT_SECRET: '' }, 'must be a text that is not empty'],
    [{ KEYHOLD_OIDC_CLIENT_SECRET: '$SECRET' }, 'reference'],
    [
      { KEYHOLD_OIDC_CLIENT_SECRET: SECRET, KEYHOLD_OIDC_CLIENT_SECRET_FILE: 'x' },
      'KEYHOLD_OIDC_CLIENT_SECRET must not be set too when KEYHOLD_OIDC_CLIENT_SECRET_FILE is',
    ],
  ])('rejects %o', (env, message) => {
    const text = refusal({ ...REQUIRED, ...env });
    expect(text).toContain(message);
    expect(text).not.toContain(SECRET);
  });
});
