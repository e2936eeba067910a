/** Approvals for more than one request: what a grant covers, for how long, and how it ends. */
import { describe, expect, test } from 'vitest';
import type { ApprovalChoiceInput } from '../../../src/contract/approval.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import { USE_GRANT_MAX_MS, USE_GRANT_USES_MAX } from '../../../src/contract/limits.ts';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import type { UseMethod } from '../../../src/contract/use/rules.ts';
import type { UseRequest } from '../../../src/vault/uses/use.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { readRowsOfKind } from '../../kit/vault/database.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const HOST = 'https://api.github.com';
const NEEDED = 'FORBIDDEN approval_required';
const MINUTE_MS = 60_000;

/** `body` decides on the hash only. */
const http = (method: UseMethod, path: string, body = '', origin = HOST): UseRequest => ({
  kind: 'http',
  method,
  origin,
  path,
  hash: `${method} ${origin}${path} ${body}`,
  summary: `${method} ${origin}${path}`,
});
const POST = http('POST', '/repos/acme/web/issues');
const SAME_ENDPOINT = http('POST', '/repos/acme/web/issues', 'another body');
const OTHER_METHOD = http('DELETE', '/repos/acme/web/issues');
const OTHER_PATH = http('POST', '/repos/acme/web/labels');
const OTHER_HOST = http('POST', '/repos/acme/web/issues', '', 'https://uploads.github.com');
const CHILD: UseRequest = { kind: 'environment', hash: 'git push', summary: 'git push' };

