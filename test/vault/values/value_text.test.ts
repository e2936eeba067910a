/** Texts that are not values: placeholders, masks, references, invisible characters; and what is removed around a value. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { ServiceCatalogue } from '../../../src/services/catalogue.ts';
import { checkValues } from '../../../src/vault/credentials/value_validation.ts';

const services = ServiceCatalogue.load();
/** Replaces the vault's key: sealing reverses the text. */
const unseal = (text: string) => [...text.slice('sealed:'.length)].reverse().join('');
const seal = (text: string) => `sealed:${[...text].reverse().join('')}`;

/** What is stored for a field of a built-in service. */
function stored(slug: string, field: string, text: string): string | undefined {
  return checkValues(services.get(slug), new Map([[field, text]]), unseal)
    .get(field)
    ?.reveal();
}

function refusal(slug: string, field: string, text: string): string {
  try {
    stored(slug, field, text);
  } catch (error) {
    if (error instanceof VaultError && error.code === 'INVALID_INPUT') return error.message;
    throw error;
  }
  return 'stored';
}

const REFERENCES = [
  'env://OPENAI_API_KEY',
  ' vault://secret/openai#key',
  'ENV://x',
  'op://Private/OpenAI/credential',
  'ref+vault://secret/openai',
  'arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai',
  'projects/42/secrets/openai/versions/latest',
  '@Microsoft.KeyVault(SecretUri=https://canary)',
  'ENC[AES256_GCM,data:canary,type:str]',
  `\${OPENAI_API_KEY}`,
  `\${OPENAI_API_KEY:-canary}`,
  `\${{ secrets.OPENAI }}`,
  '{{ canary }}',
  '$(pass show openai)',
  '$OPENAI_API_KEY',
  '$TOKEN',
  '$env:OPENAI_API_KEY',
  '%OPENAI_API_KEY%',
  'process.env.OPENAI_API_KEY',
  'os.environ["OPENAI_API_KEY"]',
];
const PLACEHOLDERS = [
  '***',
  '********',
  '••••••••',
  'xxxxxxxxxxxx',
  '[REDACTED]',
  '[redacted]',
  '<redacted>',
  'REDACTED',
  '***REDACTED***',
  '[hidden]',
  '<token>',
  '<your api key>',
  '<YOUR_API_KEY>',
  '[your-api-key]',
  '{api_key}',
  'your-api-key',
  'YOUR_OPENAI_API_KEY',
  'yourapikey',
  'sk-your-key-here',
  'ghp_your_token_here',
  'your access token',
  'API_KEY_HERE',
  'insert-api-key',
  'replace_me',
  'replace-with-your-key',
  'undefined',
  'null',
  'None',
  '[object Object]',
  'sk-****1234',
  'sk-••••1234',
  'sk-abc…xyz',
];

describe('a text that is not a value', () => {
  test.each(REFERENCES)('the reference %j is refused, plain or sealed', (text) => {
    expect(refusal('mysql', 'mysql_password', seal(text))).toContain('The sealed value cannot be used');
    for (const given of [text, `\ufeff${text}\r\n`]) {
      const message = refusal('mysql', 'mysql_password', given);
      expect(message).toMatch(
        /^The value of mysql_password is a reference to a value elsewhere(?: that may not be resolved here)?; give the value itself/,
      );
    }
  });

  test.each(PLACEHOLDERS)('the placeholder %j is refused, plain or sealed', (text) => {
    expect(refusal('mysql', 'mysql_password', seal(text))).toContain('The sealed value cannot be used');
    for (const given of [text, ` ${text}\n`]) {
      expect(refusal('mysql', 'mysql_password', given)).toMatch(
        /^The value of mysql_password is (?:a placeholder or masked text|masked: some of its characters are hidden); give the (?:whole value|value itself)\.$/,
      );
    }
  });

  test.each([
    ['a zero-width space', 'lin_\u200bapi'],
    ['a zero-width joiner between letters', 'lin\u200dapi'],
    ['a word joiner', 'lin_api\u2060x'],
    ['a byte order mark inside', 'lin_\ufeffapi'],
    ['a soft hyphen', 'lin_\u00adapi'],
    ['a direction mark', 'lin_\u202eapi'],
    ['an isolate', 'lin\u2066api'],
    ['a line separator', 'lin\u2028api'],
    ['a Hangul filler', 'lin\u3164api'],
    ['a tag character', 'lin\u{e0041}api'],
    ['a variation selector after a letter', 'lin\ufe0fapi'],
    ['several variation selectors', 'lin\u2600\ufe0f\ufe0eapi'],
    ['a null character', 'lin\0api'],
    ['an escape sequence', 'lin\u001b[2Japi'],
    ['a C1 control character', 'lin\u009bapi'],
    ['a deletion', 'lin\u007fapi'],
  ])('a value with %s is refused in every field, plain or sealed', (_, text) => {
    expect(refusal('mysql', 'mysql_password', seal(text))).toContain('The sealed value cannot be used');
    for (const given of [text]) {
      for (const [slug, field] of [
        ['linear', 'linear_api_key'],
        ['mysql', 'mysql_password'],
        ['file_storage', 'bucket'],
      ] as const)
        expect(refusal(slug, field, given)).toMatch(
          new RegExp(`^The value of ${field} has an invisible character, such as `),
        );
    }
  });
});

