/**
 * Which API keys a caller may create, list, rotate and revoke. No key may grant more than its creator has, through
 * any number of keys.
 */
import { describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import { readStoredRecords } from '../../kit/vault/database.ts';
import { openTenants, type Tenants, UNKNOWN_ID, withoutScopes } from '../../kit/vault/tenants.ts';

const HOUR_MS = 3_600_000;
const LACKS = 'A key cannot have scopes that its creator lacks';
const BEYOND = 'A key cannot allow more than the key of its creator.';

const idsSeen = async ({ vault }: Tenants, caller: Caller) =>
  (await vault.api_keys.list(caller)).keys.map(({ id }) => id).toSorted();

/** Users with a denied entry for the action, newest first. */
async function refusedTo({ vault }: Tenants, admin: Caller, action: string) {
  const { entries } = await vault.listAudit(admin, { action, outcome: 'denied' });
  return entries.map(({ user }) => user);
}

describe('the scopes of a new API key', () => {
  test('a new API key gets the default scopes that its creator has, and values:reveal only if it is named', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const scopesOf = async (caller: Caller, input: CreateKeyInput = {}) =>
      (await vault.api_keys.create(caller, input)).scopes;
    const usual = ['credentials:read', 'credentials:write', 'credentials:use', 'stacks:write'];
    expect(await scopesOf(tenants.operator())).toEqual(usual);
    expect(await scopesOf(await tenants.admin('acme'))).toEqual(usual);
    const reader = await tenants.user('acme', 'ann', { scopes: ['keys:write', 'credentials:read'] });
    expect(await scopesOf(reader)).toEqual(['credentials:read']);
    const only_admin = await tenants.user('acme', 'ann', { scopes: ['keys:write', 'org:admin'] });
    expect(await scopesOf(only_admin)).toEqual(usual);
    const revealer = await tenants.user('acme', 'ann', { scopes: ['keys:write', 'values:reveal'] });
    expect(await scopesOf(revealer, { scopes: ['values:reveal'] })).toEqual(['values:reveal']);
  });

  test('an API key without scopes is refused if its creator has none of the default scopes', async () => {
    const tenants = await openTenants();
    const caller = await tenants.user('acme', 'ann', { scopes: ['keys:write', 'audit:read'] });
    expect(await outcomeOf(tenants.vault.api_keys.create(caller, {}))).toBe('FORBIDDEN');
  });

  test.each(SCOPES.filter((scope) => scope !== 'org:admin'))(
    'an API key cannot get %s if its creator does not have it',
    async (scope) => {
      const tenants = await openTenants();
      const has = SCOPES.filter((one) => one !== 'org:admin');
      const maker = withoutScopes(await tenants.user('acme', 'ann', { scopes: has }), scope);
      const wanted: Scope[] = [...new Set<Scope>([scope, 'audit:read'])];
      const refusal = await errorOf(tenants.vault.api_keys.create(maker, { scopes: wanted }));
      expect(refusal.code).toBe('FORBIDDEN');
      if (scope !== 'keys:write') expect(refusal.message).toContain(`${LACKS}: ${scope}`);
      expect(await refusedTo(tenants, await tenants.admin('acme'), 'create_key')).toEqual(['ann']);
    },
  );

  test('an administrator can grant every scope but values:reveal, which it needs itself, and approvals:decide', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.user('acme', 'ad', { scopes: ['keys:write', 'org:admin'] });
    const others = SCOPES.filter((scope) => scope !== 'values:reveal' && scope !== 'approvals:decide');
    expect((await vault.api_keys.create(admin, { scopes: others })).scopes).toEqual(others);
    const input: CreateKeyInput = { user: 'ana', scopes: ['values:reveal'] };
    const { code, message } = await errorOf(vault.api_keys.create(admin, input));
    expect([code, message]).toEqual([
      'FORBIDDEN',
      expect.stringMatching(/values:reveal.*keyhold keys create/s),
    ]);
    expect(await refusedTo(tenants, await tenants.admin('acme'), 'create_key')).toEqual(['ad']);
    const revealer = await tenants.admin('acme', 'ad');
    expect((await vault.api_keys.create(revealer, input)).scopes).toEqual(['values:reveal']);
  });

  test('an administrator without values:reveal cannot rotate a key that has it, which would give it the secret', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.user('acme', 'ad', { scopes: ['keys:write', 'org:admin'] });
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ana', scopes: ['values:reveal'] });
    expect(await outcomeOf(vault.api_keys.rotate(admin, id))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.api_keys.revoke(admin, id))).toBe('ok');
  });

  test.each(['library', 'mcp', 'rest', 'web'] as const)(
    'the local operator cannot grant values:reveal over the interface %s, only on the command line',
    async (edge) => {
      const tenants = await openTenants();
      const { create } = tenants.vault.api_keys;
      const input: CreateKeyInput = { scopes: ['values:reveal'] };
      const make = create.bind(tenants.vault.api_keys);
      expect(await outcomeOf(make({ ...tenants.operator(), edge }, input))).toBe('FORBIDDEN');
      expect(await outcomeOf(make({ ...tenants.operator(), edge: 'cli' }, input))).toBe('ok');
    },
  );

  test('a key with keys:write revokes no key of the same user that has more scopes, except itself', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann', { scopes: ['keys:write'] });
    const stronger = await tenants.newKey({ organization: 'acme', user: 'ann', scopes: ['org:admin'] });
    const equal = await tenants.newKey({ organization: 'acme', user: 'ann', scopes: ['keys:write'] });
    expect(await outcomeOf(vault.api_keys.revoke(ann, stronger.id))).toBe('FORBIDDEN');
    expect(await refusedTo(tenants, await tenants.admin('acme'), 'revoke_key')).toEqual(['ann']);
    expect((await tenants.caller(stronger.key)).user).toBe('ann');
    expect(await outcomeOf(vault.api_keys.revoke(ann, equal.id))).toBe('ok');
    // A caller whose own scopes were reduced meanwhile can still end its key.
    const less = withoutScopes(await tenants.caller(stronger.key), 'org:admin');
    const own = { ...less, scopes: new Set<Scope>(['keys:write']) };
    expect(await outcomeOf(vault.api_keys.revoke(own, stronger.id))).toBe('ok');
  });
});

