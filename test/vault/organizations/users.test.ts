/** Removing users: with a user go its credentials, stacks and keys, and a later user of the name inherits nothing. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES } from '../../../src/contract/caller.ts';
import { fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import {
  damageRecords,
  readCredentialRows,
  readRowById,
  readRowsOfKind,
  readStoredRecords,
} from '../../kit/vault/database.ts';
import { createAcme, openTenants } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

describe('removing a user', () => {
  test('an administrator removes a user with credentials in all stacks, stacks and keys, each with an audit entry', async () => {
    const { tenants, ann, bob, admin } = await createAcme();
    const { vault, home } = tenants;
    const { stack_id } = await vault.stacks.create(ann, { stack_name: 'mine' });
    for (const stack of ['default', 'work', stack_id]) await vault.store(ann, { ...LINEAR, stack_id: stack });
    const { key } = await vault.api_keys.create(ann, {});
    await vault.store(bob, LINEAR);
    const removed = await vault.users.remove(admin, 'ann');
    expect(removed).toEqual({ id: expect.any(String), name: 'ann', unit_id: expect.any(String) });
    expect(await outcomeOf(tenants.caller(key))).toBe('UNAUTHENTICATED');
    expect(await readCredentialRows(home)).toHaveLength(1);
    expect(await readRowsOfKind(home, 'stack')).toEqual([]);
    const { users } = await vault.users.list(admin);
    expect(users.map(({ name }) => name)).toEqual(['admin', 'bob']);
    const { entries } = await vault.listAudit(admin, { user: 'admin' });
    const actions = entries.filter(({ owner }) => owner === 'ann').map(({ action }) => action);
    expect(actions.toSorted()).toEqual([
      'delete',
      'delete',
      'delete',
      'delete_stack',
      'delete_stack',
      'delete_user',
      'revoke_key',
      'revoke_key',
    ]);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a new key for the name of a removed user inherits nothing, in every open vault', async () => {
    const { tenants, ann, admin, ids } = await createAcme();
    const other = await openTenants(tenants.home);
    await tenants.vault.store(ann, LINEAR);
    expect((await other.vault.credentials.list(ann))[0]?.user_id).toBe(ids.ann);
    await tenants.vault.users.remove(admin, 'ann');
    for (const one of [tenants, other]) {
      const again = await one.user('acme', 'ann', { scopes: [...SCOPES] });
      expect((await one.vault.listCredentials(again, {})).credentials).toEqual([]);
      const made = await one.vault.credentials.create(again, {
        service_id: 'linear',
        credential_type: 'bearer',
        credentials: { linear_api_key: 'v' },
        name: one === tenants ? 'a' : 'b',
      });
      expect(made.user_id).not.toBe(ids.ann);
      await one.vault.credentials.delete(again, made.id);
    }
  });

  test('a request of the user that is in flight during the removal stores nothing and makes no key', async () => {
    const { tenants, ann, admin } = await createAcme();
    const { vault, home } = tenants;
    await vault.store(ann, LINEAR);
    const { credential_id } = await vault.store(ann, { ...LINEAR, service_id: 'notion' });
    await vault.users.remove(admin, 'ann');
    const fields = { service_id: 'linear', credentials: { linear_api_key: 'v' } };
    for (const attempt of [
      () => vault.store(ann, LINEAR),
      () => vault.store(ann, { ...LINEAR, stack_id: 'work' }),
      () => vault.update(ann, fields),
      () => vault.credentials.create(ann, { ...fields, credential_type: 'bearer', name: 'n' }),
      () => vault.api_keys.create(ann, {}),
    ])
      expect(await outcomeOf(attempt())).toBe('UNAUTHENTICATED');
    expect(await outcomeOf(vault.credentials.delete(ann, credential_id))).toMatch(/^NOT_FOUND/);
    expect(await readCredentialRows(home)).toEqual([]);
    expect(await readRowsOfKind(home, 'stack')).toEqual([]);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('of requests at the same time as the removal, none leaves a credential or a key', async () => {
    for (let round = 0; round < 10; round++) {
      const { tenants, ann, admin } = await createAcme();
      const { vault, home } = tenants;
      const requests = Array.from({ length: 20 }, async (_, at) => {
        for (let ticks = 0; ticks < at * round; ticks++) await Promise.resolve();
        const stack_id = at % 3 === 0 ? `stack${at}` : 'default';
        if (at % 5 === 4) return outcomeOf(vault.api_keys.create(ann, {}));
        return outcomeOf(vault.store(ann, { ...LINEAR, stack_id, name: `n${at}` }));
      });
      await vault.users.remove(admin, 'ann');
      for (const outcome of await Promise.all(requests)) expect(outcome).toMatch(/^(ok|UNAUTHENTICATED)$/);
      expect(await readCredentialRows(home)).toEqual([]);
      expect(await readRowsOfKind(home, 'stack')).toEqual([]);
      const { keys } = await vault.api_keys.list(admin);
      expect(keys.filter(({ user }) => user === 'ann')).toEqual([]);
      expect((await vault.verifyAudit(admin)).findings).toEqual([]);
    }
  });

  test('a write with a revoked key that was authenticated before is refused', async () => {
    const { tenants, ann, bob } = await createAcme();
    await tenants.vault.api_keys.revoke(ann, ann.api_key_id ?? '');
    expect(await outcomeOf(tenants.vault.store(ann, LINEAR))).toBe('UNAUTHENTICATED');
    expect(await outcomeOf(tenants.vault.store(bob, LINEAR))).toBe('ok');
  });

  test('the operator removes a user of another organization, and others get NOT_FOUND or FORBIDDEN', async () => {
    const { tenants, ann, admin } = await createAcme();
    const { vault, home } = tenants;
    const before = await readStoredRecords(home);
    const eve = await tenants.admin('evil');
    expect(await outcomeOf(vault.users.remove(ann, 'bob'))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.users.remove(eve, 'bob', 'acme'))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.users.remove(eve, 'bob'))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.users.remove(admin, 'nobody'))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.users.remove(admin, 'admin'))).toBe('INVALID_INPUT');
    await tenants.newKey({});
    expect(await outcomeOf(vault.users.remove(await tenants.admin('local', 'ops'), 'me'))).toBe(
      'INVALID_INPUT',
    );
    expect(await readStoredRecords(home)).toEqual(expect.arrayContaining([...before]));
    const { entries } = await vault.listAudit(admin, { action: 'delete_user' });
    expect(entries.map(({ user, reason }) => [user, reason])).toEqual([
      ['admin', 'not found'],
      ['ann', 'missing scope org:admin'],
    ]);
    expect((await vault.users.remove(tenants.operator(), 'bob', 'acme')).name).toBe('bob');
    const everything = await fullOutcomeOf(vault.users.remove(tenants.operator(), 'bob', 'acme'));
    expect(everything).toContain('NOT_FOUND');
  });

  test('an administrator with the scope org:admin alone can remove a user with credentials', async () => {
    const { tenants, ann } = await createAcme();
    await tenants.vault.store(ann, LINEAR);
    const admin = await tenants.user('acme', 'boss', { scopes: ['org:admin'] });
    await tenants.vault.users.remove(admin, 'ann');
    expect(await readCredentialRows(tenants.home)).toEqual([]);
  });

  test('no key that a user creates while it is removed stays valid', async () => {
    const { tenants, admin } = await createAcme();
    const { vault } = tenants;
    const callers = await Promise.all(
      Array.from({ length: 10 }, () => tenants.user('acme', 'eve', { scopes: ['keys:write'] })),
    );
    const made: string[] = [];
    let is_removed = false;
    const createAll = async (caller: Caller) => {
      while (!is_removed) {
        const created = await vault.api_keys
          .create(caller, { scopes: ['keys:write'] })
          .catch(() => undefined);
        if (created === undefined) return;
        made.push(created.key);
      }
    };
    const creating = callers.map(createAll);
    await expect.poll(() => made.length, { interval: 1 }).toBeGreaterThan(0);
    await vault.users.remove(admin, 'eve');
    is_removed = true;
    await Promise.all(creating);
    const ends = await Promise.all(made.map((key) => outcomeOf(tenants.caller(key))));
    expect(new Set(ends)).toEqual(new Set(['UNAUTHENTICATED']));
    expect((await vault.api_keys.list(admin)).keys.map(({ user }) => user).toSorted()).toEqual([
      'admin',
      'ann',
      'bob',
    ]);
    expect((await vault.users.list(admin)).users.map(({ name }) => name)).not.toContain('eve');
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a key whose user is removed before the key is written belongs to a new user of the name', async () => {
    const { tenants, admin, ids } = await createAcme();
    const other = await openTenants(tenants.home);
    const [made] = await Promise.all([
      tenants.newKey({ organization: 'acme', user: 'ann' }),
      other.vault.users.remove(admin, 'ann'),
    ]);
    const { users } = await tenants.vault.users.list(admin);
    const ann = users.find(({ name }) => name === 'ann');
    const end = await outcomeOf(tenants.caller(made.key));
    expect([end, ann?.id]).toEqual(ann === undefined ? ['UNAUTHENTICATED', undefined] : ['ok', made.user_id]);
    expect(ann?.id).not.toBe(ids.ann);
  });

  test('a user with a damaged stack can store, list and be removed with all credentials', async () => {
    const { tenants, ann, admin } = await createAcme();
    const { vault, home } = tenants;
    const { stack_id } = await vault.stacks.create(ann, { stack_name: 'mine' });
    await vault.store(ann, { ...LINEAR, stack_id });
    await damageRecords(home, ({ kind }) => kind === 'stack');
    expect(await outcomeOf(vault.store(ann, LINEAR))).toBe('ok');
    expect((await vault.credentials.list(ann)).map((one) => one.stack_id)).toEqual(['default']);
    expect((await vault.stacks.list(ann)).map((one) => one.stack_id)).toEqual(['default']);
    expect(await outcomeOf(vault.stacks.get(ann, stack_id))).toBe('CORRUPT record_damaged');
    expect((await vault.users.remove(admin, 'ann')).name).toBe('ann');
    expect(await readCredentialRows(home)).toEqual([]);
    expect(await readRowsOfKind(home, 'stack')).toEqual([]);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a damaged stack can be deleted by its user, unless the key is for some services', async () => {
    const { tenants, ann } = await createAcme();
    const { vault, home } = tenants;
    await vault.store(ann, { ...LINEAR, stack_id: 'work' });
    await damageRecords(home, ({ kind }) => kind === 'stack');
    const limited = { ...ann, services: new Set(['linear']) };
    expect(await outcomeOf(vault.stacks.delete(limited, 'work'))).toBe('CORRUPT record_damaged');
    expect(await outcomeOf(vault.stacks.delete(ann, 'work'))).toBe('ok');
    expect(await readCredentialRows(home)).toEqual([]);
    expect(await readRowsOfKind(home, 'stack')).toEqual([]);
  });

  test('a damaged record of a user is left out of the list of users', async () => {
    const { tenants, admin, ids } = await createAcme();
    const row = await readRowById(tenants.home, ids.ann);
    await damageRecords(tenants.home, ({ id }) => row?.id.equals(id) === true);
    const { users } = await tenants.vault.users.list(admin);
    expect(users.map(({ name }) => name)).toEqual(['admin', 'bob']);
  });

  test('no stack that a user creates while it is removed is left', async () => {
    const { tenants, ann, admin } = await createAcme();
    const { vault, home } = tenants;
    const removing = vault.users.remove(admin, 'ann');
    await Promise.all([
      removing,
      ...Array.from({ length: 40 }, async (_, at) => {
        for (let delay = 0; delay < at; delay++) await new Promise((resolve) => setImmediate(resolve));
        return vault.stacks.create(ann, { stack_name: `s${at}` }).catch(() => undefined);
      }),
    ]);
    const { users } = await vault.users.list(admin);
    expect(users.map(({ name }) => name)).not.toContain('ann');
    const removed_at = (await vault.listAudit(admin, { action: 'delete_user' })).entries[0]?.position ?? 0;
    const created = (await vault.listAudit(admin, { action: 'create_stack' })).entries;
    const before = created.filter(({ position }) => position < removed_at).map(({ record_id }) => record_id);
    for (const id of before) expect(id && (await readRowById(home, id))).toBeUndefined();
  });
});
