/** Quotas of credentials and bytes per user. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CREDENTIAL_BYTES_PER_USER_MAX, CREDENTIALS_PER_USER_MAX } from '../../../src/contract/limits.ts';
import { UserUsage } from '../../../src/vault/credentials/quota.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { readCredentialRows, readStoredRecords, replaceRecords } from '../../kit/vault/database.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const STORE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

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

  test('usage is counted again near a limit and after many writes, and bytes are limited too', () => {
    const refusal = (usage: UserUsage, credentials: number, bytes: number) => () =>
      usage.assertRoomFor(credentials, bytes);
    const empty = new UserUsage(0, 0);
    expect(refusal(empty, 1, CREDENTIAL_BYTES_PER_USER_MAX)).not.toThrow();
    expect(refusal(empty, 1, CREDENTIAL_BYTES_PER_USER_MAX + 1)).toThrow('at most 256 MiB of values');
    expect(refusal(empty, CREDENTIALS_PER_USER_MAX + 1, 1)).toThrow('at most 10000 credentials');
    // What makes a credential smaller is allowed, whatever the user has.
    expect(refusal(new UserUsage(0, 2 * CREDENTIAL_BYTES_PER_USER_MAX), 0, -1)).not.toThrow();
    expect(empty.needsCount).toBe(false);
    empty.add(1_001, 1);
    expect(empty.needsCount).toBe(true);
    expect(new UserUsage(9_001, 0).needsCount).toBe(true);
    expect(new UserUsage(0, 0.91 * CREDENTIAL_BYTES_PER_USER_MAX).needsCount).toBe(true);
  });
});
