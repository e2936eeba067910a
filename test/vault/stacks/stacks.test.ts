/** Creating, changing and deleting stacks with their credentials; for other users they do not exist. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { findTexts } from '../../kit/canary.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import {
  flipBit,
  readBytesAtRest,
  readRowById,
  readRowsOfKind,
  readStoredRecords,
  replaceRecords,
  test_engine,
} from '../../kit/vault/database.ts';
import { Clock, openTenants, type Tenants, UNKNOWN_ID } from '../../kit/vault/tenants.ts';

const BEARER = { service_id: 'linear', credential_type: 'bearer' } as const;
const NO_STACK =
  '["NOT_FOUND","stack_missing","No such stack. Create it first, or leave it out for \\"default\\"."]';

const store = (vault: Vault, caller: Caller, stack_id: string, name: string, credential_value = 'v') =>
  vault.store(caller, { ...BEARER, stack_id, name, credential_value });

async function ofAnn() {
  const tenants = await openTenants(undefined, new Clock());
  const ann = await tenants.user('acme', 'ann');
  return { tenants, ann, vault: tenants.vault };
}

async function actions({ vault }: Tenants, admin: Caller, action: string) {
  const { entries } = await vault.listAudit(admin, { action });
  return entries.map(({ stack_id, name, outcome: end }) => [stack_id, name, end]);
}

describe('the stacks of a user', () => {
  test('a new user has only the default stack, as old as the vault, without a record', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const before = await readStoredRecords(tenants.home);
    const [only, ...others] = await vault.stacks.list(ann);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ stack_id: 'default', stack_name: 'default', services: [] });
    expect(await vault.stacks.get(ann, 'default')).toEqual(only);
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });

  test('created stacks have different ids, even with equal names', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const made = [];
    for (const stack_name of ['work', 'work', 'default', '日本']) {
      tenants.clock.advance(1);
      made.push(await vault.stacks.create(ann, { stack_name }));
    }
    for (const { stack_id } of made)
      expect(stack_id).toMatch(/^stack_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(made.map(({ stack_id }) => stack_id)).size).toBe(4);
    const listed = await vault.stacks.list(ann);
    expect(listed.map(({ stack_name }) => stack_name)).toEqual([
      '日本',
      'default',
      'work',
      'work',
      'default',
    ]);
    expect(listed.at(-1)?.stack_id).toBe('default');
    for (const stack of made) expect(await vault.stacks.get(ann, stack.stack_id)).toEqual(stack);
  });

  test('the default stack is last in the list, also once it is a record', async () => {
    const { tenants, ann, vault } = await ofAnn();
    tenants.clock.advance(1_000);
    const { stack_id: older } = await vault.stacks.create(ann, { stack_name: 'older' });
    const { created_at, updated_at } = await vault.stacks.get(ann, 'default');
    expect(updated_at).toBe(created_at);
    const changes = [
      () => vault.stacks.update(ann, 'default', { stack_name: 'mine' }),
      () => vault.stacks.addService(ann, 'default', 'linear', null),
      () => vault.stacks.setTools(ann, 'default', 'linear', []),
    ];
    for (const change of changes) {
      tenants.clock.advance(1_000);
      await change();
      const [first, last, ...others] = await vault.stacks.list(ann);
      expect([first?.stack_id, last?.stack_id, others]).toEqual([older, 'default', []]);
      expect(last).toMatchObject({ created_at, updated_at: tenants.clock.in(0) });
      expect(await vault.stacks.get(ann, 'default')).toEqual(last);
    }
    const { stack_id: newer } = await vault.stacks.create(ann, { stack_name: 'newer' });
    expect((await vault.stacks.list(ann)).map(({ stack_id }) => stack_id)).toEqual([newer, older, 'default']);
    await vault.stacks.delete(ann, 'default');
    expect((await vault.stacks.list(ann)).at(-1)).toMatchObject({ stack_id: 'default', created_at });
  });

  test('a write to a named stack creates it; a read does not', async () => {
    const { ann, vault } = await ofAnn();
    expect(await outcomeOf(vault.status(ann, { service_id: 'linear', stack_id: 'work' }))).toBe('ok');
    expect(await fullOutcomeOf(vault.stacks.get(ann, 'work'))).toBe(NO_STACK);
    await store(vault, ann, 'work', 'a');
    expect((await vault.stacks.list(ann)).map(({ stack_id }) => stack_id)).toEqual(['work', 'default']);
  });

  test('concurrent writes to a named stack create it once', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const other = await openTenants(tenants.home);
    const all = Array.from({ length: 20 }, (_, at) =>
      store(at % 2 === 0 ? vault : other.vault, ann, 'work', `n${at}`),
    );
    await Promise.all(all);
    expect(await readRowsOfKind(tenants.home, 'stack')).toHaveLength(1);
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).credentials).toHaveLength(20);
    expect((await vault.verifyAudit(await tenants.admin('acme'))).findings).toEqual([]);
  });

  test('a caller without stacks:write creates no stack by writing to it', async () => {
    const { tenants, vault } = await ofAnn();
    const writer = await tenants.user('acme', 'wes', { scopes: ['credentials:write', 'credentials:read'] });
    expect(await fullOutcomeOf(store(vault, writer, 'work', 'a'))).toBe(NO_STACK);
    expect(await fullOutcomeOf(store(vault, writer, 'default', 'a'))).toBe('ok');
  });

  test('stacks of the same name belong to one user each', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const bob = await tenants.user('acme', 'bob');
    await store(vault, ann, 'work', 'of-ann');
    expect((await vault.listCredentials(bob, { stack_id: 'work' })).credentials).toEqual([]);
    await store(vault, bob, 'work', 'of-bob');
    const names = (await vault.listCredentials(ann, { stack_id: 'work' })).credentials.map(
      ({ name }) => name,
    );
    expect(names).toEqual(['of-ann']);
    await vault.stacks.delete(bob, 'work');
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).credentials).toHaveLength(1);
  });
});

describe('an unknown stack id', () => {
  const UNKNOWN = [
    `stack_${UNKNOWN_ID}`,
    'stack_',
    'stack_x',
    'nothing',
    '',
    ' ',
    '../default',
    'x'.repeat(100_000),
  ];

  test.each(UNKNOWN)(
    'unknown stack id %# gets the same error from every operation on stacks',
    async (stack_id) => {
      const { tenants, ann, vault } = await ofAnn();
      const before = await readStoredRecords(tenants.home);
      const { stacks } = vault;
      const attempts = [
        () => stacks.get(ann, stack_id),
        () => stacks.update(ann, stack_id, { stack_name: 'n' }),
        () => stacks.addService(ann, stack_id, 'linear', null),
        () => stacks.setTools(ann, stack_id, 'linear', []),
        () => stacks.removeService(ann, stack_id, 'linear'),
        () => stacks.delete(ann, stack_id),
        () => stacks.requireService(ann, stack_id, 'linear'),
      ];
      for (const attempt of attempts) expect(await fullOutcomeOf(attempt())).toBe(NO_STACK);
      expect(await readStoredRecords(tenants.home)).toEqual(before);
      const denied = await vault.listAudit(await tenants.admin('acme'), { outcome: 'denied' });
      expect(denied.entries.map(({ action }) => action)).toEqual([
        'delete_stack',
        // Of those for one service, the first.
        ...Array(2).fill('update_stack'),
      ]);
    },
  );

  test('a well-formed unknown stack id is refused by every operation on credentials', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const stack_id = `stack_${UNKNOWN_ID}`;
    const before = await readStoredRecords(tenants.home);
    const attempts = [
      () => store(vault, ann, stack_id, 'n'),
      () => vault.update(ann, { service_id: 'linear', stack_id, credentials: { linear_api_key: 'v' } }),
      () => vault.status(ann, { service_id: 'linear', stack_id }),
      () => vault.listCredentials(ann, { stack_id }),
      () => vault.listServices(ann, { stack_id }),
      () =>
        vault.credentials.create(ann, {
          ...BEARER,
          stack_id,
          credentials: { linear_api_key: 'v' },
        }),
    ];
    for (const attempt of attempts) expect(await fullOutcomeOf(attempt())).toBe(NO_STACK);
    expect(await outcomeOf(vault.delete(ann, { service_id: 'linear', stack_id }))).toBe('NOT_FOUND');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });
});

describe('updating a stack', () => {
  test('the name and the configuration of a stack are updated independently', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const { stack_id, created_at } = await vault.stacks.create(ann, { stack_name: 'a' });
    tenants.clock.advance(1_000);
    const renamed = await vault.stacks.update(ann, stack_id, { stack_name: 'b' });
    expect(renamed).toMatchObject({ stack_id, stack_name: 'b', analytics_enabled: false, created_at });
    expect(renamed.updated_at).toBe(tenants.clock.in(0));
    const configured = await vault.stacks.update(ann, stack_id, { analytics_enabled: true });
    expect(configured).toMatchObject({ stack_name: 'b', analytics_enabled: true });
    expect(await vault.stacks.get(ann, stack_id)).toEqual(configured);
  });

  test('an update of the default stack stores it as a record, once', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const other = await openTenants(tenants.home);
    await Promise.all([
      vault.stacks.update(ann, 'default', { stack_name: 'mine' }),
      other.vault.stacks.update(ann, 'default', { analytics_enabled: true }),
      vault.stacks.addService(ann, 'default', 'linear', null),
      other.vault.stacks.addService(ann, 'default', 'notion', ['x']),
    ]);
    expect(await readRowsOfKind(tenants.home, 'stack')).toHaveLength(1);
    const { services, ...rest } = await vault.stacks.get(ann, 'default');
    expect(rest).toMatchObject({ stack_name: 'mine', analytics_enabled: true });
    expect(services.map(({ service_id }) => service_id).toSorted()).toEqual(['linear', 'notion']);
    expect((await vault.stacks.list(ann)).map(({ stack_id }) => stack_id)).toEqual(['default']);
  });

  test.each<readonly [string, object]>([
    ['a name with a line end', { stack_name: 'a\nb' }],
    ['an empty name', { stack_name: '' }],
    ['a long name', { stack_name: 'x'.repeat(256) }],
    ['a name with half a surrogate pair', { stack_name: 'a\ud800' }],
    ['an unknown key', { stack_id: 'default' }],
    ['a wrong type', { analytics_enabled: 'yes' }],
  ])('a stack is not updated with %s', async (_, change) => {
    const { tenants, ann, vault } = await ofAnn();
    const before = await readStoredRecords(tenants.home);
    expect(await outcomeOf(vault.stacks.update(ann, 'default', change))).toBe('INVALID_INPUT');
    expect(await outcomeOf(vault.stacks.create(ann, { stack_name: 'ok', ...change }))).toBe('INVALID_INPUT');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });

  test("an impossible change of a stack's services is refused", async () => {
    const { ann, vault } = await ofAnn();
    const { stacks } = vault;
    await stacks.addService(ann, 'default', 'linear', null);
    const again = await errorOf(stacks.addService(ann, 'default', vault.services.get('linear').id, []));
    expect([again.code, again.reason]).toEqual(['CONFLICT', 'service_in_stack']);
    expect(await outcomeOf(stacks.addService(ann, 'default', 'no_such', null))).toBe('NOT_FOUND');
    expect(await outcomeOf(stacks.setTools(ann, 'default', 'notion', []))).toBe('NOT_FOUND');
    expect(await outcomeOf(stacks.removeService(ann, 'default', 'notion'))).toBe('NOT_FOUND');
    const many = Array.from({ length: 201 }, (_, at) => `t${at}`);
    expect(await outcomeOf(stacks.setTools(ann, 'default', 'linear', many))).toBe('INVALID_INPUT');
    expect(await outcomeOf(stacks.setTools(ann, 'default', 'linear', ['']))).toBe('INVALID_INPUT');
    expect((await stacks.get(ann, 'default')).services).toEqual([
      { service_id: 'linear', enabled_tools: null },
    ]);
    await stacks.setTools(ann, 'default', 'linear', []);
    expect((await stacks.get(ann, 'default')).services).toEqual([
      { service_id: 'linear', enabled_tools: [] },
    ]);
  });

  test('a service with a credential in the stack counts as in the stack, also with a named credential', async () => {
    const { ann, vault } = await ofAnn();
    await store(vault, ann, 'work', 'only-with-a-name');
    expect(await outcomeOf(vault.stacks.requireService(ann, 'work', 'linear'))).toBe('ok');
    expect(await outcomeOf(vault.stacks.requireService(ann, 'work', 'notion'))).toBe('NOT_FOUND');
    await vault.stacks.removeService(ann, 'work', 'linear');
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).credentials).toEqual([]);
    expect(await outcomeOf(vault.stacks.removeService(ann, 'work', 'linear'))).toBe('NOT_FOUND');
  });
});

describe('deleting a stack', () => {
  test('deleting a stack deletes its credentials, with an audit entry for each', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
    for (const name of ['a', 'b']) await store(vault, ann, stack_id, name, `sk-gone-for-good-${name}`);
    await store(vault, ann, 'default', 'kept', 'sk-kept');
    await vault.stacks.delete(ann, stack_id);
    expect(await fullOutcomeOf(vault.stacks.get(ann, stack_id))).toBe(NO_STACK);
    expect(await fullOutcomeOf(vault.listCredentials(ann, { stack_id }))).toBe(NO_STACK);
    expect(await fullOutcomeOf(store(vault, ann, stack_id, 'a'))).toBe(NO_STACK);
    expect(await fullOutcomeOf(vault.stacks.delete(ann, stack_id))).toBe(NO_STACK);
    expect(await readRowsOfKind(tenants.home, 'credential')).toHaveLength(1);
    const admin = await tenants.admin('acme');
    expect(await actions(tenants, admin, 'delete')).toEqual([
      [stack_id, 'a', 'allowed'],
      [stack_id, 'b', 'allowed'],
    ]);
    expect((await actions(tenants, admin, 'delete_stack')).at(-1)).toEqual([stack_id, null, 'allowed']);
    expect((await vault.verifyAudit(admin)).findings).toEqual([]);
  });

  // PostgreSQL keeps deleted rows.
  test.skipIf(test_engine.is_remote)(
    'deleting a stack leaves no byte of its sealed values after scrub',
    async () => {
      const { tenants, ann, vault } = await ofAnn();
      await store(vault, ann, 'work', 'a', 'sk-gone-for-good');
      const [row] = await readRowsOfKind(tenants.home, 'credential');
      const sealed = row?.sealed_values.subarray(14) ?? Buffer.alloc(0);
      await vault.scrub();
      const holding = async () =>
        [...(await readBytesAtRest(tenants.home))].filter(([, bytes]) => bytes.includes(sealed)).length;
      expect(await holding()).toBe(1);
      await vault.stacks.delete(ann, 'work');
      await vault.scrub();
      expect(await holding()).toBe(0);
      expect(findTexts(['sk-gone-for-good'], await readBytesAtRest(tenants.home))).toEqual([]);
    },
  );

  test('deleting the default stack empties and resets it', async () => {
    const { ann, vault } = await ofAnn();
    const untouched = await vault.stacks.get(ann, 'default');
    await vault.stacks.delete(ann, 'default');
    await vault.stacks.addService(ann, 'default', 'linear', null);
    await store(vault, ann, 'default', 'a');
    await vault.stacks.delete(ann, 'default');
    expect(await vault.stacks.list(ann)).toEqual([untouched]);
    expect((await vault.listCredentials(ann, {})).credentials).toEqual([]);
    expect(await outcomeOf(store(vault, ann, 'default', 'a'))).toBe('ok');
  });

  test('deleting a stack with more credentials than a page and a transaction deletes all of them', {
    timeout: 120_000,
  }, async () => {
    const { tenants, ann, vault } = await ofAnn();
    const count = 2_345;
    for (let at = 0; at < count; at += 500) {
      const some = Array.from({ length: Math.min(500, count - at) }, (_, i) => `n${at + i}`);
      await Promise.all(some.map((name) => store(vault, ann, 'work', name)));
    }
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).more).toBe(true);
    await vault.stacks.delete(ann, 'work');
    expect(await readRowsOfKind(tenants.home, 'credential')).toEqual([]);
    const report = await vault.verifyAudit(await tenants.admin('acme'));
    expect([report.findings, report.credentials]).toEqual([[], 0]);
  });

  test('a caller restricted to services cannot delete a stack with a credential of another service', async () => {
    const { tenants, ann, vault } = await ofAnn();
    await store(vault, ann, 'work', 'a');
    await vault.store(ann, { ...BEARER, service_id: 'notion', stack_id: 'work', credential_value: 'v' });
    const bound = await tenants.user('acme', 'ann', { allowed_services: ['linear'] });
    expect(await outcomeOf(vault.stacks.delete(bound, 'work'))).toBe('FORBIDDEN');
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).credentials).toHaveLength(2);
    await vault.delete(ann, { service_id: 'notion', stack_id: 'work' });
    expect(await outcomeOf(vault.stacks.delete(bound, 'work'))).toBe('ok');
  });

  test('deleting a stack deletes its damaged credentials', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const { credential_id } = await store(vault, ann, 'work', 'a');
    await store(vault, ann, 'work', 'b');
    const row = await readRowById(tenants.home, credential_id);
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    const bound = await tenants.user('acme', 'ann', { allowed_services: ['linear'] });
    expect(await outcomeOf(vault.stacks.delete(bound, 'work'))).toBe('CORRUPT record_damaged');
    await vault.stacks.delete(ann, 'work');
    expect(await readRowsOfKind(tenants.home, 'credential')).toEqual([]);
    expect((await vault.verifyAudit(await tenants.admin('acme'))).findings).toEqual([]);
  });

  test('verification finds a deleted stack that was restored from an older copy', async () => {
    const { tenants, ann, vault } = await ofAnn();
    await vault.stacks.create(ann, { stack_name: 's' });
    const [row] = await readRowsOfKind(tenants.home, 'stack');
    if (row === undefined) throw new Error('no row');
    const [{ stack_id } = { stack_id: '' }] = await vault.stacks.list(ann);
    await vault.stacks.delete(ann, stack_id);
    await replaceRecords(tenants.home, [row]);
    const { findings } = await vault.verifyAudit(await tenants.admin('acme'));
    expect(findings.map(({ kind }) => kind)).toEqual(['record_rolled_back']);
  });
});

describe('the number of stacks of a user', () => {
  test('the number of stacks is limited for create and for creation by use', {
    timeout: 120_000,
  }, async () => {
    const { tenants, ann, vault } = await ofAnn();
    const make = (at: number) => vault.stacks.create(ann, { stack_name: `s${at}` });
    await store(vault, ann, 'default', 'a');
    await vault.stacks.update(ann, 'default', { stack_name: 'mine' });
    for (let at = 0; at < 999; at++) await make(at);
    await store(vault, ann, 'the-last', 'a');
    expect(await vault.stacks.list(ann)).toHaveLength(1_001);
    const before = await readStoredRecords(tenants.home);
    expect(await outcomeOf(make(1_000))).toBe('INVALID_INPUT');
    expect(await outcomeOf(store(vault, ann, 'one-more', 'a'))).toBe('INVALID_INPUT');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    // Existing stacks stay usable.
    expect(await outcomeOf(store(vault, ann, 'the-last', 'b'))).toBe('ok');
    expect(await vault.credentials.list(ann)).toHaveLength(3);
    await vault.stacks.delete(ann, 'the-last');
    expect(await outcomeOf(make(1_000))).toBe('ok');
  });

  test.each(['.', '..'])('a stack cannot be named %s, because no URL could name it', async (stack_id) => {
    const { ann, vault } = await ofAnn();
    expect(await outcomeOf(store(vault, ann, stack_id, 'a'))).toBe('INVALID_INPUT');
  });
});
