/** Another user's objects get the same response as unknown ones. */
import { describe, expect, test } from 'vitest';
import { NEW_KEY_SCOPES } from '../../src/contract/caller.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { createUserKeys, withoutRequestId } from './user_keys.ts';
import { createStack, startV1, type V1Server } from './v1_server.ts';

const UNKNOWN = '0194f3a0-0000-7000-8000-000000000000';

interface IdRequest {
  readonly method: string;
  readonly path: (id: string) => string;
  readonly body?: (id: string) => object;
}

const VALUE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
const FIELDS = { linear_api_key: 'v' };

const STACK_REQUESTS: readonly IdRequest[] = [
  { method: 'GET', path: (id) => `/v1/stacks/${id}` },
  { method: 'PUT', path: (id) => `/v1/stacks/${id}`, body: () => ({ stack_name: 'mine' }) },
  { method: 'DELETE', path: (id) => `/v1/stacks/${id}` },
  { method: 'GET', path: (id) => `/v1/stacks/${id}/shares` },
  {
    method: 'POST',
    path: (id) => `/v1/stacks/${id}/shares`,
    body: () => ({ user: 'colleague', role: 'manage' }),
  },
  { method: 'POST', path: (id) => `/v1/stacks/${id}/shares/remove`, body: () => ({ user: 'colleague' }) },
  { method: 'POST', path: (id) => `/v1/stacks/${id}/servers`, body: () => ({ server_id: 'gmail' }) },
  { method: 'DELETE', path: (id) => `/v1/stacks/${id}/servers/linear` },
  {
    method: 'PUT',
    path: (id) => `/v1/stacks/${id}/servers/linear/tools`,
    body: () => ({ enabled_tools: [] }),
  },
  { method: 'GET', path: (id) => `/v1/stacks/${id}/servers/linear/credentials` },
  { method: 'GET', path: (id) => `/v1/stacks/${id}/servers/gmail/credentials` },
  {
    method: 'PUT',
    path: (id) => `/v1/stacks/${id}/servers/linear/credentials`,
    body: () => ({ credentials: FIELDS }),
  },
  { method: 'GET', path: (id) => `/v1/services?stack_id=${id}` },
  { method: 'GET', path: (id) => `/v1/credentials?stack_id=${id}` },
  { method: 'GET', path: (id) => `/v1/credentials?stack_id=${id}&service_id=linear` },
  { method: 'PUT', path: () => '/v1/credentials', body: (stack_id) => ({ ...VALUE, stack_id }) },
  { method: 'POST', path: () => '/v1/credentials/store', body: (stack_id) => ({ ...VALUE, stack_id }) },
  {
    method: 'POST',
    path: () => '/v1/credentials/update',
    body: (stack_id) => ({ service_id: 'linear', credentials: FIELDS, stack_id }),
  },
  {
    method: 'PUT',
    path: () => '/v1/credentials/policy',
    body: (stack_id) => ({ service_id: 'linear', use_policy: { methods: ['GET'] }, stack_id }),
  },
  {
    method: 'POST',
    path: () => '/v1/credentials/delete',
    body: (stack_id) => ({ service_id: 'linear', stack_id }),
  },
];

const KEY_REQUESTS: readonly IdRequest[] = [
  { method: 'POST', path: (id) => `/v1/api-keys/${id}/rotate` },
  { method: 'DELETE', path: (id) => `/v1/api-keys/${id}` },
];

/** The request for a test title, without its body. */
function titleOf({ method, path }: IdRequest): string {
  return `${method} ${path('{id}')}`;
}

async function sendWithId(server: V1Server, { method, path, body }: IdRequest, id: string, key: string) {
  const response = await server.request(path(id), {
    method,
    key,
    ...(body === undefined ? {} : { body: JSON.stringify(body(id)) }),
  });
  return withoutRequestId(response);
}

