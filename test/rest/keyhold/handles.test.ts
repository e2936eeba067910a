/** Handles and access requests over REST: created, polled and declined by programs, completed by persons elsewhere. */
import { describe, expect, test } from 'vitest';
import type { AccessRequest } from '../../../src/contract/access_request.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { PendingHandle } from '../../../src/contract/handle.ts';
import { HANDLES_PENDING_PER_USER_MAX } from '../../../src/contract/limits.ts';
import { createUserKeys } from '../user_keys.ts';
import { startV1, type V1Server } from '../v1_server.ts';

const LINEAR = { service_id: 'linear' };
const UNKNOWN = 'AAAAAAAAAAAAAAAAAAAAAA';

/** As a web session of the local user. */
const personOf = (server: V1Server): Caller => ({ ...server.caller(), edge: 'web', is_person: true });

function create(server: V1Server, body: object = LINEAR, key?: string): Promise<PendingHandle> {
  return server.get('POST /v1/handles', { body, ...(key === undefined ? {} : { key }) });
}

describe('handles over REST', () => {
  test.each([
    ['an unknown service', { service_id: 'no_such' }, 404],
    ['an unknown stack', { ...LINEAR, stack_id: 'stack_123e4567-e89b-12d3-a456-426614174000' }, 404],
    ['an unknown field', { ...LINEAR, fields: ['password'] }, 400],
    ['fields and a type', { ...LINEAR, fields: ['linear_api_key'], credential_type: 'bearer' }, 400],
    ['a value', { ...LINEAR, credential_type: 'bearer', credential_value: 'lin_secret' }, 400],
  ])(
    'POST /v1/handles refuses %s, and its response does not repeat the input',
    async (_what, body, status) => {
      const server = await startV1();
      const response = await server.send('POST /v1/handles', { body });
      expect(response.status).toBe(status);
      for (const text of ['no_such', 'password', 'lin_secret', '123e4567'])
        expect(response.text).not.toContain(text);
    },
  );

  test('POST /v1/handles returns the URL of the page, the code and the handle, and the state is done once a person entered the value', async () => {
    const server = await startV1();
    const made = await create(server, { ...LINEAR, name: 'work' });
    expect(made).toEqual({
      status: 'pending_user_input',
      url: `${server.url}/dashboard/enter/${made.handle}`,
      code: expect.stringMatching(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/),
      handle: expect.stringMatching(/^[\w-]{22}$/),
      expires_at: expect.any(String),
      retry_after_ms: 3000,
      service_name: 'Linear',
      credential_id: null,
      fields: ['linear_api_key'],
    });
    const { handle, code, expires_at } = made;
    const state = () => server.get('POST /v1/handles/status', { body: { handle } });
    const facts = { code, expires_at, service_id: 'linear', stack_id: 'default', name: 'work' };
    expect(await state()).toEqual({ state: 'pending', ...facts, retry_after_ms: 3000 });
    await server.vault.handles.complete(personOf(server), handle, { linear_api_key: 'lin_1' });
    expect(await state()).toEqual({ state: 'done', ...facts });
    expect(await server.get('GET /v1/credentials?service_id=linear&name=work')).toMatchObject({
      status: 'active',
    });
    const again = await server.send('POST /v1/handles/decline', { body: { handle } });
    expect([again.status, JSON.parse(again.text).reason]).toEqual([410, 'handle_used']);
  });

  test('no route completes a handle, also not with a key that has every scope', async () => {
    const server = await startV1();
    const { handle } = await create(server);
    const key = await server.key({ scopes: ['credentials:write', 'approvals:decide', 'org:admin'] });
    for (const path of ['/v1/handles/complete', `/v1/handles/${handle}`, `/v1/handles/${handle}/complete`])
      for (const method of ['POST', 'PUT']) {
        const body = { handle, linear_api_key: 'lin_1' };
        expect((await server.send(`${method} ${path}`, { key, body })).status).toBe(404);
      }
    expect(await server.get('GET /v1/credentials?service_id=linear')).toMatchObject({ status: 'missing' });
  });

  test('POST /v1/handles/decline ends the handle, and nothing is stored', async () => {
    const server = await startV1();
    const { handle } = await create(server);
    const body = { handle };
    expect(await server.get('POST /v1/handles/decline', { body })).toEqual({ success: true });
    expect(await server.get('POST /v1/handles/status', { body })).toMatchObject({ state: 'declined' });
    expect((await server.send('POST /v1/handles/decline', { body })).status).toBe(410);
  });

  test('a handle of another user, organization or API key is reported as one that does not exist', async () => {
    const server = await startV1();
    const { owner, colleague, admin, stranger } = await createUserKeys(server);
    const { handle } = await create(server, LINEAR, owner.key);
    const other_key = await server.key({ user: 'owner' });
    const send = (route: string, key: string, given: string) =>
      server.send(`POST /v1/handles/${route}`, { key, body: { handle: given } });
    for (const key of [colleague.key, admin.key, stranger.key]) {
      for (const route of ['status', 'decline']) {
        const [other, unknown] = [await send(route, key, handle), await send(route, key, UNKNOWN)];
        expect([other.status, other.text]).toEqual([404, unknown.text]);
      }
    }
    expect((await send('status', other_key, handle)).status).toBe(404);
    expect((await send('status', owner.key, handle)).text).toContain('"state":"pending"');
  });

  test('a key that is limited to another service or stack creates no handle', async () => {
    const server = await startV1();
    const other_service = await server.key({ allowed_services: ['github'] });
    expect((await server.send('POST /v1/handles', { key: other_service, body: LINEAR })).status).toBe(403);
    const other_stack = await server.key({ stack_id: 'default' });
    const body = { ...LINEAR, stack_id: 'work' };
    expect((await server.send('POST /v1/handles', { key: other_stack, body })).status).toBe(404);
  });

  test('POST /v1/handles returns 429 with too many handles that wait, and accepts one after another was declined', async () => {
    const server = await startV1();
    const { handle } = await create(server);
    for (let made = 1; made < HANDLES_PENDING_PER_USER_MAX; made++) await create(server);
    expect((await server.send('POST /v1/handles', { body: LINEAR })).status).toBe(429);
    await server.get('POST /v1/handles/decline', { body: { handle } });
    expect((await server.send('POST /v1/handles', { body: LINEAR })).status).toBe(200);
  });
});

