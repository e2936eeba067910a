/** Who decides on approvals: persons, about their own credentials or as administrators, never the requester itself. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { ALL_SCOPES, openTenants, withoutScopes } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const POST = {
  kind: 'http',
  method: 'POST',
  origin: 'https://api.github.com',
  path: '/repos/acme/web/issues',
  hash: 'of the request',
  summary: 'POST https://api.github.com/repos/acme/web/issues',
} as const;

/** As a web session of this caller. */
const atPage = (caller: Caller): Caller => ({ ...caller, edge: 'web', is_person: true });

/** A request of an agent with an API key of ann that waits for approval, and persons of the organization. */
async function requested() {
  const tenants = await openTenants();
  const { vault } = tenants;
  const person = async (user: string, more: object = {}) =>
    atPage(await tenants.user('acme', user, { scopes: ['credentials:read', 'approvals:decide'], ...more }));
  const agent = await tenants.user('acme', 'ann', {
    scopes: ALL_SCOPES.filter((one) => one !== 'org:admin'),
  });
  await vault.store(agent, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' });
  await vault.use_policies.set(agent, { ...GITHUB, use_policy: { approve: 'writes' } });
  const request = async () => {
    const credential = await vault.uses.find(agent, GITHUB);
    await vault.uses.authorize(agent, credential, POST);
    return vault.uses.begin(agent, credential, POST);
  };
  expect(await outcomeOf(request())).toBe('FORBIDDEN approval_required');
  const operator: Caller = { ...tenants.operator(), edge: 'cli' };
  const [approval] = await vault.approvals.list(operator, 'acme');
  const id = approval?.id ?? '';
  const decide = (caller: Caller) => outcomeOf(vault.approvals.approve(caller, id));
  const state = async () => (await vault.approvals.get(operator, id, 'acme')).state;
  return { tenants, vault, agent, person, request, id, decide, state, operator };
}

describe('a request that waits for approval', () => {
  test('cannot be approved or denied by an agent over MCP or the library, with any scope', async () => {
    const { tenants, vault, agent, id, decide, state } = await requested();
    const admin = await tenants.admin('acme', 'ann');
    for (const key of [agent, admin])
      for (const edge of ['mcp', 'library', 'web', 'cli'] as const) {
        const caller: Caller = { ...key, edge };
        expect(await decide(caller)).toBe('FORBIDDEN');
        expect(await outcomeOf(vault.approvals.deny(caller, id))).toBe('FORBIDDEN');
        expect(await outcomeOf(vault.approvals.list(caller))).toBe('FORBIDDEN');
        expect(await outcomeOf(vault.approvals.get(caller, id))).toBe('FORBIDDEN');
      }
    expect(await state()).toBe('pending');
  });

  test('cannot be decided on in a session of the API key that made it, and the refusal is logged', async () => {
    const { tenants, vault, agent, id, decide, state } = await requested();
    expect(await decide(atPage(agent))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.approvals.deny(atPage(agent), id))).toBe('FORBIDDEN');
    expect(await state()).toBe('pending');
    const denied = { action: 'approve_destination', outcome: 'denied' } as const;
    const { entries } = await vault.listAudit(await tenants.admin('acme'), denied);
    expect(entries[0]).toMatchObject({ user: 'ann', edge: 'web', api_key_id: agent.api_key_id });
  });

  test('cannot be decided on over REST with the API key that made it, or with a key without approvals:decide', async () => {
    const { tenants, vault, agent, id, decide, state } = await requested();
    const other = await tenants.user('acme', 'ann', {
      scopes: ALL_SCOPES.filter((one) => one !== 'org:admin' && one !== 'approvals:decide'),
    });
    for (const key of [agent, other]) {
      const caller: Caller = { ...key, edge: 'rest' };
      expect(await decide(caller)).toBe('FORBIDDEN');
      expect(await outcomeOf(vault.approvals.deny(caller, id))).toBe('FORBIDDEN');
      expect(await outcomeOf(vault.approvals.revoke(caller, id))).toBe('FORBIDDEN');
    }
    expect(await outcomeOf(vault.approvals.list({ ...other, edge: 'rest' }))).toBe('FORBIDDEN');
    expect(await state()).toBe('pending');
  });

  test('cannot be decided on over REST by a caller without an API key', async () => {
    const { tenants, vault, id } = await requested();
    const { api_key_id: _, ...local } = await tenants.admin('acme', 'ann');
    expect(await outcomeOf(vault.approvals.approve({ ...local, edge: 'rest' }, id))).toBe('FORBIDDEN');
  });

  test('is approved over REST with another API key of its user that has approvals:decide', async () => {
    const { tenants, decide, request, operator, vault, id } = await requested();
    const key = await tenants.user('acme', 'ann', { scopes: ['approvals:decide'] });
    expect(await decide({ ...key, edge: 'rest' })).toBe('ok');
    expect(await outcomeOf(request())).toBe('ok');
    expect(await vault.approvals.get(operator, id, 'acme')).toMatchObject({ decided_by: 'ann' });
    const { entries } = await vault.listAudit(await tenants.admin('acme'), { action: 'approve_use' });
    expect(entries).toMatchObject([{ user: 'ann', edge: 'rest', api_key_id: key.api_key_id }]);
  });

  test('cannot be decided on by a person without the scope approvals:decide', async () => {
    const { person, decide } = await requested();
    expect(await decide(withoutScopes(await person('ann'), 'approvals:decide'))).toBe('FORBIDDEN');
  });

  test('does not exist for another user, another stack, another service or another organization', async () => {
    const { tenants, vault, person, decide, id } = await requested();
    const others = [
      await person('bob'),
      await person('ann', { stack_id: 'work', scopes: ALL_SCOPES }),
      await person('ann', { allowed_services: ['linear'] }),
      atPage(await tenants.admin('other')),
    ];
    for (const other of others) {
      expect(await decide(other)).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.approvals.get(other, id))).toBe('NOT_FOUND');
      expect(await vault.approvals.list(other)).toEqual([]);
    }
  });

  test('cannot be decided on with an API key that was revoked after the person signed in', async () => {
    const { tenants, vault, person, decide, state } = await requested();
    const ann = await person('ann');
    await vault.api_keys.revoke(await tenants.admin('acme'), ann.api_key_id ?? '');
    expect(await decide(ann)).toBe('UNAUTHENTICATED');
    expect(await state()).toBe('pending');
  });

  test('is approved by its user at a page, for one use', async () => {
    const { vault, person, decide, request, id } = await requested();
    const ann = await person('ann');
    expect(await vault.approvals.list(ann)).toMatchObject([{ id, user: 'ann', state: 'pending' }]);
    expect(await decide(ann)).toBe('ok');
    expect(await outcomeOf(request())).toBe('ok');
    expect(await outcomeOf(request())).toBe('FORBIDDEN approval_used');
  });

  test('is approved by an administrator at a page', async () => {
    const { tenants, vault, decide, request } = await requested();
    const admin = atPage(await tenants.admin('acme'));
    expect(await vault.approvals.list(admin)).toHaveLength(1);
    expect(await decide(admin)).toBe('ok');
    expect(await outcomeOf(request())).toBe('ok');
  });

  test('is decided on once if two persons decide at the same time', async () => {
    const { tenants, person, vault, id } = await requested();
    const [ann, admin] = [await person('ann'), atPage(await tenants.admin('acme'))];
    const outcomes = await Promise.all([
      outcomeOf(vault.approvals.approve(ann, id)),
      outcomeOf(vault.approvals.deny(admin, id)),
    ]);
    expect(outcomes.sort()).toEqual(['CONFLICT approval_used', 'ok']);
  });
});