describe("another user's stack", () => {
  test.each(STACK_REQUESTS.map((request) => [titleOf(request), request] as const))(
    "%s returns the same 404 for another user's stack as for an unknown one",
    async (_, request) => {
      const server = await startV1();
      const { owner, colleague, admin, stranger } = await createUserKeys(server);
      const stack_id = await createStack(server, ['linear'], owner.key);
      const other_organization_id = await createStack(server, ['linear'], stranger.key);
      const other_stack_id = await createStack(server, ['linear'], owner.key);
      const put = { key: owner.key, body: { credentials: FIELDS } };
      await server.get(`PUT /v1/stacks/${stack_id}/servers/linear/credentials`, put);
      const limited_key = await server.key({ user: 'owner', stack_id: other_stack_id });
      const before = [
        await readCredentialRows(server.home),
        await server.get('GET /v1/stacks', { key: owner.key }),
      ];
      for (const [key, id] of [
        [colleague.key, stack_id],
        [admin.key, stack_id],
        [stranger.key, stack_id],
        [owner.key, other_organization_id],
        [admin.key, other_organization_id],
        [limited_key, stack_id],
      ] as const) {
        const expected = await sendWithId(server, request, `stack_${UNKNOWN}`, key);
        expect(expected).toMatchObject({ status: 404 });
        expect(await sendWithId(server, request, id, key)).toEqual(expected);
      }
      expect([
        await readCredentialRows(server.home),
        await server.get('GET /v1/stacks', { key: owner.key }),
      ]).toEqual(before);
    },
  );

  test("another user's stack is in no list", async () => {
    const server = await startV1();
    const { owner, colleague, admin, stranger } = await createUserKeys(server);
    const stack_id = await createStack(server, [], owner.key);
    for (const { key } of [colleague, admin, stranger])
      expect(JSON.stringify(await server.get('GET /v1/stacks', { key }))).not.toContain(stack_id);
  });
});

describe("another user's API key", () => {
  test.each(KEY_REQUESTS.map((request) => [titleOf(request), request] as const))(
    "%s returns the same 404 for another user's API key as for an unknown one",
    async (_, request) => {
      const server = await startV1();
      const { owner, stranger } = await createUserKeys(server);
      const scopes = [...NEW_KEY_SCOPES, 'keys:write'] as const;
      const colleague = await server.key({ user: 'colleague', scopes: [...scopes] });
      const other_admin_key = await server.key({
        organization: 'elsewhere',
        user: 'chief',
        scopes: [...scopes, 'org:admin'],
      });
      const limited_key = await server.key({ user: 'owner', scopes: [...scopes], stack_id: 'default' });
      const stack_id = await createStack(server, [], owner.key);
      for (const [key, id] of [
        [colleague, owner.id],
        [colleague, stranger.id],
        [other_admin_key, owner.id],
        [limited_key, owner.id],
        // Records of other kinds have ids as well.
        [colleague, owner.user_id],
        [colleague, owner.organization_id],
        [colleague, stack_id.slice('stack_'.length)],
      ] as const) {
        const expected = await sendWithId(server, request, UNKNOWN, key);
        expect(expected).toMatchObject({ status: 404 });
        expect(await sendWithId(server, request, id, key)).toEqual(expected);
        expect(await sendWithId(server, request, id.toUpperCase(), key)).toEqual(expected);
      }
      for (const { key } of [owner, stranger])
        expect((await server.send('GET /v1/me', { key })).status).toBe(200);
    },
  );

  test("GET /v1/api-keys lists another user's key only for administrators of the organization", async () => {
    const server = await startV1();
    const { owner } = await createUserKeys(server);
    const list = async (key: string) => JSON.stringify(await server.get('GET /v1/api-keys', { key }));
    const scopes = ['keys:write', 'org:admin'] as const;
    expect(await list(await server.key({ user: 'admin', scopes: [...scopes] }))).toContain(owner.id);
    expect(await list(await server.key({ user: 'colleague', scopes: ['keys:write'] }))).not.toContain(
      owner.id,
    );
    const other_admin_key = await server.key({
      organization: 'elsewhere',
      user: 'chief',
      scopes: [...scopes],
    });
    expect(await list(other_admin_key)).not.toContain(owner.id);
  });
});

test('the audit log of one organization contains no data of another', async () => {
  const server = await startV1();
  const { owner } = await createUserKeys(server);
  await server.get('PUT /v1/credentials', { key: owner.key, body: VALUE });
  const other_admin_key = await server.key({
    organization: 'elsewhere',
    user: 'chief',
    scopes: ['audit:read', 'org:admin'],
  });
  const log = JSON.stringify(await server.get('GET /v1/audit', { key: other_admin_key }));
  for (const private_text of [owner.id, owner.user_id, '"user":"owner"', 'linear'])
    expect(log).not.toContain(private_text);
});
