/** Use policies in the vault: who may change them, what a use is refused for, and approvals of single requests. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import type { UseRequest } from '../../../src/vault/uses/use.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { openTenants, type Tenants, withoutScopes } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const ONCE = { for: 'once', each: 'request' } as const;
const HOUR_MS = 60 * 60_000;

const request = (method: UseRequest['method'], path: string): UseRequest => ({
  kind: 'http',
  method,
  origin: 'https://api.github.com',
  path,
  hash: `${method} ${path}`,
  summary: `${method} https://api.github.com${path}`,
  body: '{"title":"New"}',
});
const GET = request('GET', '/repos/acme/web');
const POST = request('POST', '/repos/acme/web/issues');
const CHILD: UseRequest = { kind: 'environment', hash: 'a command', summary: 'git push' };

/** A vault with a stored credential of GitHub, with a policy. */
async function stored(use_policy?: UsePolicy) {
  const tenants = await openTenants();
  const { vault } = tenants;
  const person: Caller = { ...tenants.operator(), edge: 'cli' };
  await vault.store(person, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' });
  if (use_policy !== undefined) await vault.use_policies.set(person, { ...GITHUB, use_policy });
  return { tenants, vault, uses: vault.uses, person };
}

/** Authorizes and begins a use, as a call does. */
async function use({ vault }: Tenants, caller: Caller, one: UseRequest) {
  const credential = await vault.uses.find(caller, GITHUB);
  await vault.uses.authorize(caller, credential, one);
  return vault.uses.begin(caller, credential, one);
}

const logged = async ({ vault, operator }: Tenants, action: string) =>
  (await vault.listAudit(operator(), { action })).entries;

describe('changing the use policy of a credential', () => {
  test('a model cannot change a policy, not even tighten it', async () => {
    const { tenants, vault } = await stored();
    const model: Caller = { ...tenants.operator(), edge: 'mcp' };
    const set = vault.use_policies.set(model, { ...GITHUB, use_policy: { methods: ['GET'] } });
    expect(await outcomeOf(set)).toBe('FORBIDDEN');
    expect((await logged(tenants, 'set_use_policy'))[0]).toMatchObject({ outcome: 'denied' });
  });

  test('a caller without org:admin tightens a policy and cannot widen it', async () => {
    const { tenants, vault } = await stored({ methods: ['GET', 'HEAD'] });
    const ann = withoutScopes({ ...tenants.operator(), edge: 'rest' }, 'org:admin');
    const set = (use_policy: UsePolicy, replace = false) =>
      outcomeOf(vault.use_policies.set(ann, { ...GITHUB, use_policy, replace }));
    expect(await set({ methods: ['GET', 'POST'] })).toBe('FORBIDDEN');
    expect(await set({}, true)).toBe('FORBIDDEN');
    expect(await set({ methods: ['GET'] })).toBe('ok');
  });

  test('a policy for a missing credential, an ambiguous prefix and an unknown limit are refused', async () => {
    const { vault, person } = await stored();
    const set = (input: object) =>
      outcomeOf(vault.use_policies.set(person, { ...GITHUB, use_policy: {}, ...input }));
    expect(await set({ service_id: 'linear' })).toBe('NOT_FOUND');
    expect(await set({ use_policy: { path_prefixes: ['/repos/../orgs'] } })).toBe('INVALID_INPUT');
    expect(await set({ use_policy: { read_only: true } })).toBe('INVALID_INPUT');
  });

  test('limits add up, survive a new value, and are removed by replace; each change is logged', async () => {
    const { tenants, vault, person } = await stored({ methods: ['GET'] });
    await vault.use_policies.set(person, { ...GITHUB, use_policy: { calls_per_minute: 5 } });
    await vault.store(person, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_other' });
    const { policy } = await vault.uses.find(person, GITHUB);
    expect(policy).toEqual({ methods: ['GET'], calls_per_minute: 5 });
    const cleared = await vault.use_policies.set(person, { ...GITHUB, use_policy: {}, replace: true });
    expect(cleared.use_policy).toBeNull();
    expect((await logged(tenants, 'set_use_policy')).map(({ changes }) => changes)).toEqual([
      [{ what: 'use_policy', from: 'methods GET; 5 uses a minute', to: null }],
      [{ what: 'use_policy', from: 'methods GET', to: 'methods GET; 5 uses a minute' }],
      [{ what: 'use_policy', from: null, to: 'methods GET' }],
    ]);
    expect((await vault.verifyAudit(tenants.operator())).findings).toEqual([]);
  });
});

describe('a use outside of a policy', () => {
  test('a read-only credential refuses writes and child processes, also without authorize', async () => {
    const { tenants, uses, person } = await stored({ methods: ['GET', 'HEAD', 'OPTIONS'] });
    const credential = await uses.find(person, GITHUB);
    for (const one of [POST, CHILD]) {
      expect(await outcomeOf(use(tenants, person, one))).toBe('FORBIDDEN outside_policy');
      expect(await outcomeOf(uses.begin(person, credential, one))).toBe('FORBIDDEN outside_policy');
    }
    const [entry] = await logged(tenants, 'use');
    expect(entry).toMatchObject({ outcome: 'denied', reason: 'outside policy' });
    expect((await use(tenants, person, GET)).values.size).toBe(1);
  });

  test('paths outside of the prefixes and ambiguous ones are refused', async () => {
    const { tenants, person } = await stored({ path_prefixes: ['/repos/acme'] });
    for (const path of [
      '/orgs',
      '/repos/acme2',
      '/repos/acme/../other',
      '/repos/acme/%2E%2e/x',
      '/repos/acme//x',
    ])
      expect(await outcomeOf(use(tenants, person, request('GET', path)))).toBe('FORBIDDEN outside_policy');
    expect(await outcomeOf(use(tenants, person, GET))).toBe('ok');
  });

  test('a use must satisfy the policy of the key as well as that of the credential', async () => {
    const { tenants } = await stored({ path_prefixes: ['/repos'] });
    const { key } = await tenants.newKey({ use_policy: { methods: ['GET'] } });
    const caller = await tenants.caller(key);
    expect(await outcomeOf(use(tenants, caller, POST))).toBe('FORBIDDEN outside_policy');
    expect(await outcomeOf(use(tenants, caller, request('GET', '/orgs')))).toBe('FORBIDDEN outside_policy');
    expect(await outcomeOf(use(tenants, caller, GET))).toBe('ok');
  });

  test('the right to use ends at its time', async () => {
    const tenants = await stored();
    const expires_at = tenants.tenants.clock.in(HOUR_MS);
    await tenants.vault.use_policies.set(tenants.person, { ...GITHUB, use_policy: { expires_at } });
    expect(await outcomeOf(use(tenants.tenants, tenants.person, GET))).toBe('ok');
    tenants.tenants.clock.advance(HOUR_MS);
    expect(await outcomeOf(use(tenants.tenants, tenants.person, GET))).toBe('EXPIRED outside_policy');
  });

  test('uses a minute are counted per credential and per key', async () => {
    const { tenants, person } = await stored({ calls_per_minute: 3 });
    const { key } = await tenants.newKey({ use_policy: { calls_per_minute: 1 } });
    const caller = await tenants.caller(key);
    expect(await outcomeOf(use(tenants, caller, GET))).toBe('ok');
    const refused = await errorOf(use(tenants, caller, GET));
    expect([refused.code, refused.message]).toEqual([
      'RATE_LIMITED',
      expect.stringMatching(/API key allows 1 uses a minute. Try again in \d+ seconds?\./),
    ]);
    const results = await Promise.all([1, 2, 3].map(() => outcomeOf(use(tenants, person, GET))));
    expect(results.sort()).toEqual(['RATE_LIMITED', 'ok', 'ok']);
  });
});

describe('a use that a person approves', () => {
  /** Requests approval of a POST. Returns its id. */
  async function requested(tenants: Tenants, caller: Caller) {
    const error = await errorOf(use(tenants, caller, POST));
    expect([error.code, error.reason]).toEqual(['FORBIDDEN', 'approval_required']);
    const id = /keyhold approvals show ([0-9a-f-]{36})/.exec(error.message)?.[1] ?? '';
    const keyring = await tenants.vault.organizations.keyringFor(tenants.operator());
    return { id, keyring, approvals: tenants.vault.uses.approvals };
  }

  async function agent(policy: UsePolicy = { approve: 'writes' }) {
    const { tenants, uses, person } = await stored(policy);
    const { key } = await tenants.newKey({});
    return { tenants, uses, person, caller: await tenants.caller(key) };
  }

  test('a request is refused with the id of its approval, and begin alone opens nothing', async () => {
    const { tenants, uses, caller } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    expect((await requested(tenants, caller)).id).toBe(id);
    const credential = await uses.find(caller, GITHUB);
    expect(await outcomeOf(uses.begin(caller, credential, POST))).toBe('FORBIDDEN approval_required');
    expect(await approvals.list(keyring)).toMatchObject([
      { id, meta: { state: 'pending', summary: POST.summary, body: '{"title":"New"}', service: 'github' } },
    ]);
    expect(await outcomeOf(use(tenants, caller, GET))).toBe('ok');
  });

  test('no key, no model and no program decides', async () => {
    const { tenants, caller, person } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    for (const other of [
      caller,
      { ...caller, edge: 'cli' as const },
      { ...person, edge: 'mcp' as const },
      { ...person, edge: 'rest' as const },
    ])
      expect(await outcomeOf(approvals.decide(other, keyring, id, ONCE))).toBe('FORBIDDEN');
    expect(await outcomeOf(use(tenants, caller, POST))).toBe('FORBIDDEN approval_required');
  });

  test('a denied request stays denied', async () => {
    const { tenants, caller, person } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    await approvals.decide(person, keyring, id, 'deny');
    expect(await outcomeOf(use(tenants, caller, POST))).toBe('FORBIDDEN approval_denied');
    expect(await outcomeOf(approvals.decide(person, keyring, id, ONCE))).toBe('CONFLICT approval_used');
  });

  test('an approval is for that request, that caller and that credential only', async () => {
    const { tenants, caller, person } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    await approvals.decide(person, keyring, id, ONCE);
    const other_path = request('POST', '/repos/acme/web/labels');
    expect(await outcomeOf(use(tenants, caller, other_path))).toBe('FORBIDDEN approval_required');
    const { key } = await tenants.newKey({});
    const other_key = await tenants.caller(key);
    expect(await outcomeOf(use(tenants, other_key, POST))).toBe('FORBIDDEN approval_required');
    await tenants.vault.store(person, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_new' });
    expect(await outcomeOf(use(tenants, caller, POST))).toBe('FORBIDDEN approval_required');
  });

  test('an approved request is executed once, also if two processes begin it at the same time', async () => {
    const { tenants, caller, person } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    await approvals.decide(person, keyring, id, ONCE);
    const second = await openTenants(tenants.home, tenants.clock);
    const results = await Promise.all(
      [tenants, second, tenants, second].map((one) => outcomeOf(use(one, caller, POST))),
    );
    expect(results.sort()).toEqual([...Array(3).fill('FORBIDDEN approval_used'), 'ok']);
    const [entry, ...others] = (await logged(tenants, 'use')).filter(({ outcome }) => outcome === 'allowed');
    expect([entry?.use?.approval_id, others]).toEqual([id, []]);
    expect((await tenants.vault.verifyAudit(tenants.operator())).findings).toEqual([]);
  });

  test('an approval that was not used within an hour has expired, and the next call requests a new one', async () => {
    const { tenants, caller, person } = await agent();
    const { id, keyring, approvals } = await requested(tenants, caller);
    await approvals.decide(person, keyring, id, ONCE);
    tenants.clock.advance(HOUR_MS);
    expect(await outcomeOf(use(tenants, caller, POST))).toBe('FORBIDDEN approval_required');
    expect((await approvals.list(keyring)).map(({ meta }) => meta.state)).toEqual(['pending']);
    expect((await tenants.vault.verifyAudit(tenants.operator())).findings).toEqual([]);
  });
});
