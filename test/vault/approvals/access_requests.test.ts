/** Access requests: the limits of a request, the persons who decide, and the effects of accepting. */
import { describe, expect, test } from 'vitest';
import type { RequestAccessInput } from '../../../src/contract/access_request.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import { ACCESS_REQUEST_AGE_MS, ACCESS_REQUESTS_PER_USER_MAX } from '../../../src/contract/limits.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github', reason: 'Read the issues.' };
const CUSTOM = { base_url: 'https://api.unlisted-example.com', reason: 'Read orders.' };
const READ_ONLY = { use_policy: { methods: ['GET', 'HEAD'] as ('GET' | 'HEAD')[] } };

/** A vault with an agent over stdio and the person at the machine, who are the local user. */
async function opened() {
  const tenants = await openTenants();
  const { vault } = tenants;
  const person: Caller = { ...tenants.operator(), edge: 'cli' };
  const agent: Caller = { ...tenants.operator(), edge: 'mcp', claimed_client: 'agent 1.0' };
  const request = (input: RequestAccessInput, caller = agent) =>
    vault.approvals.access.request(caller, input);
  return { tenants, vault, person, agent, request };
}

describe('an access request is refused', () => {
  test.each<readonly [string, object]>([
    ['has neither service_id nor base_url', { reason: 'r' }],
    ['has both', { ...GITHUB, ...CUSTOM }],
    ['has fields for a known service', { ...GITHUB, fields: ['api_key'] }],
    ['has no reason', { service_id: 'github' }],
    ['has a reason that is too long', { ...GITHUB, reason: 'x'.repeat(501) }],
    ['has a reason with control characters', { ...GITHUB, reason: 'x\u001b[2Jy' }],
    ['has a reason with text that only a model reads', { ...GITHUB, reason: 'x\u{e0041}' }],
    ['has a URL without TLS', { ...CUSTOM, base_url: 'http://api.unlisted-example.com' }],
    ['has a URL with a password', { ...CUSTOM, base_url: 'https://u:p@api.unlisted-example.com' }],
    ['has a URL with a path', { ...CUSTOM, base_url: 'https://api.unlisted-example.com/v1' }],
    ['has another scheme', { ...CUSTOM, base_url: 'javascript:alert(1)' }],
    ['has the host of a known service', { ...CUSTOM, base_url: 'https://api.github.com' }],
    ['has a field id with markup', { ...CUSTOM, fields: ['<b>'] }],
    ['has more than two fields', { ...CUSTOM, fields: ['a', 'b', 'c'] }],
  ])('if it %s', async (_, input) => {
    const { vault, person, request } = await opened();
    expect(await outcomeOf(request(input as RequestAccessInput))).toBe('INVALID_INPUT');
    expect(await vault.approvals.list(person)).toEqual([]);
  });

  test('if ten of the user wait, until one is decided', async () => {
    const { vault, person, request } = await opened();
    const name = (at: number) => ({ ...GITHUB, name: `n${at}` });
    const ids = [];
    for (let at = 0; at < ACCESS_REQUESTS_PER_USER_MAX; at++) ids.push((await request(name(at))).approval_id);
    expect(await outcomeOf(request(name(99)))).toBe('RATE_LIMITED');
    await vault.approvals.deny(person, ids[0] ?? '');
    expect(await outcomeOf(request(name(99)))).toBe('ok');
  });

  test('if the API key does not allow the service', async () => {
    const { tenants, request } = await opened();
    const restricted = await tenants.user('acme', 'ann', { allowed_services: ['linear'] });
    expect(await outcomeOf(request(GITHUB, restricted))).toBe('FORBIDDEN');
    expect(await outcomeOf(request(CUSTOM, restricted))).toBe('FORBIDDEN');
  });
});

