/** Values sealed to the vault's public key: stored once, by the user and in the field that they were sealed for. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { VALUE_MAX_BYTES } from '../../../src/contract/limits.ts';
import type { SealedContent, SealingKey } from '../../../src/contract/sealed_value.ts';
import { sealedValueError } from '../../../src/vault/sealed_values/reader.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import {
  decryptStoredValues,
  flipBit,
  readAuditEntryRows,
  readCredentialRows,
  readRowsOfKind,
} from '../../kit/vault/database.ts';
import { sealFor, sealText } from '../../kit/vault/sealed.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { createAcme, openTenants } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer' } as const;
const UNREADABLE = 'INVALID_INPUT sealed_value_unreadable';
const HOUR_MS = 3_600_000;
const inHours = (hours: number) => new Date(Date.now() + hours * HOUR_MS).toISOString();

/** The one error for every sealed text that cannot be used. */
const refused = await fullOutcomeOf(Promise.reject(sealedValueError()));

const json = (key: SealingKey, change: object) => {
  const { organization, user } = key;
  const bound = { v: 2, organization, user, service: 'linear', field: 'linear_api_key' };
  const rest = { expires_at: inHours(24), nonce: `${'n'.repeat(21)}A`, value: 'v' };
  return JSON.stringify({ ...bound, ...rest, ...change }).padEnd(1024);
};

