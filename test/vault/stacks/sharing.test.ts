/** Sharing stacks with users and units: finding a shared stack, entries of the log, and the end of a share. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { SHARES_PER_STACK_MAX } from '../../../src/contract/limits.ts';
import type { ShareInput } from '../../../src/contract/stack.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { openTestDatabase, readStoredRecords } from '../../kit/vault/database.ts';
import { GET_REQUEST } from '../../kit/vault/operations.ts';
import { createAcme, openTenants, UNKNOWN_ID, withoutScopes } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
const NO_STACK = 'NOT_FOUND stack_missing';

/** A stack of ann with a credential for Linear. */
async function openShared() {
  const acme = await createAcme();
  const { vault } = acme.tenants;
  const { stack_id } = await vault.stacks.create(acme.ann, { stack_name: 'Production' });
  await vault.store(acme.ann, { ...LINEAR, stack_id });
  const status = (caller: Caller) => vault.status(caller, { service_id: 'linear', stack_id });
  const share = (input: ShareInput, caller = acme.ann) => vault.stack_shares.share(caller, stack_id, input);
  const unshare = (user: string) => vault.stack_shares.unshare(acme.ann, stack_id, { user });
  const grants = async () =>
    (await openTestDatabase(acme.tenants.home).records()).filter(({ kind }) => kind === 'stack_grant').length;
  const entries = async (action: string) =>
    (await vault.listAudit(acme.admin, { action })).entries.map(
      ({ user, owner, stack_id, outcome, changes }) => ({
        user,
        owner,
        stack_id,
        outcome,
        changes,
      }),
    );
  return { ...acme, vault, stack_id, status, share, unshare, grants, entries };
}