describe('an access request', () => {
  test('shows the person its caller and its reason, and the same request again is the same one', async () => {
    const { vault, person, agent, request } = await opened();
    const first = await request(GITHUB);
    expect(first.code).toMatch(/^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$/);
    expect(await request({ ...GITHUB, reason: 'Another reason.' })).toEqual(first);
    const [found, ...others] = await vault.approvals.list(person);
    expect(others).toEqual([]);
    expect(found).toMatchObject({
      id: first.approval_id,
      kind: 'access_request',
      state: 'pending',
      reason: GITHUB.reason,
      requested_by: 'mcp, client agent 1.0',
      access: { code: first.code, base_url: null },
    });
    expect(await vault.approvals.access.statusFor(agent, { service_id: 'github' })).toEqual(first);
  });

  test('is not accepted or denied by an agent or in a session of its API key, and not accepted by an administrator', async () => {
    const { tenants, vault, request } = await opened();
    const ann = await tenants.user('acme', 'ann');
    const { approval_id: id } = await request(GITHUB, ann);
    const admin: Caller = { ...(await tenants.admin('acme')), edge: 'web', is_person: true };
    for (const caller of [
      ann,
      { ...ann, edge: 'mcp' as const },
      { ...ann, edge: 'web' as const, is_person: true as const },
    ]) {
      expect(await outcomeOf(vault.approvals.accept(caller, id))).toBe('FORBIDDEN');
      expect(await outcomeOf(vault.approvals.deny(caller, id))).toBe('FORBIDDEN');
    }
    expect(await outcomeOf(vault.approvals.accept(admin, id))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.approvals.deny(admin, id))).toBe('ok');
    expect(await outcomeOf(request(GITHUB, ann))).toBe('FORBIDDEN approval_denied');
  });

  test('is decided once, and expires after a day', async () => {
    const { tenants, vault, person, request } = await opened();
    const { approval_id: id } = await request(GITHUB);
    const both = [vault.approvals.accept(person, id), vault.approvals.deny(person, id)];
    expect((await Promise.all(both.map(outcomeOf))).sort()).toContain('ok');
    expect(await outcomeOf(vault.approvals.deny(person, id))).toBe('CONFLICT approval_used');
    const other = await request({ service_id: 'linear', reason: 'r' });
    tenants.clock.advance(ACCESS_REQUEST_AGE_MS);
    expect(await outcomeOf(vault.approvals.accept(person, other.approval_id))).toBe('NOT_FOUND');
    expect((await request({ service_id: 'linear', reason: 'r' })).approval_id).not.toBe(other.approval_id);
    expect((await vault.verifyAudit(person)).findings).toEqual([]);
  });

  test('sets the limits of the person on the credential that is stored next', async () => {
    const { vault, person, agent, request } = await opened();
    const { approval_id: id } = await request(GITHUB);
    expect(await vault.approvals.accept(person, id, READ_ONLY)).toMatchObject({
      state: 'approved',
      access: READ_ONLY,
    });
    expect((await request(GITHUB)).state).toBe('approved');
    await vault.store(person, { service_id: 'github', credential_type: 'bearer', credential_value: 'ghp_1' });
    const { policy } = await vault.uses.find(agent, { service_id: 'github' });
    expect(policy).toEqual(READ_ONLY.use_policy);
  });

  test('for a service that is not in the catalogue adds a definition of that one host when it is accepted', async () => {
    const { tenants, vault, person, agent, request } = await opened();
    const { approval_id: id, service_id } = await request(CUSTOM);
    expect(vault.services.find(service_id)).toBeUndefined();
    await vault.approvals.accept(person, id, READ_ONLY);
    const credentials = { api_key: 'key-0123456789' };
    await vault.update(person, { service_id, credentials });
    const usable = await vault.uses.find(agent, { service_id });
    expect(usable.destination.origins).toEqual([CUSTOM.base_url]);
    expect(usable.policy).toEqual(READ_ONLY.use_policy);
    // Another process loads the file, and its definition is approved.
    const second = await openTenants(tenants.home, tenants.clock);
    expect(second.vault.services.get(service_id).hosts).toEqual(['api.unlisted-example.com']);
  });

  test('for a service that is not in the catalogue is accepted by the operator only', async () => {
    const { tenants, vault, request } = await opened();
    const { approval_id: id } = await request(CUSTOM, await tenants.user('acme', 'ann'));
    const ann: Caller = { ...(await tenants.admin('acme', 'ann')), edge: 'web', is_person: true };
    expect(await outcomeOf(vault.approvals.accept(ann, id))).toBe('FORBIDDEN');
    expect(vault.services.find('api.unlisted-example.com')).toBeUndefined();
  });
});