describe('a sealed value', () => {
  test('the error for a sealed value names every cause and the command that seals it again', async () => {
    const { vault, caller } = await openTestVault();
    const { code, reason, message } = await errorOf(
      vault.store(caller(), { ...LINEAR, credential_value: 'sealed:2:' }),
    );
    expect([code, reason]).toEqual(['INVALID_INPUT', 'sealed_value_unreadable']);
    expect(message).toMatch(
      /damaged.*another vault, user, service or field.*expired.*used before.*keyhold seal/s,
    );
  });

  test.each<readonly [string, (key: SealingKey) => Promise<string> | string]>([
    [
      'to another vault',
      (key) => sealFor({ ...key, public_key: Buffer.alloc(32, 9).toString('base64') }, 'v'),
    ],
    ['for another organization', (key) => sealFor({ ...key, organization: 'acme' }, 'v')],
    ['for another user', (key) => sealFor({ ...key, user: 'somebody' }, 'v')],
    ['for another service', (key) => sealFor(key, 'v', { service: 'notion' })],
    ['for another field', (key) => sealFor(key, 'v', { field: 'linear_client_id' })],
    ['and has expired', (key) => sealFor(key, 'v', { expires_at: inHours(-0.01) })],
    ['for more than 30 days', (key) => sealFor(key, 'v', { expires_at: inHours(30 * 24 + 1) })],
    ['and lost what is behind the prefix', () => 'sealed:2:'],
    ['and is not base64', () => 'sealed:2:***'],
    ['and is base64 of something else', () => 'sealed:2:AAAA'],
    ['and has a line break inside', async (key) => (await sealFor(key, 'v')).replace(/.{9}$/, '\n$&')],
    ['and had a bit flipped', async (key) => flipped(await sealFor(key, 'v'))],
    ['and was cut off', async (key) => (await sealFor(key, 'a value')).slice(0, -4)],
    ['in another version', (key) => sealText(key, json(key, { v: 3 }))],
    ['without a nonce', (key) => sealText(key, json(key, { nonce: undefined }))],
    ['with a nonce of another length', (key) => sealText(key, json(key, { nonce: 'AAAA' }))],
    [
      'with a nonce that is not canonical',
      (key) => sealText(key, json(key, { nonce: `${'n'.repeat(21)}B` })),
    ],
    ['with a member more', (key) => sealText(key, json(key, { destination: 'x' }))],
    ['without padding', (key) => sealText(key, json(key, {}).trimEnd())],
    ['as something that is not JSON', (key) => sealText(key, 'v'.padEnd(1024))],
    ['twice', async (key) => sealFor(key, await sealFor(key, 'v'))],
    ['of nothing', (key) => sealFor(key, '')],
    ['of text that the field does not take', (key) => sealFor(key, 'has a space')],
    ['of one byte more than 64 KiB', (key) => sealFor(key, 'k'.repeat(VALUE_MAX_BYTES + 1))],
  ])('a value that was sealed %s is refused with the one error and changes nothing', async (_, make) => {
    const { vault, caller, home } = await openTestVault();
    const credential_value = await make(await vault.sealingKey(caller()));
    const before = (await readAuditEntryRows(home)).length;
    expect(await fullOutcomeOf(vault.store(caller(), { ...LINEAR, credential_value }))).toBe(refused);
    const credentials = { linear_api_key: credential_value };
    expect(await fullOutcomeOf(vault.update(caller(), { service_id: 'linear', credentials }))).toBe(refused);
    const create = { ...LINEAR, credentials };
    expect(await fullOutcomeOf(vault.credentials.create(caller(), create))).toBe(refused);
    expect([await readCredentialRows(home), (await readAuditEntryRows(home)).length]).toEqual([[], before]);
    expect(await readRowsOfKind(home, 'sealed_nonce')).toEqual([]);
  });

  test('the valid value that the broken ones were made of is stored', async () => {
    const { vault, caller, home } = await openTestVault();
    const key = await vault.sealingKey(caller());
    for (const [name, credential_value] of [
      ['sealed', await sealFor(key, 'v')],
      ['by hand', await sealText(key, json(key, {}))],
      ['by another id of the service', await sealFor(key, 'v', { service: vault.services.get('linear').id })],
    ] as const) {
      const { credential_id } = await vault.store(caller(), { ...LINEAR, name, credential_value });
      expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'v' });
    }
  });

  test('a sealed value is stored once, in any process and after a restart, also when its credential is deleted', async () => {
    const { vault, caller, home } = await openTestVault();
    const other = await openTestVault(home);
    const credential_value = await sealFor(await vault.sealingKey(caller()), 'lin_api_sealed');
    const { credential_id } = await vault.store(caller(), { ...LINEAR, credential_value });
    expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'lin_api_sealed' });
    expect(await fullOutcomeOf(vault.store(caller(), { ...LINEAR, credential_value }))).toBe(refused);
    const elsewhere = { ...LINEAR, name: 'another', credential_value };
    expect(await fullOutcomeOf(other.vault.store(other.caller(), elsewhere))).toBe(refused);
    await vault.delete(caller(), { service_id: 'linear' });
    await vault.close();
    const again = await openTestVault(home);
    expect(await fullOutcomeOf(again.vault.store(again.caller(), elsewhere))).toBe(refused);
    expect(await readCredentialRows(home)).toEqual([]);
  });

  test('of concurrent uses of one sealed value, in two open vaults, one succeeds', async () => {
    const { vault, caller, home } = await openTestVault();
    const other = await openTestVault(home);
    const credential_value = await sealFor(await vault.sealingKey(caller()), 'v');
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, at) => {
        const one = at % 2 === 0 ? { vault, caller } : other;
        return outcomeOf(one.vault.store(one.caller(), { ...LINEAR, name: `n${at}`, credential_value }));
      }),
    );
    expect(outcomes.toSorted()).toEqual([...Array(9).fill(UNREADABLE), 'ok'].toSorted());
    expect(await readCredentialRows(home)).toHaveLength(1);
  });

  test('a refused write does not use up the sealed value', async () => {
    const { vault, caller } = await openTestVault();
    const credential_value = await sealFor(await vault.sealingKey(caller()), 'v');
    const in_missing_stack = { ...LINEAR, stack_id: 'stack_missing', credential_value };
    expect(await outcomeOf(vault.store(caller(), in_missing_stack))).toBe('NOT_FOUND stack_missing');
    expect(await outcomeOf(vault.store(caller(), { ...LINEAR, credential_value }))).toBe('ok');
  });

  test('a value that user ann sealed is useless to user bob, and of use to an administrator who stores it for her', async () => {
    const { tenants, ann, bob, admin, ids } = await createAcme();
    const { vault } = tenants;
    const key = await vault.sealingKey(ann);
    expect(key).toEqual({ public_key: expect.any(String), organization: 'acme', user: 'ann' });
    const input = async (caller: Caller, change: Partial<SealedContent> = {}) =>
      fullOutcomeOf(vault.store(caller, { ...LINEAR, credential_value: await sealFor(key, 'v', change) }));
    expect(await input(bob)).toBe(refused);
    expect(await input(ann)).toBe('ok');
    const credentials = { linear_api_key: await sealFor(key, 'v') };
    const made = await vault.credentials.create(admin, {
      ...LINEAR,
      name: 'n',
      user_id: ids.ann,
      credentials,
    });
    expect(made.user).toBe('ann');
  });

  test('expired nonces are deleted an hour later, and no others', async () => {
    const tenants = await openTenants();
    const { vault, clock, home } = tenants;
    const me = tenants.operator();
    const key = await vault.sealingKey(me);
    const store = async (name: string, expires_at: string) => {
      const credential_value = await sealFor(key, 'v', { expires_at });
      await vault.store(me, { ...LINEAR, name, credential_value });
    };
    await store('a', clock.in(HOUR_MS));
    await store('b', clock.in(24 * HOUR_MS));
    expect(await readRowsOfKind(home, 'sealed_nonce')).toHaveLength(2);
    clock.advance(2 * HOUR_MS);
    // Each open vault looks once an hour: this one for the first time.
    const again = await openTenants(home, clock);
    const credential_value = await sealFor(key, 'v', { expires_at: clock.in(HOUR_MS) });
    await again.vault.store(again.operator(), { ...LINEAR, name: 'c', credential_value });
    await expect.poll(async () => (await readRowsOfKind(home, 'sealed_nonce')).length).toBe(2);
  });

  test('a sealed value of 64 KiB fits into the input limit', async () => {
    const home = temporaryFolder();
    fs.mkdirSync(path.join(home, 'services'), { recursive: true });
    fs.writeFileSync(path.join(home, 'services', 'big.json'), JSON.stringify(BIG));
    const { vault, caller } = await openTestVault(home);
    const largest = 'k'.repeat(VALUE_MAX_BYTES);
    const bound = { service: 'big', field: 'key' };
    const { credential_id } = await vault.store(caller(), {
      service_id: 'big',
      credential_type: 'api_key',
      credential_value: await sealFor(await vault.sealingKey(caller()), largest, bound),
    });
    expect((await decryptStoredValues(home, credential_id)).key === largest).toBe(true);
  });
});

