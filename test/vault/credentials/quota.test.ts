/** Quotas of credentials and bytes per user. */
import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import {
  CREDENTIAL_BYTES_PER_USER_MAX,
  CREDENTIALS_PER_USER_MAX,
  type QuotaLimits,
} from '../../../src/contract/limits.ts';
import { UserUsage } from '../../../src/vault/credentials/quota.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import {
  readCredentialRows,
  readStoredRecords,
  replaceRecords,
  test_engine,
} from '../../kit/vault/database.ts';
import { createPolicy, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const STORE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

async function openWithQuota(home: string, quota: QuotaLimits) {
  const composition = compose({
    env: { KEYHOLD_HOME: home, ...test_engine.settings(home) },
    promptSecret: async () => undefined,
    now: () => new Date(),
    quota,
  });
  const vault = await composition.openVault(await createPolicy(home), 'library');
  onTestFinished(() => vault.close());
  return { vault, caller: () => composition.caller('library') };
}

describe('the quotas of a user', () => {
  test('a user at the limit can change and delete credentials, and creates one only after deleting one', async () => {
    const tenants = await openTenants();
    const { home } = tenants;
    const ann = await tenants.user('acme', 'ann');
    const bob = await tenants.user('acme', 'bob');
    await tenants.vault.store(ann, { ...STORE, stack_id: 'work' });
    await tenants.vault.store(ann, STORE);
    const [, row] = await readCredentialRows(home);
    if (row === undefined) throw new Error('no row');
    const copies = Array.from({ length: CREDENTIALS_PER_USER_MAX - 2 }, (_, at) => ({
      ...row,
      seq: 1_000 + at,
      id: randomBytes(16),
      blind_index: randomBytes(16),
    }));
    await replaceRecords(home, copies);
    const { vault } = await openTenants(home);
    const before = await readStoredRecords(home);
    for (const input of [
      { ...STORE, name: 'n' },
      { ...STORE, stack_id: 'work', name: 'n' },
    ]) {
      const { code, message } = await errorOf(vault.store(ann, input));
      expect([code, message]).toEqual([
        'INVALID_INPUT',
        expect.stringMatching(/at most 10000 credentials.*Delete/),
      ]);
    }
    expect(await readStoredRecords(home)).toEqual(before);
    expect(await outcomeOf(vault.store(bob, STORE))).toBe('ok');
    expect(await outcomeOf(vault.store(ann, STORE))).toBe('ok');
    await vault.delete(ann, { service_id: 'linear', stack_id: 'work' });
    expect(await outcomeOf(vault.store(ann, { ...STORE, name: 'n' }))).toBe('ok');
    expect(await outcomeOf(vault.store(ann, { ...STORE, name: 'm' }))).toBe('INVALID_INPUT');
  });

  test('a user at the limit of bytes can make a credential smaller, and larger only after deleting another', async () => {
    const home = temporaryFolder();
    const { vault, caller } = await openWithQuota(home, { credentials: 100, bytes: 100 * 1024 });
    const large = { ...STORE, credential_value: 'v'.repeat(8_000) };
    await vault.store(caller(), STORE);
    for (const name of 'abefghijklmn') await vault.store(caller(), { ...large, name });
    const before = await readStoredRecords(home);
    for (const input of [large, { ...large, name: 'c' }]) {
      const { code, message } = await errorOf(vault.store(caller(), input));
      expect([code, message]).toEqual(['INVALID_INPUT', expect.stringMatching(/of values.*Delete/)]);
    }
    expect(await readStoredRecords(home)).toEqual(before);
    expect(await outcomeOf(vault.store(caller(), { ...STORE, name: 'a' }))).toBe('ok');
    expect(await outcomeOf(vault.store(caller(), { ...large, name: 'a' }))).toBe('ok');
    expect(await outcomeOf(vault.store({ ...caller(), user: 'bob' }, large))).toBe('ok');
    await vault.delete(caller(), { service_id: 'linear', name: 'b' });
    expect(await outcomeOf(vault.store(caller(), { ...large, name: 'c' }))).toBe('ok');
    expect(await outcomeOf(vault.store(caller(), { ...large, name: 'd' }))).toBe('INVALID_INPUT');
  });

  test('the limit of credentials holds through every operation that creates one', async () => {
    const { vault, caller } = await openWithQuota(temporaryFolder(), { credentials: 2, bytes: 1024 ** 2 });
    await vault.store(caller(), STORE);
    await vault.store(caller(), { ...STORE, name: 'a' });
    const fields = { service_id: 'linear', credentials: { linear_api_key: 'v' }, name: 'b' };
    for (const attempt of [
      () => vault.store(caller(), { ...STORE, name: 'b' }),
      () => vault.update(caller(), fields),
      () => vault.credentials.create(caller(), { ...fields, credential_type: 'bearer' }),
    ])
      expect((await errorOf(attempt())).message).toContain('at most 2 credentials');
  });

  test('writes at the same time do not pass the limit together', async () => {
    const { vault, caller } = await openWithQuota(temporaryFolder(), { credentials: 10, bytes: 1024 ** 2 });
    const store = (name: string) => outcomeOf(vault.store(caller(), { ...STORE, name }));
    for (let at = 0; at < 8; at++) await store(`n${at}`);
    const outcomes = await Promise.all(Array.from({ length: 30 }, (_, at) => store(`m${at}`)));
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(2);
    expect(await vault.credentials.list(caller())).toHaveLength(10);
  });

  test('usage is counted again near a limit and after many writes, and bytes are limited too', async () => {
    const usageOf = async (credentials: number, bytes: number) => {
      const usage = new UserUsage();
      await usage.countAgain(async () => ({ credentials, bytes }));
      return usage;
    };
    const refusal = (usage: UserUsage, credentials: number, bytes: number) => () =>
      usage.reserve({ credentials, bytes });
    const empty = await usageOf(0, 0);
    expect(refusal(empty, 1, CREDENTIAL_BYTES_PER_USER_MAX)).not.toThrow();
    empty.release({ credentials: 1, bytes: CREDENTIAL_BYTES_PER_USER_MAX });
    expect(refusal(empty, 1, CREDENTIAL_BYTES_PER_USER_MAX + 1)).toThrow('at most 256 MiB of values');
    expect(refusal(empty, CREDENTIALS_PER_USER_MAX + 1, 1)).toThrow('at most 10000 credentials');
    // What makes a credential smaller is allowed, whatever the user has.
    expect(refusal(await usageOf(0, 2 * CREDENTIAL_BYTES_PER_USER_MAX), 0, -1)).not.toThrow();
    expect(empty.needsCount).toBe(false);
    empty.reserve({ credentials: 1_001, bytes: 1 });
    empty.commit({ credentials: 1_001, bytes: 1 });
    expect(empty.needsCount).toBe(true);
    expect((await usageOf(9_001, 0)).needsCount).toBe(true);
    expect((await usageOf(0, 0.91 * CREDENTIAL_BYTES_PER_USER_MAX)).needsCount).toBe(true);
    expect(new UserUsage().needsCount).toBe(true);
  });
});