describe('white space and a byte order mark around a value', () => {
  test.each([
    ['\ufefflin_api_x', 'lin_api_x'],
    ['lin_api_x\n', 'lin_api_x'],
    ['\ufeff \tlin_api_x \r\n\r\n', 'lin_api_x'],
    ['\u00a0lin_api_x\u3000', 'lin_api_x'],
  ])('%j is stored without them, plain or sealed', (text, expected) => {
    expect(stored('linear', 'linear_api_key', text)).toBe(expected);
    expect(stored('linear', 'linear_api_key', seal(text))).toBe(expected);
    expect(stored('linear', 'linear_api_key', `\ufeff ${seal(text)}\r\n`)).toBe(expected);
  });

  test('a private key of several lines keeps its last line end, without which OpenSSH refuses it', () => {
    const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n';
    expect(stored('sftp', 'private_key_data', key)).toBe(key);
    expect(stored('sftp', 'private_key_data', `\ufeff\n${key}\n\n`)).toBe(key);
    expect(stored('sftp', 'private_key_data', key.replaceAll('\n', '\r\n'))).toBe(
      key.replaceAll('\n', '\r\n'),
    );
    expect(stored('sftp', 'private_key_data', key.trimEnd())).toBe(key.trimEnd());
  });
});

describe('a value that only resembles a placeholder', () => {
  test.each([
    'correct horse battery staple',
    'pa$$w0rd',
    '$ecret!pass',
    '$2b$12$abcdefghijklmnopqrstuv',
    'changeme',
    'a***b',
    'x'.repeat(7),
    '<>&"\'',
    '{"type":"service_account","private_key":"-----BEGIN"}',
    'your majesty',
    'key here lies',
    'https://example.com/{{tenant}}',
    'Ключ-密码-🔑',
    '👩‍💻 at work',
    '❤️ passphrase',
    'می‌خواهم',
    'sealed',
    '100%',
    '%20%',
    'not-undefined',
    'postgresql://app:PASSWORD@db.example.com:5432/app',
    'sk-proj-abc123...',
  ])('%j is stored as it is', (text) => {
    expect(stored('mysql', 'mysql_password', text)).toBe(text);
  });

  test.each([
    ['aws_ses', 'from_address', 'Shop <hello@example.com>'],
    ['aws_ses', 'from_address', '<hello@example.com>'],
    ['file_storage', 'bucket', 'null'],
    ['file_storage', 'bucket', 'token'],
    ['file_storage', 'path_prefix', 'your-files/'],
  ])('the field %s/%s, which is not secret, may be %j', (slug, field, text) => {
    expect(stored(slug, field, text)).toBe(text);
  });

  test('every example of a built-in definition is accepted', () => {
    for (const service of services.list()) {
      for (const { field_id, example } of service.fields)
        if (example !== undefined) expect(stored(service.slug, field_id, example)).toBe(example);
    }
  });

  test('64 KiB of any repeated part are checked within a second', () => {
    const started = performance.now();
    for (const part of ['your ', 'a-', '*', '$', '{', '<a ', '\u200c', 'é\u200c', 'sk_your_', '\n']) {
      refusal('mysql', 'mysql_password', part.repeat(10_000));
      refusal('mysql', 'mysql_password', part.repeat(199 / part.length));
    }
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