describe('access requests over REST', () => {
  const request = (server: V1Server, body: object) =>
    server.get<AccessRequest>('POST /v1/access-requests', { body });

  test.each([
    ['no reason', { service_id: 'github' }, 400],
    ['an unknown service', { service_id: 'no_such', reason: 'r' }, 404],
    ['a service and a URL', { service_id: 'github', base_url: 'https://a.example.com', reason: 'r' }, 400],
    ['plain http', { base_url: 'http://a.example.com', reason: 'r' }, 400],
  ])('POST /v1/access-requests refuses %s', async (_what, body, status) => {
    const server = await startV1();
    expect((await server.send('POST /v1/access-requests', { body })).status).toBe(status);
  });

  test('an access request is returned again while it waits, and the state is approved once a person accepted it', async () => {
    const server = await startV1();
    const body = { service_id: 'github', reason: 'To list issues.' };
    const made = await request(server, body);
    expect(made).toEqual({
      approval_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      service_id: 'github',
      code: expect.stringMatching(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/),
      expires_at: expect.any(String),
      state: 'pending',
      url: `${server.url}/dashboard/approvals/${made.approval_id}`,
    });
    expect(await request(server, body)).toEqual(made);
    const status = () => server.get('GET /v1/access-requests?service_id=github');
    expect(await status()).toEqual({ access_request: made });
    expect(await server.get('GET /v1/access-requests?service_id=linear')).toEqual({ access_request: null });
    await server.vault.approvals.accept(personOf(server), made.approval_id);
    expect(await status()).toMatchObject({ access_request: { state: 'approved' } });
    const value = { service_id: 'github', credential_type: 'bearer', credential_value: 'ghp_1' };
    await server.get('PUT /v1/credentials', { body: value });
    expect(await status()).toEqual({ access_request: null });
  });

  test('GET /v1/access-requests shows no request of another user', async () => {
    const server = await startV1();
    const { owner, colleague, admin, stranger } = await createUserKeys(server);
    const body = { service_id: 'github', reason: 'To list issues.' };
    await server.get('POST /v1/access-requests', { key: owner.key, body });
    const read = (key: string) => server.get('GET /v1/access-requests?service_id=github', { key });
    expect(await read(owner.key)).toMatchObject({ access_request: { state: 'pending' } });
    for (const { key } of [colleague, admin, stranger])
      expect(await read(key)).toEqual({ access_request: null });
  });
});