describe('who made an API key', () => {
  test('entries of a key name the user who created or rotated it, if it is another one, also through a chain of keys', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.admin('acme', 'ad');
    const made = await vault.api_keys.create(admin, {
      user: 'ana',
      scopes: ['credentials:write', 'keys:write'],
    });
    expect(made.made_by).toBe('local/me');
    const ana = await tenants.caller(made.key);
    const second = await vault.api_keys.create(ana, { scopes: ['credentials:write'] });
    for (const caller of [ana, await tenants.caller(second.key)]) {
      const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
      await vault.store(caller, input);
      const [entry] = (await vault.listAudit(admin, { action: 'store' })).entries;
      expect([entry?.user, entry?.api_key_id, entry?.made_by]).toEqual([
        'ana',
        caller.api_key_id,
        'local/me',
      ]);
    }
  });

  test('a key that its own user made names no maker, and a rotation by another user does', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const operator = tenants.operator();
    const own = await vault.api_keys.create(operator, {});
    expect([own.made_by, (await tenants.caller(own.key)).made_by]).toEqual([null, undefined]);
    const of_ana = await vault.api_keys.create(operator, { user: 'ana' });
    expect(of_ana.made_by).toBe('me');
    expect((await vault.api_keys.rotate(operator, of_ana.id)).made_by).toBe('me');
    const { keys } = await vault.api_keys.list(operator);
    expect(keys.map(({ user, made_by }) => [user, made_by])).toEqual([
      ['ana', 'me'],
      ['me', null],
    ]);
  });

  test('create_key and rotate_key log the restrictions of the key', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const expires_at = tenants.clock.in(HOUR_MS);
    const limits = {
      stack_id: 'work',
      allowed_services: ['linear'],
      allowed_tools: ['store_credential'],
      expires_at,
      use_policy: { methods: ['GET' as const], calls_per_minute: 5, approve: 'writes' as const },
    };
    const { id } = await vault.api_keys.create(tenants.operator(), limits);
    await vault.api_keys.rotate(tenants.operator(), id);
    const { entries } = await vault.listAudit(tenants.operator(), { record_id: id });
    const logged = {
      stack_id: 'work',
      services: ['linear'],
      tools: ['store_credential'],
      expires_at,
      use_policy: 'methods GET; 5 uses a minute; approval of writes',
    };
    expect(entries.map((entry) => [entry.action, entry.limits])).toEqual([
      ['rotate_key', logged],
      ['create_key', logged],
    ]);
  });

  test.each<readonly [string, unknown]>([
    ['none', []],
    ['an unknown one', ['credentials:all']],
    ['one twice past the limit', Array.from({ length: SCOPES.length + 1 }, () => 'audit:read')],
    ['a text', 'audit:read'],
  ])('an API key is refused if its scopes are %s', async (_, scopes) => {
    const tenants = await openTenants();
    const input = { scopes } as CreateKeyInput;
    expect(await outcomeOf(tenants.vault.api_keys.create(tenants.operator(), input))).toBe('INVALID_INPUT');
  });

  test('a scope named twice is granted once', async () => {
    const tenants = await openTenants();
    const { scopes } = await tenants.newKey({ scopes: ['audit:read', 'audit:read'] });
    expect(scopes).toEqual(['audit:read']);
  });
});