describe('sharing a stack', () => {
  test('a share that is malformed, unknown or not allowed is refused and changes nothing', async () => {
    const { tenants, vault, ann, bob, admin, stack_id, share } = await openShared();
    await vault.store(ann, { ...LINEAR, stack_id: 'team' });
    const before = await readStoredRecords(tenants.home);
    const limited = { ...ann, services: new Set(['linear']) };
    const policed: Caller = { ...ann, use_policy: { methods: ['GET'] } };
    const attempts: readonly (readonly [expected: string, attempt: () => Promise<unknown>])[] = [
      ['INVALID_INPUT', () => share({ role: 'use' })],
      ['INVALID_INPUT', () => share({ user: 'bob', unit: 'default', role: 'use' })],
      ['INVALID_INPUT', () => share({ user: 'ann', role: 'use' })],
      ['INVALID_INPUT', () => share({ user: 'bob', role: 'owner' as 'use' })],
      ['NOT_FOUND', () => share({ user: 'nobody', role: 'use' })],
      ['NOT_FOUND', () => share({ user: '@organization', role: 'use' })],
      ['NOT_FOUND', () => share({ unit: UNKNOWN_ID, role: 'use' })],
      [NO_STACK, () => share({ user: 'bob', role: 'use' }, bob)],
      // An administrator sees a stack of a user only if it is shared with it.
      [NO_STACK, () => share({ user: 'bob', role: 'use' }, admin)],
      ['INVALID_INPUT', () => vault.stack_shares.share(ann, 'default', { user: 'bob', role: 'use' })],
      ['INVALID_INPUT', () => vault.stack_shares.share(ann, 'team', { user: 'bob', role: 'use' })],
      [NO_STACK, () => vault.stack_shares.share(ann, `stack_${UNKNOWN_ID}`, { user: 'bob', role: 'use' })],
      ['FORBIDDEN', () => share({ user: 'bob', role: 'use' }, limited)],
      ['FORBIDDEN', () => share({ user: 'bob', role: 'use' }, policed)],
      ['FORBIDDEN', () => share({ user: 'bob', role: 'edit' }, withoutScopes(ann, 'credentials:write'))],
      ['NOT_FOUND', () => vault.stack_shares.unshare(ann, stack_id, { user: 'bob' })],
    ];
    for (const [at, [expected, attempt]] of attempts.entries())
      expect([at, await outcomeOf(attempt())]).toEqual([at, expected]);
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });

  test('a stack has a limited number of shares', { timeout: 60_000 }, async () => {
    const { tenants, share } = await openShared();
    for (let at = 0; at <= SHARES_PER_STACK_MAX; at++) {
      const { id } = await tenants.vault.organizations.createUnit(
        await tenants.admin('acme', `a${at}`),
        `u${at}`,
      );
      const outcome = await outcomeOf(share({ unit: id, role: 'use' }));
      expect(outcome).toBe(at < SHARES_PER_STACK_MAX ? 'ok' : 'INVALID_INPUT');
    }
  });

  test('a shared stack is listed, and its credentials are found by stack and by id', async () => {
    const { vault, ann, bob, stack_id, status, share } = await openShared();
    const own = await status(ann);
    await share({ user: 'bob', role: 'use' });
    expect(await status(bob)).toEqual(own);
    const listed = await vault.stacks.list(bob);
    expect(
      listed.map(({ stack_id, owner, role, shared_with }) => [stack_id, owner, role, shared_with]),
    ).toEqual([
      [stack_id, 'ann', 'use', 1],
      ['default', 'bob', 'owner', 0],
    ]);
    const ids = async (caller: Caller) =>
      (await vault.credentials.list(caller)).map(({ id, user }) => [id, user]);
    expect(await ids(bob)).toEqual([[own.credential_id, 'ann']]);
    expect(await vault.stack_shares.list(ann, stack_id)).toEqual([
      {
        user: 'bob',
        unit_id: null,
        unit_name: null,
        role: 'use',
        shared_by: 'ann',
        shared_at: expect.stringMatching(/Z$/),
      },
    ]);
  });

  test('what another user stores in a shared stack belongs to the owner, and the log names both', async () => {
    const { vault, ann, bob, admin, stack_id, share } = await openShared();
    await share({ user: 'bob', role: 'edit' });
    const { credential_id } = await vault.store(bob, { ...LINEAR, service_id: 'notion', stack_id });
    const found = await vault.credentials.get(ann, credential_id);
    expect(found).toMatchObject({ user: 'ann', stack_id, modified_by: 'bob' });
    const usable = await vault.uses.find(bob, { service_id: 'notion', stack_id });
    (await vault.uses.begin(bob, usable, GET_REQUEST)).finish({ status: 200 });
    const { entries } = await vault.listAudit(admin, { credential_id });
    expect(entries.map(({ action, user, owner }) => [action, user, owner]).slice(-2)).toEqual([
      ['use', 'bob', 'ann'],
      ['store', 'bob', 'ann'],
    ]);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a share that is ended has no effect on the next request, also in another process', async () => {
    const { tenants, ann, bob, stack_id, status, share, unshare, grants } = await openShared();
    const other = await openTenants(tenants.home);
    await share({ user: 'bob', role: 'use' });
    const usable = await other.vault.uses.find(bob, { service_id: 'linear', stack_id });
    const begun = await other.vault.uses.begin(bob, usable, GET_REQUEST);
    await unshare('bob');
    // A use that has begun may end.
    expect(begun.values.size).toBe(1);
    begun.finish({ status: 200 });
    expect(await outcomeOf(other.vault.uses.begin(bob, usable, GET_REQUEST))).toBe(NO_STACK);
    expect(await outcomeOf(other.vault.status(bob, { service_id: 'linear', stack_id }))).toBe(NO_STACK);
    expect((await other.vault.stacks.list(bob)).map(({ stack_id }) => stack_id)).toEqual(['default']);
    expect(await grants()).toBe(0);
    expect(await outcomeOf(status(ann))).toBe('ok');
  });

  test('a role is changed by sharing again, and each change is in the audit log', async () => {
    const { vault, bob, ann, stack_id, share, unshare, grants, entries } = await openShared();
    await share({ user: 'bob', role: 'use' });
    await share({ user: 'bob', role: 'manage' });
    expect(await grants()).toBe(1);
    expect((await vault.stacks.get(bob, stack_id)).role).toBe('manage');
    await unshare('bob');
    const change = (from: string | null, to: string | null) => ({ what: 'share', from, to });
    expect((await entries('share_stack')).map(({ changes }) => changes)).toEqual([
      [change('user bob: use', 'user bob: manage')],
      [change(null, 'user bob: use')],
    ]);
    expect(await entries('unshare_stack')).toEqual([
      { user: 'ann', owner: null, stack_id, outcome: 'allowed', changes: [change('user bob: manage', null)] },
    ]);
    expect(await outcomeOf(vault.stack_shares.unshare(ann, stack_id, { user: 'bob' }))).toBe('NOT_FOUND');
  });

  test('each user can end its own share, and no other one', async () => {
    const { tenants, vault, bob, stack_id, share, status } = await openShared();
    const cyd = await tenants.user('acme', 'cyd');
    for (const user of ['bob', 'cyd']) await share({ user, role: 'use' });
    expect(await outcomeOf(vault.stack_shares.unshare(bob, stack_id, { user: 'cyd' }))).toBe('FORBIDDEN');
    await vault.stack_shares.unshare(bob, stack_id, { user: 'bob' });
    expect(await outcomeOf(status(bob))).toBe(NO_STACK);
    expect(await outcomeOf(status(cyd))).toBe('ok');
  });
});

