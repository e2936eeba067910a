/** Approvals over REST: a key with `approvals:decide` decides, but never on a request that was made with it. */
import { describe, expect, test } from 'vitest';
import type { AccessRequest } from '../../../src/contract/access_request.ts';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import type { Approval } from '../../../src/contract/approval.ts';
import { NEW_KEY_SCOPES, SCOPES } from '../../../src/contract/caller.ts';
import { startV1 } from '../v1_server.ts';

const LINEAR = { service_id: 'linear' };
const CALL = { method: 'POST', path: '/graphql', body: { query: '{ viewer { id } }' }, reason: 'Read' };
const NO_ID = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';
const MEMBER = SCOPES.filter((scope) => scope !== 'org:admin');

/** A call with an agent's key of ana that waits for approval. */
async function start() {
  const server = await startV1();
  const newKey = (input: CreateKeyInput = {}) => server.key({ organization: 'acme', user: 'ana', ...input });
  const agent = await newKey({ scopes: [...MEMBER] });
  const person = await newKey({ scopes: ['approvals:decide'] });
  const value = { ...LINEAR, credential_type: 'bearer', credential_value: 'lin_secret_1' };
  await server.get('PUT /v1/credentials', { key: agent, body: value });
  const policy = { ...LINEAR, use_policy: { approve: 'always' } };
  await server.get('PUT /v1/credentials/policy', { key: agent, body: policy });
  const call = async () => {
    const { status, text } = await server.send('POST /v1/services/linear/call', { key: agent, body: CALL });
    const { code, reason } = JSON.parse(text);
    return [status, reason ?? code];
  };
  const list = async (which = '', key = person) =>
    (await server.get<{ approvals: Approval[] }>(`GET /v1/approvals${which}`, { key })).approvals;
  expect(await call()).toEqual([403, 'approval_required']);
  const id = (await list())[0]?.id ?? '';
  const decide = (verb: string, key = person, body?: object) =>
    server.send(`POST /v1/approvals/${id}/${verb}`, { key, ...(body === undefined ? {} : { body }) });
  return { server, newKey, agent, person, call, list, id, decide };
}