describe('a creator whose own API key is restricted', () => {
  test('a creator with a use policy creates, sees and rotates no key with a wider one', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const unlimited = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const use_policy: UsePolicy = { methods: ['GET', 'HEAD'], path_prefixes: ['/repos'] };
    const ann = await tenants.user('acme', 'ann', { use_policy });
    for (const wider of [{ methods: ['GET', 'POST'] }, { path_prefixes: ['/'] }] as const) {
      const input = { use_policy: { ...wider } } as unknown as CreateKeyInput;
      expect(await outcomeOf(api_keys.create(ann, input))).toBe('FORBIDDEN');
    }
    expect(await outcomeOf(api_keys.rotate(ann, unlimited.id))).toBe('NOT_FOUND');
    expect((await api_keys.list(ann)).keys.map(({ id }) => id)).not.toContain(unlimited.id);
  });

  test('a new key keeps the limits of its creator that it does not name, also when it is rotated', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const ann = await tenants.user('acme', 'ann', { use_policy: { methods: ['GET', 'HEAD'] } });
    const { id, use_policy } = await api_keys.create(ann, { use_policy: { calls_per_minute: 5 } });
    expect(use_policy).toEqual({ methods: ['GET', 'HEAD'], calls_per_minute: 5 });
    const rotated = await api_keys.rotate(ann, id);
    expect(rotated.use_policy).toEqual(use_policy);
    expect((await tenants.caller(rotated.key)).use_policy).toEqual(use_policy);
    expect((await api_keys.create(tenants.operator(), {})).use_policy).toBeNull();
  });

  test('a creator restricted to a stack creates keys for that stack only', async () => {
    const tenants = await openTenants();
    const bound = await tenants.user('acme', 'ann', { stack_id: 'work' });
    const { create } = tenants.vault.api_keys;
    const make = create.bind(tenants.vault.api_keys);
    expect((await make(bound, {})).stack_id).toBe('work');
    expect((await make(bound, { stack_id: 'work' })).stack_id).toBe('work');
    for (const stack_id of ['default', 'other']) {
      const refusal = await errorOf(make(bound, { stack_id }));
      expect([refusal.code, refusal.message]).toEqual(['FORBIDDEN', BEYOND]);
    }
  });

  test('a creator restricted to services or tools creates keys for no others', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const user = await tenants.user('acme', 'ann', {
      allowed_services: ['linear', 'notion'],
      allowed_tools: ['list_services'],
    });
    // A key restricted to tools is refused on every other interface.
    const bound: Caller = { ...user, edge: 'mcp' };
    const held = { allowed_services: ['linear', 'notion'], allowed_tools: ['list_services'] };
    expect(await vault.api_keys.create(bound, {})).toMatchObject(held);
    const { id } = vault.services.get('linear');
    // The service may be named by any of its ids.
    expect(await vault.api_keys.create(bound, { allowed_services: [id] })).toMatchObject({
      allowed_services: ['linear'],
    });
    expect(await vault.api_keys.create(bound, { allowed_services: [] })).toMatchObject({
      allowed_services: [],
    });
    const wider: CreateKeyInput[] = [
      { allowed_services: ['linear', 'openai'] },
      { allowed_services: ['openai'] },
      { allowed_tools: ['list_services', 'store_credential'] },
      { allowed_tools: ['store_credential'] },
    ];
    for (const input of wider) {
      const refusal = await errorOf(vault.api_keys.create(bound, input));
      expect([refusal.code, refusal.message]).toEqual(['FORBIDDEN', BEYOND]);
    }
    expect(await outcomeOf(vault.api_keys.create(bound, { allowed_services: ['no_such'] }))).toBe(
      'NOT_FOUND',
    );
  });

  test('an administrator restricted to services creates keys for no others', async () => {
    const tenants = await openTenants();
    const bound = await tenants.user('acme', 'ad', { scopes: [...SCOPES], allowed_services: ['linear'] });
    const { vault } = tenants;
    const made = await vault.api_keys.create(bound, { user: 'bob' });
    expect(made).toMatchObject({ user: 'bob', allowed_services: ['linear'] });
    expect(await outcomeOf(vault.api_keys.create(bound, { user: 'bob', allowed_services: ['openai'] }))).toBe(
      'FORBIDDEN',
    );
  });

  test('a creator whose key expires creates no key that expires later', async () => {
    const tenants = await openTenants();
    const expires_at = tenants.clock.in(HOUR_MS);
    const ends = await tenants.user('acme', 'ann', { expires_at });
    const { vault } = tenants;
    expect((await vault.api_keys.create(ends, {})).expires_at).toBe(expires_at);
    const sooner = tenants.clock.in(HOUR_MS / 2);
    expect((await vault.api_keys.create(ends, { expires_at: sooner })).expires_at).toBe(sooner);
    const later = vault.api_keys.create(ends, { expires_at: tenants.clock.in(HOUR_MS + 1) });
    expect((await errorOf(later)).message).toBe(BEYOND);
    // This applies to administrators too: otherwise a temporary permission could be made permanent.
    const admin = await tenants.user('acme', 'ad', { scopes: [...SCOPES], expires_at });
    expect((await vault.api_keys.create(admin, { user: 'bob' })).expires_at).toBe(expires_at);
  });
});