describe('a stack shared with a unit', () => {
  test('its users see the stack as long as they are in the unit', async () => {
    const { vault, admin, bob, status, share } = await openShared();
    const sales = await vault.organizations.createUnit(admin, 'sales');
    const shown = await share({ unit: 'sales', role: 'use' });
    expect(shown).toMatchObject({ user: null, unit_id: sales.id, unit_name: 'sales' });
    expect(await outcomeOf(status(bob))).toBe(NO_STACK);
    expect(await vault.users.move(admin, 'bob', 'sales')).toMatchObject({ name: 'bob', unit_id: sales.id });
    expect(await outcomeOf(status(bob))).toBe('ok');
    await vault.users.move(admin, 'bob', 'default');
    expect(await outcomeOf(status(bob))).toBe(NO_STACK);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('the higher of two roles counts', async () => {
    const { vault, bob, stack_id, share, unshare } = await openShared();
    await share({ user: 'bob', role: 'use' });
    await share({ unit: 'default', role: 'edit' });
    expect((await vault.stacks.get(bob, stack_id)).role).toBe('edit');
    await unshare('bob');
    expect((await vault.stacks.get(bob, stack_id)).role).toBe('edit');
  });

  test('only an administrator moves a user to another unit', async () => {
    const { vault, ann, admin } = await openShared();
    expect(await outcomeOf(vault.users.move(ann, 'ann', 'default'))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.users.move(admin, 'nobody', 'default'))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.users.move(admin, 'ann', 'nowhere'))).toBe('NOT_FOUND');
  });
});

