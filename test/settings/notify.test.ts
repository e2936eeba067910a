/** The settings of notifications: all off by default, a webhook only with its secret. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { parseNotifySettings } from '../../src/settings/notify.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const URL_SETTING = 'KEYHOLD_NOTIFY_WEBHOOK';
const SECRET_SETTING = 'KEYHOLD_NOTIFY_WEBHOOK_SECRET';
const BYTES = Buffer.alloc(32, 0xfe);
const SECRET = `whsec_${BYTES.toString('base64')}`;
const PASSWORD = 'a-password-that-no-message-repeats';
const WEBHOOK = { [URL_SETTING]: 'https://hooks.example/keyhold?a=1', [SECRET_SETTING]: SECRET };

function refusal(env: NodeJS.ProcessEnv, home = '/'): string {
  try {
    parseNotifySettings(env, home);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toStrictEqual(['INVALID_INPUT', 'setting_invalid']);
    return error.message;
  }
  throw new Error('the settings were accepted');
}

describe('parseNotifySettings', () => {
  test.each([
    ['', URL_SETTING],
    ['hooks.example', URL_SETTING],
    ['http://hooks.example', URL_SETTING],
    ['file:///etc/passwd', URL_SETTING],
    [`https://user:${PASSWORD}@hooks.example`, URL_SETTING],
    ['yes', 'KEYHOLD_NOTIFY_DESKTOP'],
    ['', 'KEYHOLD_NOTIFY_DESKTOP'],
    ['', SECRET_SETTING],
    ['$SECRET', SECRET_SETTING],
    [BYTES.toString('base64'), SECRET_SETTING],
    [`whsec_${PASSWORD}`, SECRET_SETTING],
    [`whsec_${Buffer.alloc(23).toString('base64')}`, SECRET_SETTING],
    [`whsec_${Buffer.alloc(65).toString('base64')}`, SECRET_SETTING],
  ])('rejects the text "%s" of %s and names the setting', (text, setting) => {
    const message = refusal({ ...WEBHOOK, [setting]: text });
    expect(message).toMatch(new RegExp(`^The setting ${setting} (?:must|contains) .+\\.$`));
    expect(message).not.toContain(PASSWORD);
  });

  test('rejects a webhook without a secret, and a secret without a webhook', () => {
    expect(refusal({ ...WEBHOOK, [SECRET_SETTING]: undefined })).toContain(`${SECRET_SETTING} or`);
    expect(refusal({ [SECRET_SETTING]: SECRET })).toContain(`${URL_SETTING} must be set too`);
  });

  test('returns all off without settings', () => {
    expect(parseNotifySettings({}, '/')).toStrictEqual({ webhook: undefined, desktop: false });
  });

  test.each(['https://hooks.example/a', 'http://127.0.0.1:9000/', 'http://localhost:9000/a?b=c'])(
    'returns the webhook %s with the key of the secret',
    (url) => {
      const { webhook, desktop } = parseNotifySettings({ ...WEBHOOK, [URL_SETTING]: url }, '/');
      expect([webhook?.url, desktop]).toStrictEqual([url, false]);
      expect(webhook?.key.export()).toStrictEqual(BYTES);
    },
  );

  test('reads the secret from a file in the home folder', () => {
    const home = temporaryFolder();
    writeFileSync(join(home, 'hook.secret'), `${SECRET}\n`);
    const env = { [URL_SETTING]: WEBHOOK[URL_SETTING], [`${SECRET_SETTING}_FILE`]: 'hook.secret' };
    expect(parseNotifySettings(env, home).webhook?.key.export()).toStrictEqual(BYTES);
    expect(refusal({ ...env, [`${SECRET_SETTING}_FILE`]: 'missing' }, home)).toContain('cannot be read');
  });
});