describe('a rotated API key', () => {
  test('an API key with fewer scopes cannot rotate one with more', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ann', scopes: [...SCOPES] });
    const less = await tenants.user('acme', 'ann', { scopes: ['keys:write', 'credentials:read'] });
    const refusal = await errorOf(vault.api_keys.rotate(less, id));
    expect([refusal.code, refusal.message]).toEqual(['FORBIDDEN', expect.stringContaining(LACKS)]);
    expect(await refusedTo(tenants, await tenants.admin('acme'), 'rotate_key')).toEqual(['ann']);
  });

  test.each<readonly [string, CreateKeyInput]>([
    ['a stack', { stack_id: 'work' }],
    ['services', { allowed_services: ['linear'] }],
    ['tools', { allowed_tools: ['list_services'] }],
  ])(
    'an API key restricted to %s sees and rotates only keys with the same restriction',
    async (_, bounds) => {
      const tenants = await openTenants();
      const { vault } = tenants;
      const free = await tenants.newKey({ organization: 'acme', user: 'ann' });
      // A key restricted to tools is refused on other interfaces.
      const bound: Caller = { ...(await tenants.user('acme', 'ann', bounds)), edge: 'mcp' };
      const alike = await tenants.newKey({ organization: 'acme', user: 'ann', ...bounds });
      expect(await idsSeen(tenants, bound)).toEqual([bound.api_key_id, alike.id].toSorted());
      for (const act of ['rotate', 'revoke'] as const) {
        const unknown = await fullOutcomeOf(vault.api_keys[act](bound, UNKNOWN_ID));
        expect(await fullOutcomeOf(vault.api_keys[act](bound, free.id))).toBe(unknown);
      }
      expect(await fullOutcomeOf(vault.api_keys.rotate(bound, alike.id))).toBe('ok');
      expect(await fullOutcomeOf(tenants.caller(free.key))).toBe('ok');
    },
  );

  test('an API key that expires sooner cannot rotate one that expires later', async () => {
    const tenants = await openTenants();
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ann', scopes: ['credentials:read'] });
    const ends = await tenants.user('acme', 'ann', { expires_at: tenants.clock.in(HOUR_MS) });
    expect((await errorOf(tenants.vault.api_keys.rotate(ends, id))).message).toBe(BEYOND);
  });

  test('an API key can rotate itself, whatever its scopes', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({
      organization: 'acme',
      user: 'ann',
      scopes: ['keys:write'],
      stack_id: 'default',
      allowed_services: ['linear'],
      expires_at: tenants.clock.in(HOUR_MS),
    });
    const renewed = await tenants.vault.api_keys.rotate(await tenants.caller(key), id);
    expect((await tenants.caller(renewed.key)).api_key_id).toBe(id);
  });
});