/** A credential of ann whose uses a person approves, an agent with a session, and the person. */
async function opened(policy: UsePolicy = { approve: 'always' }) {
  const tenants = await openTenants();
  const { vault } = tenants;
  const ann = await tenants.user('acme', 'ann');
  const agent: Caller = { ...ann, edge: 'mcp', session_id: 'session-1' };
  const person: Caller = { ...(await tenants.user('acme', 'ann')), edge: 'web', is_person: true };
  await vault.store(ann, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' });
  await vault.use_policies.set(ann, { ...GITHUB, use_policy: policy });
  const use = async (request: UseRequest, caller: Caller = agent) => {
    const credential = await vault.uses.find(caller, GITHUB);
    await vault.uses.authorize(caller, credential, request);
    return vault.uses.begin(caller, credential, request);
  };
  const uses = (request: UseRequest, caller: Caller = agent) => outcomeOf(use(request, caller));
  /** The id of the approval that a use requests. */
  const requested = async (request: UseRequest, caller: Caller = agent) => {
    const { message } = await errorOf(use(request, caller));
    return /keyhold approvals show ([0-9a-f-]{36})/.exec(message)?.[1] ?? '';
  };
  const approve = (id: string, choice: ApprovalChoiceInput) =>
    vault.approvals.approve(person, id, undefined, choice);
  const grant = async (choice: ApprovalChoiceInput, request = POST, caller: Caller = agent) => {
    const id = await requested(request, caller);
    await approve(id, choice);
    return id;
  };
  return { tenants, vault, agent, person, use, uses, requested, approve, grant };
}

describe('a choice that a request does not have', () => {
  test.each<readonly [string, unknown]>([
    ['a duration without minutes', { for: 'duration' }],
    ['minutes without a duration', { for: 'once', minutes: 5 }],
    ['a duration of no time', { for: 'duration', minutes: 0 }],
    ['a duration of more than eight hours', { for: 'duration', minutes: 481 }],
    ['an unknown extent', { each: 'service' }],
    ['an unknown term', { for: 'ever' }],
  ])('%s is refused, and the request waits on', async (_, choice) => {
    const { vault, person, requested, approve } = await opened();
    const id = await requested(POST);
    expect(await outcomeOf(approve(id, choice as ApprovalChoiceInput))).toBe('INVALID_INPUT');
    expect((await vault.approvals.get(person, id)).state).toBe('pending');
  });

  test('a session is refused for a caller without one, and an endpoint and a host for a child process', async () => {
    const { agent, requested, approve } = await opened();
    const over_http = await requested(POST, { ...agent, session_id: undefined });
    expect(await outcomeOf(approve(over_http, { for: 'session' }))).toBe('INVALID_INPUT');
    const child = await requested(CHILD);
    for (const each of ['endpoint', 'host'] as const)
      expect(await outcomeOf(approve(child, { each }))).toBe('INVALID_INPUT');
    expect(await outcomeOf(approve(child, { for: 'session' }))).toBe('ok');
  });
});

describe('a grant covers', () => {
  test('equal requests only, if it is for the request', async () => {
    const { uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 30 });
    for (let time = 0; time < 3; time++) expect(await uses(POST)).toBe('ok');
    for (const other of [SAME_ENDPOINT, OTHER_METHOD, OTHER_PATH, OTHER_HOST, CHILD])
      expect(await uses(other)).toBe(NEEDED);
  });

  test('a method and path with any body, if it is for the endpoint', async () => {
    const { uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 30, each: 'endpoint' });
    expect([await uses(POST), await uses(SAME_ENDPOINT)]).toEqual(['ok', 'ok']);
    for (const other of [OTHER_METHOD, OTHER_PATH, OTHER_HOST, CHILD]) expect(await uses(other)).toBe(NEEDED);
  });

  test('one origin, if it is for the host, and no child process', async () => {
    const { uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 30, each: 'host' });
    for (const one of [POST, SAME_ENDPOINT, OTHER_METHOD, OTHER_PATH]) expect(await uses(one)).toBe('ok');
    for (const other of [OTHER_HOST, CHILD]) expect(await uses(other)).toBe(NEEDED);
  });

  test('the next use of an endpoint only, if it is for once', async () => {
    const { uses, grant } = await opened();
    await grant({ each: 'endpoint' });
    expect(await uses(SAME_ENDPOINT)).toBe('ok');
    expect(await uses(SAME_ENDPOINT)).toBe(NEEDED);
    expect(await uses(POST)).toBe(NEEDED);
  });

  test('the same credential and caller only: no other credential, API key or user', async () => {
    const { tenants, vault, agent, uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 30, each: 'host' });
    const other_key: Caller = {
      ...(await tenants.user('acme', 'ann')),
      edge: 'mcp',
      session_id: 'session-1',
    };
    expect(await uses(POST, other_key)).toBe(NEEDED);
    const second = { ...GITHUB, name: 'second' };
    await vault.store(agent, { ...second, credential_type: 'bearer', credential_value: 'ghp_other' });
    await vault.use_policies.set(
      { ...agent, edge: 'rest' },
      { ...second, use_policy: { approve: 'always' } },
    );
    const credential = await vault.uses.find(agent, second);
    expect(await outcomeOf(vault.uses.authorize(agent, credential, POST))).toBe(NEEDED);
  });

  test('this session only, if it is for the session, and eight hours of it', async () => {
    const { tenants, agent, uses, grant } = await opened();
    await grant({ for: 'session', each: 'host' });
    expect(await uses(OTHER_PATH)).toBe('ok');
    expect(await uses(OTHER_PATH, { ...agent, session_id: 'session-2' })).toBe(NEEDED);
    expect(await uses(OTHER_PATH, { ...agent, session_id: undefined })).toBe(NEEDED);
    tenants.clock.advance(USE_GRANT_MAX_MS - 1);
    expect(await uses(POST)).toBe('ok');
    tenants.clock.advance(1);
    expect(await uses(POST)).toBe(NEEDED);
  });

  test('every session of the caller, if it is for a duration, until that ends', async () => {
    const { tenants, agent, uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 90 });
    tenants.clock.advance(90 * MINUTE_MS - 1);
    expect(await uses(POST, { ...agent, session_id: 'session-2' })).toBe('ok');
    tenants.clock.advance(1);
    expect(await uses(POST)).toBe(NEEDED);
  });

  test('values that were stored after it, such as a token that was refreshed', async () => {
    const { vault, agent, uses, grant } = await opened();
    await grant({ for: 'duration', minutes: 30 });
    await vault.store(agent, { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_new' });
    expect(await uses(POST)).toBe('ok');
  });
});

