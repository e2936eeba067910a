import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { FIELDS_PER_CREDENTIAL_MAX, VALUE_MAX_BYTES } from '../../../src/contract/limits.ts';
import type { FieldDefinition } from '../../../src/contract/service/fields.ts';
import type { CredentialType, Service } from '../../../src/contract/service/service.ts';
import { checkValues, fieldForType } from '../../../src/vault/credentials/value_validation.ts';
import { decryptStoredValues, readAuditEntryRows, readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

function field(field_id: string, change: Partial<FieldDefinition> = {}): FieldDefinition {
  const same = { name: field_id, description: field_id, required: true, secret: true };
  return { field_id, ...same, max_length: VALUE_MAX_BYTES, ...change };
}

function service(change: Partial<Service> = {}): Service {
  return {
    slug: 'big',
    id: '3f2d6c1e-8b1a-5e0c-9a57-0d5f6d3f4b11',
    name: 'Big',
    description: 'Takes long values.',
    category: 'other',
    fields: [
      field('key'),
      field('short', { max_length: 10 }),
      field('digits', { pattern: '[0-9]+', example: '123' }),
      field('token', { pattern: '^\\S+$', required: false }),
      field('lines', { pattern: '[^x]+', required: false, multiline: true }),
      field('site', {
        required: false,
        secret: false,
        choices: [
          { value: 'eu.example.com', name: 'Europe' },
          { value: 'example.com', name: 'America' },
        ],
      }),
    ],
    value_field: { bearer: 'key' },
    credential_types: ['bearer'],
    hosts: [],
    injection: { in: 'none' },
    ...change,
  };
}

/** Replaces the vault's key: sealing reverses the text. */
const SEALED = 'INVALID_INPUT sealed_value_unreadable The sealed value cannot be used';
const unseal = (text: string) => [...text.slice('sealed:'.length)].reverse().join('');

function checked(given: Readonly<Record<string, string>>): Record<string, string> {
  const values = checkValues(service(), new Map(Object.entries(given)), unseal);
  return Object.fromEntries([...values].map(([id, value]) => [id, value.reveal()]));
}

function refusal(given: Readonly<Record<string, string>>): string {
  try {
    checked(given);
  } catch (error) {
    if (error instanceof VaultError) return `${error.code} ${error.reason ?? '-'} ${error.message}`;
    throw error;
  }
  throw new Error('was taken');
}

describe('a refused value', () => {
  test.each<readonly [string, Record<string, string>, string]>([
    ['empty', { key: '' }, 'INVALID_INPUT - The value of key is empty.'],
    ['spaces alone', { key: ' \t\n\u00a0' }, 'INVALID_INPUT - The value of key is empty.'],
    [
      'a half surrogate pair',
      { key: 'canary\ud83d' },
      'INVALID_INPUT - The value of key is not well-formed text',
    ],
    ['the other half', { key: '\udd10canary' }, 'INVALID_INPUT - The value of key is not well-formed text'],
    [
      'one byte more than 64 KiB',
      { key: 'c'.repeat(65_537) },
      'INVALID_INPUT - The value of key is larger than 64 KiB.',
    ],
    [
      'more bytes than characters',
      { key: '🔐'.repeat(16_385) },
      'INVALID_INPUT - The value of key is larger than 64 KiB.',
    ],
    [
      'longer than its field takes',
      { short: 'canary-canary' },
      'INVALID_INPUT - The value of short is longer than 10 characters.',
    ],
    [
      'of another form',
      { digits: 'canary' },
      'INVALID_INPUT - The value of digits does not match its format (example: 123).',
    ],
    [
      'of the right form in part',
      { digits: '123canary' },
      'INVALID_INPUT - The value of digits does not match its format',
    ],
    [
      'of the right form in one line',
      { digits: '123\ncanary' },
      'INVALID_INPUT - The value of digits does not match its format',
    ],
    [
      'that is not among the choices of its field',
      { site: 'canary.example.com' },
      'INVALID_INPUT - The value of site must be one of: eu.example.com, example.com.',
    ],
    [
      'with a part of a choice',
      { site: 'example.com.' },
      'INVALID_INPUT - The value of site must be one of: eu.example.com, example.com.',
    ],
    ['sealed that is not among the choices', { site: 'sealed:yranac' }, SEALED],
    ['sealed twice', { key: 'sealed:yranac:delaes' }, SEALED],
    ['empty once it is opened', { key: 'sealed: ' }, SEALED],
    ['too long once it is opened', { short: 'sealed:yranac-yranac' }, SEALED],
    [
      'for no field of the service',
      { canary: 'canary' },
      'INVALID_INPUT - credentials names a field that Big does not have. Its fields: key, short, digits, token, lines, site.',
    ],
    [
      'with a good one beside it',
      { key: 'good', short: 'canary-canary' },
      'INVALID_INPUT - The value of short is longer',
    ],
  ])('%s', (_, given, expected) => {
    const message = refusal(given);
    expect(message.startsWith(expected)).toBe(true);
    expect(message).not.toMatch(/canary|yranac/);
  });

  test.each(['\t', '\n', '\r', ' '])(
    'a value with %j inside is refused if the field allows no blank',
    (blank) => {
      expect(refusal({ token: `a${blank}b` })).toBe(
        'INVALID_INPUT - The value of token does not match its format.',
      );
    },
  );

  test('an update without values, or with too many, is refused', () => {
    expect(refusal({})).toBe('INVALID_INPUT - credentials must name at least one field.');
    const many = Object.fromEntries(
      Array.from({ length: FIELDS_PER_CREDENTIAL_MAX + 1 }, (_, at) => [`canary${at}`, 'v']),
    );
    expect(refusal(many)).toBe('INVALID_INPUT - credentials must have at most 64 fields.');
  });
});

describe('an accepted value', () => {
  test.each<readonly [string, Record<string, string>]>([
    ['64 KiB of one byte each', { key: 'k'.repeat(65_536) }],
    ['64 KiB of four bytes each', { key: '🔐'.repeat(16_384) }],
    ['as long as its field takes', { short: '0123456789' }],
    ['with tabs and line breaks, where its form has them', { lines: 'a\tb\r\nc\n' }],
    ['not composed as others would', { key: 'e\u0301 \ufb01' }],
    ['almost sealed', { key: 'Sealed:abc' }],
    ['sealed in the middle', { key: 'not sealed:abc' }],
  ])('%s', (_, given) => {
    expect(checked(given)).toEqual(given);
  });

  test('that differs from a choice in case is stored as the choice', () => {
    expect(checked({ site: 'EU.example.com' })).toEqual({ site: 'eu.example.com' });
  });

  test('a sealed value is validated after decryption', () => {
    expect(checked({ key: 'sealed:eulav', digits: '7' })).toEqual({ key: 'value', digits: '7' });
  });
});

describe('an empty value in an update of several fields', () => {
  const kept = (given: Readonly<Record<string, string>>) => {
    const values = checkValues(service(), new Map(Object.entries(given)), unseal, 'keep');
    return Object.fromEntries([...values].map(([id, value]) => [id, value.reveal()]));
  };

  test('an empty value counts as not given, unless the service requires the field', () => {
    expect(kept({ key: 'k', token: '', more: '' })).toEqual({ key: 'k' });
    expect(() => kept({ key: '', token: 't' })).toThrow('The value of key is empty.');
    expect(() => kept({ token: '', more: '' })).toThrow('credentials must name at least one field.');
  });

  test('a blank value, or an empty one among updated fields, does not count as not given', () => {
    expect(() => kept({ key: 'k', more: ' ' })).toThrow('The value of more is empty.');
    expect(refusal({ key: 'k', token: '' })).toBe('INVALID_INPUT - The value of token is empty.');
  });
});

describe('the field for a single value', () => {
  const fieldFor = (value_field: Service['value_field'], type: CredentialType) =>
    fieldForType(service({ value_field }), type);

  test('the field for a single value is named by the definition, and one name works for both types', () => {
    expect(fieldFor({ bearer: 'short', api_key: 'key' }, 'bearer')).toBe('short');
    expect(fieldFor({ bearer: 'short', api_key: 'key' }, 'api_key')).toBe('key');
    expect(fieldFor({ bearer: 'short' }, 'api_key')).toBe('short');
    expect(fieldFor({ api_key: 'key' }, 'bearer')).toBe('key');
  });

  test.each<CredentialType>(['basic', 'oauth2', 'user_password', 'key_file', 'custom'])(
    '%s has no field for a single value',
    (type) => {
      expect(() => fieldFor({ bearer: 'key', api_key: 'key' }, type)).toThrow(
        expect.objectContaining({
          code: 'INVALID_INPUT',
          message: expect.stringContaining('key, short, digits, token, lines'),
        }),
      );
    },
  );

  test('a service without a value field has no field for a single value', () => {
    expect(() => fieldFor({}, 'bearer')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

test('the largest value is stored, and a value one byte larger leaves no trace', async () => {
  const home = temporaryFolder();
  fs.mkdirSync(path.join(home, 'services'), { recursive: true });
  const { id: _, ...definition } = service();
  fs.writeFileSync(path.join(home, 'services', 'big.json'), JSON.stringify(definition));
  const { vault, caller } = await openTestVault(home);
  const store = (credential_value: string) =>
    vault.store(caller(), { service_id: 'big', credential_type: 'bearer', credential_value });
  await expect(store(`${'é'.repeat(32_768)}x`)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  // The entries of `init` and of the approved definition.
  expect([await readCredentialRows(home), (await readAuditEntryRows(home)).length]).toEqual([[], 2]);
  const { credential_id } = await store('é'.repeat(32_768));
  expect((await decryptStoredValues(home, credential_id)).key === 'é'.repeat(32_768)).toBe(true);
});

test('an update with a placeholder in one field is refused, and the stored values and the log stay as they were', async () => {
  const { vault, caller, home } = await openTestVault();
  const { credential_id } = await vault.store(caller(), {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_good',
  });
  const before = await decryptStoredValues(home, credential_id);
  const entries = (await readAuditEntryRows(home)).length;
  for (const placeholder of ['********', `\${LINEAR_API_KEY}`, 'op://work/linear/key', 'lin_\u200bapi_x']) {
    const update = vault.update(caller(), {
      service_id: 'linear',
      credentials: { linear_api_key: placeholder },
    });
    await expect(update).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  }
  expect(await decryptStoredValues(home, credential_id)).toEqual(before);
  expect((await readAuditEntryRows(home)).length).toBe(entries);
});
