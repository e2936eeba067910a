/** Lists of API keys: each user sees the own ones, however many keys the organization has. */
import { describe, expect, test } from 'vitest';
import { KEYS_PER_USER_MAX } from '../../../src/contract/limits.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

describe('the list of API keys', { timeout: 120_000 }, () => {
  test('the list of API keys has all keys of the user, however many newer keys other users have', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann');
    const { id } = await vault.api_keys.create(ann, { name: 'second' });
    for (let round = 0; round < 22; round++)
      await Promise.all(
        Array.from({ length: KEYS_PER_USER_MAX }, () =>
          tenants.newKey({ organization: 'acme', user: `bob${round}` }),
        ),
      );
    const { keys, more } = await vault.api_keys.list(ann);
    expect([keys.map((key) => key.id), more]).toEqual([[id, ann.api_key_id], false]);
    const all = await vault.api_keys.list(await tenants.admin('acme'));
    expect([all.keys.length, all.more]).toEqual([1_000, true]);
    expect(all.keys[0]).toMatchObject({ user: 'admin' });
    await vault.api_keys.revoke(ann, id);
    expect((await vault.api_keys.list(ann)).keys).toHaveLength(1);
  });

  test('a user has 50 API keys at most, rotates them at the limit, and makes one more after revoking one', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann');
    for (let at = 1; at < KEYS_PER_USER_MAX; at++) await vault.api_keys.create(ann, {});
    const admin = await tenants.admin('acme');
    for (const attempt of [
      () => vault.api_keys.create(ann, {}),
      () => vault.api_keys.create(admin, { user: 'ann' }),
      () => tenants.newKey({ organization: 'acme', user: 'ann' }),
    ]) {
      const { code, message } = await errorOf(attempt());
      expect([code, message]).toEqual(['INVALID_INPUT', expect.stringContaining('at most 50 API keys')]);
    }
    expect((await vault.api_keys.list(ann)).keys).toHaveLength(KEYS_PER_USER_MAX);
    expect(await outcomeOf(vault.api_keys.create(admin, { user: 'bob' }))).toBe('ok');
    const [newest] = (await vault.api_keys.list(ann)).keys;
    await vault.api_keys.rotate(ann, newest?.id ?? '');
    await vault.api_keys.revoke(ann, newest?.id ?? '');
    const attempts = await Promise.all([1, 2, 3].map(() => outcomeOf(vault.api_keys.create(ann, {}))));
    expect(attempts.toSorted()).toEqual(['INVALID_INPUT', 'INVALID_INPUT', 'ok']);
  });

  test('the list of API keys has the attributes of each key, newest first, and no secret', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const expires_at = tenants.clock.in(3_600_000);
    const inputs = [
      { name: 'a', scopes: ['audit:read' as const] },
      { name: 'b', stack_id: 'work', expires_at },
      { allowed_services: ['linear', 'gh'], allowed_tools: ['list_services'] },
    ];
    const made = [];
    for (const input of inputs) {
      const { key: _, notice: __, ...info } = await tenants.newKey(input);
      made.push(info);
    }
    const { keys } = await vault.api_keys.list(tenants.operator());
    expect(keys).toEqual(made.toReversed());
    expect(
      keys.map((key) => [key.name, key.scopes.length, key.stack_id, key.expires_at, key.allowed_services]),
    ).toEqual([
      [null, 4, null, null, ['linear', 'github']],
      ['b', 4, 'work', expires_at, null],
      ['a', 1, null, null, null],
    ]);
    expect(await outcomeOf(vault.api_keys.list(tenants.operator(), '../acme'))).toBe('INVALID_INPUT');
    expect(await outcomeOf(vault.api_keys.list(tenants.operator(), 'no-such'))).toBe('NOT_FOUND');
  });
});