describe('a grant never widens a policy', () => {
  test('methods, paths and the end of the policy are still enforced, also when it gets tighter', async () => {
    const { tenants, vault, person, uses, grant } = await opened({
      approve: 'always',
      methods: ['GET', 'POST'],
      path_prefixes: ['/repos/acme'],
      expires_at: new Date(Date.now() + 60 * MINUTE_MS).toISOString(),
    });
    await grant({ for: 'duration', minutes: 480, each: 'host' });
    expect(await uses(POST)).toBe('ok');
    expect(await uses(OTHER_METHOD)).toBe('FORBIDDEN outside_policy');
    expect(await uses(http('POST', '/user/keys'))).toBe('FORBIDDEN outside_policy');
    await vault.use_policies.set(person, { ...GITHUB, use_policy: { methods: ['GET'] } });
    expect(await uses(POST)).toBe('FORBIDDEN outside_policy');
    expect(await uses(http('GET', '/repos/acme/web'))).toBe('ok');
    tenants.clock.advance(61 * MINUTE_MS);
    expect(await uses(http('GET', '/repos/acme/web'))).toBe('EXPIRED outside_policy');
  });

  test('a request that a person denied stays denied under a grant for its host', async () => {
    const { vault, person, requested, uses, grant } = await opened();
    await vault.approvals.deny(person, await requested(POST));
    await grant({ for: 'duration', minutes: 30, each: 'host' }, OTHER_PATH);
    expect(await uses(POST)).toBe('FORBIDDEN approval_denied');
    expect(await uses(SAME_ENDPOINT)).toBe('ok');
  });
});

describe('grants in force', () => {
  test('are listed with their uses, and each use is in the audit log with the id of the approval', async () => {
    const { vault, person, uses, grant } = await opened();
    const id = await grant({ for: 'session', each: 'endpoint' });
    await uses(POST);
    await uses(SAME_ENDPOINT);
    const [found, ...others] = await vault.approvals.listDecided(person, 'in_force');
    expect(others).toEqual([]);
    expect(found).toMatchObject({
      id,
      state: 'granted',
      endpoint: `POST ${HOST}${POST.path}`,
      host: HOST,
      decided_by: 'ann',
      grant: { for: 'session', each: 'endpoint', uses: 2, uses_max: USE_GRANT_USES_MAX },
    });
    expect(await vault.approvals.list(person)).toEqual([]);
    const { entries } = await vault.listAudit(person, { action: 'use', outcome: 'allowed' });
    expect(entries.map(({ use }) => use?.approval_id)).toEqual([id, id]);
    expect((await vault.verifyAudit(person)).findings).toEqual([]);
  });

  test('are revoked by a person, at once, and not by an agent, a stranger or twice', async () => {
    const { tenants, vault, agent, person, uses, grant } = await opened();
    const id = await grant({ for: 'duration', minutes: 30, each: 'host' });
    expect(await outcomeOf(vault.approvals.revoke(agent, id))).toBe('FORBIDDEN');
    const bob: Caller = { ...(await tenants.user('acme', 'bob')), edge: 'web', is_person: true };
    expect(await outcomeOf(vault.approvals.revoke(bob, id))).toBe('NOT_FOUND');
    expect(await uses(POST)).toBe('ok');
    expect(await vault.approvals.revoke(person, id)).toMatchObject({ id });
    expect(await uses(POST)).toBe(NEEDED);
    expect(await outcomeOf(vault.approvals.revoke(person, id))).toBe('NOT_FOUND');
    const { entries } = await vault.listAudit(person, { action: 'revoke_use' });
    expect(entries).toMatchObject([{ record_id: id, outcome: 'allowed' }]);
  });

  test('replace an earlier one for the same uses', async () => {
    const { tenants, vault, agent, person, uses, requested, approve } = await opened();
    const both = [await requested(POST), await requested(OTHER_PATH)];
    for (const [at, id] of both.entries())
      await approve(id, { for: 'duration', minutes: 30 + at, each: 'host' });
    const found = await vault.approvals.listDecided(person, 'in_force');
    expect(found.map(({ id }) => id)).toEqual([both[1]]);
    tenants.clock.advance(30 * MINUTE_MS);
    expect(await uses(CHILD, agent)).toBe(NEEDED);
    expect(await uses(POST)).toBe('ok');
    tenants.clock.advance(MINUTE_MS);
    expect(await uses(POST)).toBe(NEEDED);
  });

  test('permit each of many uses at once, and count every one', async () => {
    const { tenants, vault, person, use, grant } = await opened();
    await grant({ for: 'duration', minutes: 30 });
    await Promise.all(Array.from({ length: 10 }, () => use(POST)));
    const [found] = await vault.approvals.listDecided(person, 'in_force');
    expect(found?.grant?.uses).toBe(10);
    tenants.clock.advance(30 * MINUTE_MS);
    // The next request deletes those that have expired.
    await outcomeOf(use(POST));
    expect(await readRowsOfKind(tenants.home, 'use_approval')).toHaveLength(1);
  });
});
