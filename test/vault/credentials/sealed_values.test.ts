/** Values sealed to the vault's public key. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { SEALED_VALUE_MAX_CHARACTERS, VALUE_MAX_BYTES } from '../../../src/contract/limits.ts';
import { sealValue } from '../../../src/crypto/sealed_box.ts';
import { loadSodium } from '../../../src/crypto/sodium.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import {
  decryptStoredValues,
  flipBit,
  readAuditEntryRows,
  readCredentialRows,
} from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const sodium = await loadSodium();
const LINEAR = { service_id: 'linear', credential_type: 'bearer' } as const;
const UNREADABLE = 'INVALID_INPUT sealed_value_unreadable';

describe('a sealed value', () => {
  test.each<readonly [string, (public_key: string) => string, string]>([
    [
      'sealed to another vault',
      () => sealValue(sodium, Buffer.alloc(32, 9).toString('base64'), 'v'),
      UNREADABLE,
    ],
    ['with nothing behind the prefix', () => 'sealed:', UNREADABLE],
    ['that is not base64', () => 'sealed:***', UNREADABLE],
    ['that is base64 of something else', () => 'sealed:AAAA', UNREADABLE],
    ['with a line break behind it', (key) => `${sealValue(sodium, key, 'v')}\n`, UNREADABLE],
    ['with a bit flipped', (key) => flipped(sealValue(sodium, key, 'v')), UNREADABLE],
    ['cut off', (key) => sealValue(sodium, key, 'a value').slice(0, -4), UNREADABLE],
    [
      'that was sealed twice',
      (key) => sealValue(sodium, key, sealValue(sodium, key, 'v')),
      'INVALID_INPUT double_seal',
    ],
    ['of nothing', (key) => sealValue(sodium, key, ''), 'INVALID_INPUT'],
    ['of what the field does not take', (key) => sealValue(sodium, key, 'has a space'), 'INVALID_INPUT'],
    [
      'of one byte more than 64 KiB',
      (key) => sealValue(sodium, key, 'k'.repeat(VALUE_MAX_BYTES + 1)),
      'INVALID_INPUT',
    ],
  ])('a sealed value %s is refused and changes nothing', async (_, make, expected) => {
    const { vault, caller, home } = await openTestVault();
    const credential_value = make(await vault.publicKey(caller()));
    const before = (await readAuditEntryRows(home)).length;
    expect(await outcomeOf(vault.store(caller(), { ...LINEAR, credential_value }))).toBe(expected);
    const credentials = { linear_api_key: credential_value };
    expect(await outcomeOf(vault.update(caller(), { service_id: 'linear', credentials }))).toBe(expected);
    expect([await readCredentialRows(home), (await readAuditEntryRows(home)).length]).toEqual([[], before]);
  });

  test('a sealed value is stored as its plaintext and stays valid after a restart', async () => {
    const { vault, caller, home } = await openTestVault();
    const credential_value = sealValue(sodium, await vault.publicKey(caller()), 'lin_api_sealed');
    const { credential_id } = await vault.store(caller(), { ...LINEAR, credential_value });
    expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'lin_api_sealed' });
    const public_key = await vault.publicKey(caller());
    await vault.close();
    const again = await openTestVault(home);
    expect(await again.vault.publicKey(again.caller())).toBe(public_key);
    // A value sealed earlier still decrypts, in one call with plain values.
    const credentials = {
      gmail_oauth_token: sealValue(sodium, public_key, 'sealed-token'),
      gmail_client_id: 'open',
    };
    const updated = await again.vault.update(again.caller(), { service_id: 'gmail', credentials });
    expect(await decryptStoredValues(home, updated.credential_id ?? '')).toEqual({
      gmail_oauth_token: 'sealed-token',
      gmail_client_id: 'open',
    });
  });

  test('a sealed value of 64 KiB fits into the input limit', async () => {
    const home = temporaryFolder();
    fs.mkdirSync(path.join(home, 'services'), { recursive: true });
    fs.writeFileSync(path.join(home, 'services', 'big.json'), JSON.stringify(BIG));
    const { vault, caller } = await openTestVault(home);
    const largest = 'k'.repeat(VALUE_MAX_BYTES);
    const credential_value = sealValue(sodium, await vault.publicKey(caller()), largest);
    expect(credential_value.length).toBe(SEALED_VALUE_MAX_CHARACTERS);
    const { credential_id } = await vault.store(caller(), {
      service_id: 'big',
      credential_type: 'api_key',
      credential_value,
    });
    expect((await decryptStoredValues(home, credential_id)).key === largest).toBe(true);
  });
});

const BIG = {
  slug: 'big',
  name: 'Big',
  description: 'Takes long values.',
  category: 'other',
  fields: [
    {
      field_id: 'key',
      name: 'Key',
      description: 'A key.',
      required: true,
      secret: true,
      max_length: VALUE_MAX_BYTES,
    },
  ],
  value_field: { api_key: 'key' },
  credential_types: ['api_key'],
  hosts: [],
  injection: { in: 'none' },
};

function flipped(sealed: string): string {
  const box = Buffer.from(sealed.slice('sealed:'.length), 'base64');
  return `sealed:${flipBit(box, box.length * 8 - 1).toString('base64')}`;
}