describe('approvals over REST', () => {
  test('the API key that made a request, a key without approvals:decide and a key with some tools decide on nothing', async () => {
    const { newKey, agent, decide, call } = await start();
    const others = [
      agent,
      await newKey({ scopes: [...NEW_KEY_SCOPES] }),
      await newKey({ scopes: ['approvals:decide', 'credentials:read'], allowed_tools: ['list_services'] }),
    ];
    for (const key of others)
      for (const verb of ['approve', 'deny', 'revoke']) {
        const { status, text } = await decide(verb, key);
        expect([status, JSON.parse(text).code]).toEqual([403, 'FORBIDDEN']);
      }
    expect(await call()).toEqual([403, 'approval_required']);
  });

  test('an approval of another user, stack, service or organization is reported as one that does not exist', async () => {
    const { server, newKey, id, list } = await start();
    const scopes = ['approvals:decide', 'credentials:write', 'stacks:write'] as const;
    const others = [
      await newKey({ user: 'bob', scopes: [...scopes] }),
      await newKey({ scopes: [...scopes], stack_id: 'work' }),
      await newKey({ scopes: [...scopes], allowed_services: ['github'] }),
      await newKey({ organization: 'other', scopes: [...SCOPES] }),
    ];
    for (const key of others) {
      expect(await list('', key)).toEqual([]);
      const requests = ['GET', 'POST approve', 'POST deny', 'POST revoke'];
      for (const [method = '', verb] of requests.map((one) => one.split(' '))) {
        const send = (approval: string) =>
          server.send(`${method} /v1/approvals/${approval}${verb === undefined ? '' : `/${verb}`}`, { key });
        const [other, unknown] = [await send(id), await send(NO_ID)];
        expect([method, verb, other.status, other.text]).toEqual([method, verb, 404, unknown.text]);
      }
    }
    expect(await list()).toMatchObject([{ id, state: 'pending' }]);
  });

  test('only the operator names another organization', async () => {
    const { server, newKey, id } = await start();
    const admin = await newKey({ organization: 'other', scopes: [...SCOPES] });
    const operator = await server.key({ scopes: ['approvals:decide', 'org:admin'] });
    for (const path of ['/v1/approvals', `/v1/approvals/${id}`])
      expect((await server.send(`GET ${path}?organization=acme`, { key: admin })).status).toBe(403);
    expect(await server.get(`GET /v1/approvals/${id}?organization=acme`, { key: operator })).toMatchObject({
      id,
      organization: 'acme',
      user: 'ana',
    });
  });

  test.each([
    ['minutes without a duration', { minutes: 5 }],
    ['a duration without minutes', { for: 'duration' }],
    ['a duration of more than eight hours', { for: 'duration', minutes: 481 }],
    ['a session, which a caller over HTTP does not have', { for: 'session' }],
    ['limits of an access request', { use_policy: { methods: ['GET'] } }],
    ['an unknown member', { once: true }],
    ['a list', []],
  ])('a request is not approved with %s', async (_what, body) => {
    const { decide, list, id } = await start();
    expect((await decide('approve', undefined, body)).status).toBe(400);
    expect(await list()).toMatchObject([{ id, state: 'pending' }]);
  });

  test('a request is approved once without a body, and a second decision returns 409', async () => {
    const { server, decide, list, call, id, person } = await start();
    const shown = await server.get<Approval>(`GET /v1/approvals/${id}`, { key: person });
    expect(shown).toMatchObject({
      kind: 'request',
      state: 'pending',
      summary: 'POST https://api.linear.app/graphql',
      reason: 'Read',
      body: '{"query":"{ viewer { id } }"}',
    });
    expect(JSON.stringify(shown)).not.toContain('lin_secret_1');
    const approved = await decide('approve');
    expect([approved.status, JSON.parse(approved.text)]).toMatchObject([200, { id, state: 'approved' }]);
    for (const verb of ['approve', 'deny']) {
      const { status, text } = await decide(verb);
      expect([status, JSON.parse(text).reason]).toEqual([409, 'approval_used']);
    }
    expect(await list()).toEqual([]);
    expect(await list('?list=in_force')).toMatchObject([{ id }]);
    // Nothing is reachable from the tests: the call was permitted, and its host has no address.
    expect(await call()).toEqual([502, 'UPSTREAM']);
  });

  test('a request is granted for a time and an endpoint, and revoked', async () => {
    const { decide, list, call, id } = await start();
    const choice = { for: 'duration', minutes: 30, each: 'endpoint' };
    expect((await decide('approve', undefined, choice)).status).toBe(200);
    const grant = { for: 'duration', each: 'endpoint', uses: 0 };
    expect(await list('?list=in_force')).toMatchObject([{ id, state: 'granted', grant }]);
    for (let use = 0; use < 2; use++) expect(await call()).toEqual([502, 'UPSTREAM']);
    expect((await decide('revoke')).status).toBe(200);
    expect(await list('?list=in_force')).toEqual([]);
    expect((await decide('revoke')).status).toBe(404);
    expect(await call()).toEqual([403, 'approval_required']);
  });

  test('a request is denied', async () => {
    const { decide, list, call, id } = await start();
    expect((await decide('deny')).status).toBe(200);
    expect(await call()).toEqual([403, 'approval_denied']);
    expect(await list('?list=decided')).toMatchObject([{ id, state: 'denied', decided_by: 'ana' }]);
  });

  test('an access request is accepted with limits, which the credential gets', async () => {
    const { server, agent, person } = await start();
    const { approval_id } = await server.get<AccessRequest>('POST /v1/access-requests', {
      key: agent,
      body: { service_id: 'github', reason: 'To list issues.' },
    });
    const path = `POST /v1/approvals/${approval_id}/approve`;
    expect((await server.send(path, { key: person, body: { for: 'duration', minutes: 5 } })).status).toBe(
      400,
    );
    const body = { use_policy: { methods: ['GET'] } };
    expect((await server.send(path, { key: agent, body })).status).toBe(403);
    expect(await server.get(path, { key: person, body })).toMatchObject({
      kind: 'access_request',
      state: 'approved',
      access: { use_policy: { methods: ['GET'] } },
    });
    const value = { service_id: 'github', credential_type: 'bearer', credential_value: 'ghp_1' };
    await server.get('PUT /v1/credentials', { key: agent, body: value });
    expect(await server.get('GET /v1/credentials?service_id=github', { key: agent })).toMatchObject({
      use_policy: { methods: ['GET'] },
    });
  });

  test('a service that is not in the catalogue is added only by the operator', async () => {
    const { server, agent } = await start();
    const body = { base_url: 'https://api.intranet.example.com', reason: 'To read.' };
    const request = async (key: string) =>
      (await server.get<AccessRequest>('POST /v1/access-requests', { key, body })).approval_id;
    const admin = await server.key({ organization: 'acme', user: 'ana', scopes: [...SCOPES] });
    const approve = async (id: string, key: string) =>
      (await server.send(`POST /v1/approvals/${id}/approve`, { key })).status;
    expect(await approve(await request(agent), admin)).toBe(403);
    const operator = await server.key({ scopes: ['approvals:decide', 'org:admin'] });
    expect(await approve(await request(await server.key()), operator)).toBe(200);
  });

  test('values for a protected credential are approved', async () => {
    const { server, agent, person, list } = await start();
    const page = {
      ...server.caller(),
      organization: 'acme',
      user: 'ana',
      edge: 'web',
      is_person: true,
    } as const;
    await server.vault.setProtected(page, LINEAR, true);
    const value = { ...LINEAR, credential_type: 'bearer', credential_value: 'lin_secret_2' };
    expect(await server.get('PUT /v1/credentials', { key: agent, body: value })).toMatchObject({
      status: 'pending_approval',
    });
    const found = (await list()).find(({ kind }) => kind === 'stored_values');
    const path = `POST /v1/approvals/${found?.id}`;
    expect((await server.send(`${path}/approve`, { key: agent })).status).toBe(403);
    expect(await server.get(`${path}/approve`, { key: person })).toMatchObject({ state: 'approved' });
    const deletion = await server.send('POST /v1/credentials/delete', { key: person, body: LINEAR });
    expect(deletion.status).toBe(403);
  });

  test('GET /v1/audit/uses counts uses and refused uses of each day', async () => {
    const { server, agent, call, newKey } = await start();
    const policy = { ...LINEAR, use_policy: { methods: ['GET'] } };
    await server.get('PUT /v1/credentials/policy', { key: agent, body: policy });
    expect((await call())[0]).toBe(403);
    const key = await newKey({ scopes: ['audit:read'] });
    const read = (query: string) => server.send(`GET /v1/audit/uses${query}`, { key });
    for (const query of ['?days=0', '?days=91', '?days=x', '?hours=1'])
      expect((await read(query)).status).toBe(400);
    const { days, complete_since } = JSON.parse((await read('?days=2&service_id=linear')).text);
    expect([days.length, complete_since]).toEqual([2, null]);
    expect(days[1]).toMatchObject({ used: 0, refused: 2 });
    const none = JSON.parse((await read('?service_id=github')).text);
    expect(none.days).toHaveLength(30);
    expect(none.days[29]).toMatchObject({ used: 0, refused: 0 });
  });
});