describe('the scope approvals:decide', () => {
  test('is in no new key that does not name it', async () => {
    const { tenants, vault } = await requested();
    const { scopes } = await vault.api_keys.create({ ...tenants.operator(), edge: 'cli' }, {});
    expect(scopes).not.toContain('approvals:decide');
  });

  test('is not granted by a program, not even with the scope, and no program rotates a key that has it', async () => {
    const { tenants, vault } = await requested();
    const admin = await tenants.admin('acme');
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ann', scopes: ['approvals:decide'] });
    const { api_keys } = vault;
    for (const edge of ['rest', 'mcp', 'web'] as const) {
      const caller: Caller = { ...admin, edge };
      expect(await outcomeOf(api_keys.create(caller, { scopes: ['approvals:decide'] }))).toBe('FORBIDDEN');
      expect(await outcomeOf(api_keys.rotate(caller, id))).toBe('FORBIDDEN');
    }
    const made = await api_keys.create(atPage(admin), { scopes: ['approvals:decide'] });
    expect(made.scopes).toEqual(['approvals:decide']);
  });
});

describe('a person at a page', () => {
  test('protects a credential, changes it then, and widens its policy', async () => {
    const { vault, agent, person } = await requested();
    const ann = await person('ann', {
      scopes: ['credentials:read', 'credentials:write', 'approvals:decide'],
    });
    expect(await outcomeOf(vault.setProtected(agent, GITHUB, true))).toBe('FORBIDDEN');
    expect(await vault.setProtected(ann, GITHUB, true)).toMatchObject({ protected: true });
    const bearer = { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_other' } as const;
    expect(await vault.store(agent, bearer)).toMatchObject({ status: 'pending_approval' });
    expect(await vault.store(ann, bearer)).toMatchObject({ status: 'stored' });
    const widen = { ...GITHUB, use_policy: {}, replace: true };
    expect(await outcomeOf(vault.use_policies.set(agent, widen))).toBe('FORBIDDEN credential_protected');
    expect(await outcomeOf(vault.use_policies.set(ann, widen))).toBe('ok');
  });

  test('approves a destination with an update', async () => {
    const { vault, agent, person } = await requested();
    const grafana = { service_id: 'grafana' };
    const credentials = { grafana_host: 'a.grafana.net', grafana_token: 'glsa_0123456789' };
    await vault.update(agent, { ...grafana, credentials });
    const input = { ...grafana, credentials: { grafana_host: 'b.grafana.net' } };
    expect(await outcomeOf(vault.previewDestination(agent, input))).toBe('FORBIDDEN');
    const ann = await person('ann', { scopes: ['credentials:read', 'credentials:write'] });
    const { next } = await vault.previewDestination(ann, input);
    if (next === null) throw new Error('no destination');
    await vault.update(ann, input, { approved_destination: next });
    expect((await vault.status(ann, grafana)).destination).toEqual(['https://b.grafana.net']);
  });
});