describe('an API key of another user', () => {
  const OF_WHOM: readonly (readonly [string, CreateKeyInput])[] = [
    ['another user', { organization: 'acme', user: 'bob' }],
    ['another organization', { organization: 'other', user: 'ann' }],
    ['who runs the installation', {}],
  ];
  test.each(OF_WHOM)('an API key of %s is NOT_FOUND for list, rotate and revoke', async (_, whose) => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann');
    const { id, key } = await tenants.newKey(whose);
    expect(await idsSeen(tenants, ann)).toEqual([ann.api_key_id]);
    const before = await readStoredRecords(tenants.home);
    for (const act of ['rotate', 'revoke'] as const) {
      const unknown = await fullOutcomeOf(vault.api_keys[act](ann, UNKNOWN_ID));
      expect(unknown).toBe('["NOT_FOUND",null,"No such API key."]');
      expect(await fullOutcomeOf(vault.api_keys[act](ann, id))).toBe(unknown);
    }
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe('ok');
  });

  test('an administrator sees all API keys of the organization and none of another', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.admin('acme');
    const bobs = await tenants.newKey({ organization: 'acme', user: 'bob' });
    const foreign = await tenants.newKey({ organization: 'other', user: 'bob' });
    expect(await idsSeen(tenants, admin)).toEqual([admin.api_key_id, bobs.id].toSorted());
    const unknown = await fullOutcomeOf(vault.api_keys.rotate(admin, UNKNOWN_ID));
    expect(await fullOutcomeOf(vault.api_keys.rotate(admin, foreign.id))).toBe(unknown);
    expect(await fullOutcomeOf(vault.api_keys.revoke(admin, foreign.id))).toBe(unknown);
    expect(await outcomeOf(vault.api_keys.list(admin, 'other'))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.api_keys.list(admin, 'local'))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.api_keys.list(admin, 'no-such'))).toBe('FORBIDDEN');
    await vault.api_keys.revoke(admin, bobs.id);
    expect(await outcomeOf(tenants.caller(bobs.key))).toBe('UNAUTHENTICATED');
  });

  test('an API key for another user or another organization is not created', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann');
    const admin = await tenants.admin('acme');
    await tenants.user('other', 'bob');
    const before = await readStoredRecords(tenants.home);
    const attempts: (readonly [Caller, CreateKeyInput])[] = [
      [ann, { user: 'bob' }],
      [ann, { organization: 'other', user: 'bob' }],
      [admin, { organization: 'other', user: 'bob' }],
      [admin, { organization: 'local', user: 'me' }],
      [admin, { organization: 'founded', user: 'me' }],
    ];
    for (const [caller, input] of attempts)
      expect(await outcomeOf(vault.api_keys.create(caller, input))).toBe('FORBIDDEN');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    const refused = await refusedTo(tenants, admin, 'create_key');
    expect(refused).toEqual(['admin', 'ann']);
  });
});