describe('limits of a share', () => {
  test('scopes, stack and services of an API key hold in a shared stack too', async () => {
    const { tenants, vault, ann, bob, stack_id, status, share } = await openShared();
    await vault.store(ann, { ...LINEAR, service_id: 'notion', stack_id });
    await share({ user: 'bob', role: 'manage' });
    expect(await outcomeOf(status(withoutScopes(bob, 'credentials:read')))).toBe('FORBIDDEN');
    expect(
      await outcomeOf(vault.store(withoutScopes(bob, 'credentials:write'), { ...LINEAR, stack_id })),
    ).toBe('FORBIDDEN');
    expect(await outcomeOf(status({ ...bob, stack: 'default' }))).toBe(NO_STACK);
    expect(await outcomeOf(status({ ...bob, services: new Set(['notion']) }))).toBe('FORBIDDEN');
    const { key } = await tenants.newKey({
      organization: 'acme',
      user: 'bob',
      stack_id,
      allowed_services: ['linear'],
    });
    const limited = await tenants.caller(key);
    // The stack of the key is its default.
    expect(
      (await vault.listCredentials(limited, {})).credentials.map(({ service_id }) => service_id),
    ).toEqual(['linear']);
    expect((await vault.stacks.list(limited)).map(({ stack_id }) => stack_id)).toEqual([stack_id]);
  });

  test('ids that only look like a shared stack find nothing', async () => {
    const { vault, bob, stack_id, share } = await openShared();
    await share({ user: 'bob', role: 'manage' });
    const ids = [
      stack_id.toUpperCase(),
      `${stack_id} `,
      `${stack_id}\0`,
      'stack_',
      'stack_../default',
      '@organization',
    ];
    for (const id of ids) {
      const outcome = await outcomeOf(vault.stacks.get(bob, id));
      expect([id, outcome]).toEqual([id, NO_STACK]);
    }
  });

  test('an editor takes no credential out of a shared stack', async () => {
    const { vault, ann, bob, ids, stack_id, status, share } = await openShared();
    await share({ user: 'bob', role: 'manage' });
    const { credential_id } = await status(ann);
    const id = credential_id ?? '';
    const error = await errorOf(vault.credentials.change(bob, id, { user_id: ids.bob }));
    expect([error.code, error.message]).toEqual([
      'FORBIDDEN',
      expect.stringContaining('stays with its owner'),
    ]);
    expect(await vault.credentials.get(ann, id)).toMatchObject({ user: 'ann', stack_id });
    expect(await outcomeOf(vault.credentials.reveal(bob, id))).toBe('FORBIDDEN');
  });

  test('only the owner decides on destinations, policies, protection and approvals, even if an editor is a person', async () => {
    const { vault, ann, bob, stack_id, share } = await openShared();
    await share({ user: 'bob', role: 'manage' });
    const at = { service_id: 'linear', stack_id };
    const person = (caller: Caller): Caller => ({
      ...caller,
      is_person: true,
      api_key_id: undefined,
      scopes: new Set([...caller.scopes, 'approvals:decide']),
    });
    await vault.use_policies.set(ann, { ...at, use_policy: { approve: 'always' } });
    const input = { ...at, credentials: { linear_api_key: 'w' } };
    const attempts = [
      () => vault.use_policies.set(person(bob), { ...at, use_policy: {}, replace: true }),
      () => vault.setProtected(person(bob), at, true),
      () => vault.previewDestination(person(bob), input),
    ];
    for (const attempt of attempts) expect((await errorOf(attempt())).code).toBe('FORBIDDEN');
    await vault.setProtected(person(ann), at, true);
    expect(await vault.update(person(bob), input)).toMatchObject({ status: 'pending_approval' });
    const usable = await vault.uses.find(bob, at);
    expect(await outcomeOf(vault.uses.authorize(bob, usable, GET_REQUEST))).toBe(
      'FORBIDDEN approval_required',
    );
    expect(await vault.approvals.list(person(bob))).toEqual([]);
    const waiting = await vault.approvals.list(person(ann));
    expect(
      waiting.map(({ kind, user, requested_by }) => [kind, user, requested_by?.endsWith(', user bob')]),
    ).toEqual([
      ['request', 'ann', true],
      ['stored_values', 'ann', true],
    ]);
    for (const { id } of waiting) {
      expect(await outcomeOf(vault.approvals.approve(person(bob), id))).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.approvals.deny(person(ann), id))).toBe('ok');
    }
  });

  test('a grant that was forged or restored without its share allows nothing', async () => {
    const { tenants, bob, status, share, unshare } = await openShared();
    const database = openTestDatabase(tenants.home);
    await share({ user: 'bob', role: 'use' });
    const grant = (await database.records()).filter(({ kind }) => kind === 'stack_grant');
    await unshare('bob');
    await database.replaceRecords(grant);
    expect(await outcomeOf(status(bob))).toBe(NO_STACK);
  });
});