describe('a value that was sealed in format 1', () => {
  test('format 1 is accepted from the local command line and from no other interface', async () => {
    const { vault, caller, home } = await openTestVault();
    const credential_value = await sealText(await vault.sealingKey(caller()), 'lin_old', 'sealed:');
    for (const edge of ['mcp', 'rest', 'web', 'library'] as const) {
      const { code, reason, message } = await errorOf(
        vault.store({ ...caller(), edge }, { ...LINEAR, credential_value }),
      );
      expect([code, reason]).toEqual(['INVALID_INPUT', 'sealed_value_unreadable']);
      expect(message).toMatch(/old format.*command line.*keyhold seal SERVICE FIELD/s);
    }
    const with_key = { ...caller(), edge: 'cli', api_key_id: 'x' } as const;
    expect(await outcomeOf(vault.store(with_key, { ...LINEAR, credential_value }))).toBe(UNREADABLE);
    const person = { ...caller(), edge: 'cli' } as const;
    const { credential_id } = await vault.store(person, { ...LINEAR, credential_value });
    expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'lin_old' });
  });

  test.each(['sealed:3:AAAA', 'sealed:1:AAAA', 'sealed:20:AAAA'])(
    'the text %s of an unknown format gets the one error, not advice for the old format',
    async (credential_value) => {
      const { vault, caller } = await openTestVault();
      for (const edge of ['mcp', 'cli'] as const)
        expect(await fullOutcomeOf(vault.store({ ...caller(), edge }, { ...LINEAR, credential_value }))).toBe(
          refused,
        );
    },
  );

  test.each(['sealed:', 'sealed:***', 'sealed:AAAA'])(
    'the local command line gets the one error for the text %s',
    async (credential_value) => {
      const { vault, caller } = await openTestVault();
      const person = { ...caller(), edge: 'cli' } as const;
      expect(await fullOutcomeOf(vault.store(person, { ...LINEAR, credential_value }))).toBe(refused);
    },
  );
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

/** The last bit, which is in the ciphertext. */
function flipped(sealed: string): string {
  const box = Buffer.from(sealed.slice('sealed:2:'.length), 'base64');
  return `sealed:2:${flipBit(box, box.length * 8 - 1).toString('base64')}`;
}