describe('stacks of the organization', () => {
  test('administrators manage them, others see them if they are shared, and no value is revealed', async () => {
    const { vault, ann, bob, admin } = await openShared();
    const input = { stack_name: 'Everybody', organization_owned: true };
    expect(await outcomeOf(vault.stacks.create(ann, input))).toBe('FORBIDDEN');
    const { stack_id, owner, role } = await vault.stacks.create(admin, input);
    expect([owner, role]).toEqual(['@organization', 'owner']);
    const { credential_id } = await vault.store(admin, { ...LINEAR, stack_id });
    expect(await outcomeOf(vault.stacks.get(bob, stack_id))).toBe(NO_STACK);
    await vault.stack_shares.share(admin, stack_id, { unit: 'default', role: 'use' });
    expect(await vault.stacks.get(bob, stack_id)).toMatchObject({ owner: '@organization', role: 'use' });
    expect(await vault.credentials.get(bob, credential_id)).toMatchObject({ user: '@organization' });
    const reveals = [ann, admin].map((caller) => outcomeOf(vault.credentials.reveal(caller, credential_id)));
    expect(await Promise.all(reveals)).toEqual(['FORBIDDEN', 'FORBIDDEN']);
    expect((await vault.users.list(admin)).users.map(({ name }) => name)).not.toContain('@organization');
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
    await vault.stacks.delete(admin, stack_id);
    expect(await outcomeOf(vault.stacks.get(admin, stack_id))).toBe(NO_STACK);
  });
});

describe('the end of a user or stack', () => {
  test('deleting a stack deletes its grants', async () => {
    const { vault, ann, bob, stack_id, share, grants } = await openShared();
    await share({ user: 'bob', role: 'manage' });
    await share({ unit: 'default', role: 'use' });
    expect(await grants()).toBe(2);
    expect(await outcomeOf(vault.stacks.delete(bob, stack_id))).toBe('FORBIDDEN');
    await vault.stacks.delete(ann, stack_id);
    expect(await grants()).toBe(0);
    expect(await outcomeOf(vault.stacks.get(bob, stack_id))).toBe(NO_STACK);
  });

  test('removing a user ends the shares of its stacks and those with it', async () => {
    const { tenants, vault, ann, bob, admin, stack_id, share, grants } = await openShared();
    await share({ user: 'bob', role: 'use' });
    const own = await vault.stacks.create(bob, { stack_name: 'Of Bob' });
    await vault.stack_shares.share(bob, own.stack_id, { user: 'ann', role: 'edit' });
    await vault.users.remove(admin, 'bob');
    expect(await grants()).toBe(0);
    expect(await vault.stack_shares.list(ann, stack_id)).toEqual([]);
    expect(await outcomeOf(vault.stacks.get(ann, own.stack_id))).toBe(NO_STACK);
    // A later user of the same name inherits nothing.
    const again = await tenants.user('acme', 'bob');
    expect((await vault.stacks.list(again)).map(({ stack_id }) => stack_id)).toEqual(['default']);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a user is removed even if a grant or a stack that is shared with it is damaged', async () => {
    const { tenants, vault, admin, ann, share, grants } = await openShared();
    await share({ user: 'bob', role: 'use' });
    const second = await vault.stacks.create(ann, { stack_name: 'Second' });
    await vault.stack_shares.share(ann, second.stack_id, { user: 'bob', role: 'use' });
    const database = openTestDatabase(tenants.home);
    const rows = await database.records();
    const damaged = [
      ...rows.filter(({ kind }) => kind === 'stack_grant').slice(0, 1),
      ...rows.filter(({ kind }) => kind === 'stack').slice(-1),
    ].map((row) => ({ ...row, sealed_meta: Buffer.alloc(row.sealed_meta.length, 1) }));
    await database.replaceRecords(damaged);
    expect(await outcomeOf(vault.users.remove(admin, 'bob'))).toBe('ok');
    expect(await grants()).toBe(0);
  });
});
