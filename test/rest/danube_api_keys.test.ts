/** API keys over HTTP: the properties that Danube documents, those of Keyhold, and the permissions of the creator. */
import { describe, expect, test } from 'vitest';
import { startV1, type V1Server } from './v1_server.ts';

interface CreatedKey {
  readonly id: string;
  readonly key: string;
}

const FIELDS = [
  'key_prefix',
  'name',
  'created_at',
  'last_used',
  'permissions',
  'organization',
  'organization_id',
  'user',
  'user_id',
  'unit_id',
  'scopes',
  'stack_id',
  'expires_at',
  'use_policy',
  'made_by',
  'last_used_at',
];

async function start() {
  const server = await startV1();
  const key = await server.key({
    user: 'maker',
    scopes: ['credentials:read', 'credentials:write', 'keys:write'],
  });
  const createKey = (body: object, creator_key = key) =>
    server.get<CreatedKey>('POST /v1/api-keys', { key: creator_key, body });
  return { server, key, createKey };
}

function isAccepted(server: V1Server, key: string): Promise<boolean> {
  return server.send('GET /v1/me', { key }).then(({ status }) => status === 200);
}

describe('API keys over HTTP', () => {
  test('an API key is created, listed without its secret, rotated and revoked', async () => {
    const { server, key, createKey } = await start();
    const created = await createKey({ name: 'Production Key' });
    expect(Object.keys(created)).toEqual(['id', 'key', ...FIELDS]);
    expect(created).toMatchObject({
      key_prefix: created.key.slice(0, 8),
      name: 'Production Key',
      last_used: null,
      permissions: null,
      organization: 'local',
      user: 'maker',
      scopes: ['credentials:read', 'credentials:write'],
      stack_id: null,
      expires_at: null,
    });
    expect(await isAccepted(server, created.key)).toBe(true);
    const list = await server.get<object[]>('GET /v1/api-keys', { key });
    expect(list).toHaveLength(2);
    for (const one of list) expect(Object.keys(one)).toEqual(['id', ...FIELDS]);
    expect(JSON.stringify(list)).not.toContain(created.key.slice(-43));
    const rotated = await server.get<CreatedKey>(`POST /v1/api-keys/${created.id}/rotate`, { key });
    expect([rotated.id, Object.keys(rotated)]).toEqual([created.id, Object.keys(created)]);
    expect(await isAccepted(server, created.key)).toBe(false);
    expect(await isAccepted(server, rotated.key)).toBe(true);
    expect((await server.send(`DELETE /v1/api-keys/${created.id}`, { key })).text).toBe('{"success":true}');
    expect(await isAccepted(server, rotated.key)).toBe(false);
    expect((await server.send(`DELETE /v1/api-keys/${created.id}`, { key })).status).toBe(404);
  });

  test('POST /v1/api-keys normalizes permissions and expiry and ignores empty spending limits', async () => {
    const { server, key, createKey } = await start();
    const permissions = { allowed_services: ['svc_openai_001'], allowed_tools: null };
    const unlimited = { max_spend_per_call_cents: null, max_spend_per_day_cents: null };
    const created = await createKey({ name: 'n', permissions: { ...permissions, ...unlimited } });
    const shown = { allowed_services: ['openai'], allowed_tools: null };
    expect(created).toMatchObject({ permissions: shown });
    const [first] = await server.get<object[]>('GET /v1/api-keys', { key });
    expect(first).toMatchObject({ permissions: shown });
    expect(await createKey({ permissions: null })).toMatchObject({ name: null, permissions: null });
    expect(await createKey({ permissions: {} })).toMatchObject({ permissions: null });
    expect(await createKey({ permissions: { allowed_tools: [] } })).toMatchObject({
      permissions: { allowed_services: null, allowed_tools: [] },
    });
    const stack_id = 'work';
    const maker = await server.key({
      user: 'maker',
      scopes: ['credentials:write', 'stacks:write', 'keys:write'],
    });
    expect(await createKey({ stack_id, expires_at: '2099-01-01T00:00:00+02:00' }, maker)).toMatchObject({
      stack_id,
      expires_at: '2098-12-31T22:00:00.000Z',
      notice: expect.stringContaining('no stack of this name yet'),
    });
  });

  test('GET /v1/api-keys and key rotation report when an API key was last used', async () => {
    const { server, key, createKey } = await start();
    const { id, key: text } = await createKey({});
    expect(await isAccepted(server, text)).toBe(true);
    type UsedKey = { readonly id: string; readonly last_used: string | null };
    const find = async () =>
      (await server.get<UsedKey[]>('GET /v1/api-keys', { key })).find((one) => one.id === id);
    const time = expect.stringMatching(/^\d{4}-/);
    await expect.poll(find).toMatchObject({ last_used: time, last_used_at: time });
    const { last_used } = (await find()) ?? {};
    for (let time = 0; time < 2; time++)
      expect(await server.get(`POST /v1/api-keys/${id}/rotate`, { key })).toMatchObject({
        id,
        last_used,
        last_used_at: last_used,
      });
    expect(await find()).toMatchObject({ last_used });
  });

  test('GET /v1/api-keys lists at most 1,000 keys and sets x-keyhold-more if more exist', async () => {
    const { server } = await start();
    const key = await server.key({ user: 'boss', scopes: ['keys:write', 'org:admin'] });
    const list = async () => {
      const { text, headers } = await server.send('GET /v1/api-keys', { key });
      return [JSON.parse(text).length, headers.get('x-keyhold-more')];
    };
    // A user has at most 50 keys.
    await Promise.all(Array.from({ length: 998 }, (_, at) => server.key({ user: `maker${at % 25}` })));
    expect(await list()).toEqual([1_000, null]);
    await server.key({ user: 'maker' });
    expect(await list()).toEqual([1_000, 'true']);
  });

  test.each([
    [{ permissions: { allowed_service: ['openai'] } }, 400],
    [{ permissions: { max_spend_per_day_cents: 500 } }, 400],
    [{ permissions: [] }, 400],
    [{ permissions: { allowed_services: 'openai' } }, 400],
    [{ permissions: { allowed_services: ['no_such_service'] } }, 404],
    [{ allowed_services: ['openai'] }, 400],
    [{ scope: ['credentials:read'] }, 400],
    [{ scopes: [] }, 400],
    [{ stack_id: 'nosuch', scopes: ['credentials:write'] }, 400],
    [{ stack_id: 'stack_123e4567-e89b-12d3-a456-426614174000' }, 400],
    [{ scopes: ['everything'] }, 400],
    [{ expires_at: 'tomorrow' }, 400],
    [{ expires_at: '2001-01-01T00:00:00Z' }, 400],
    [{ name: 'x'.repeat(256) }, 400],
    [{ user: '../maker' }, 400],
    [{ organization: "local'; DROP TABLE record; --" }, 400],
    [null, 400],
    [[], 400],
  ])('POST /v1/api-keys with the body %j returns %i and creates no key', async (body, status) => {
    const { server, key } = await start();
    const response = await server.send('POST /v1/api-keys', { key, body: body === null ? 'null' : body });
    expect(response.status).toBe(status);
    expect(JSON.parse(response.text)).toEqual({ detail: expect.any(String), code: expect.any(String) });
    expect(response.text).not.toMatch(/DROP|xxx|everything|tomorrow/);
    expect(await server.get('GET /v1/api-keys', { key })).toHaveLength(1);
  });

  test('POST /v1/api-keys accepts an empty object and returns 400 without a body', async () => {
    const { server, key } = await start();
    const send = async (init: RequestInit) => {
      const response = await server.request('/v1/api-keys', { method: 'POST', key, ...init });
      return [response.status, await response.json()];
    };
    const detail = 'The body is missing. Send {} for a key with the usual scopes.';
    const headers = { 'content-type': 'application/json' };
    for (const init of [{}, { headers }, { headers, body: '' }])
      expect(await send(init)).toEqual([400, { detail, code: 'INVALID_INPUT' }]);
    expect(await server.get('GET /v1/api-keys', { key })).toHaveLength(1);
    expect(await server.get('POST /v1/api-keys', { key, body: {} })).toMatchObject({
      name: null,
      scopes: ['credentials:read', 'credentials:write'],
    });
  });

  test('POST /v1/api-keys explains that spending limits are not supported', async () => {
    const { server, key } = await start();
    const body = { permissions: { max_spend_per_call_cents: 5 } };
    const { text } = await server.send('POST /v1/api-keys', { key, body });
    expect(JSON.parse(text).detail).toBe(
      'Invalid input: permissions (one of its entries) must be left out: spending is not limited here.',
    );
  });

  test('POST /v1/api-keys returns 403 for permissions that the creating key does not have', async () => {
    const { server, createKey, key } = await start();
    for (const body of [
      { scopes: ['audit:read'] },
      { scopes: ['values:reveal'] },
      { scopes: ['org:admin'] },
      { user: 'somebody' },
      { organization: 'elsewhere', user: 'maker' },
    ]) {
      const response = await server.send('POST /v1/api-keys', { key, body });
      expect([body, response.status]).toEqual([body, 403]);
    }
    const narrow = await createKey({ scopes: ['keys:write'], permissions: { allowed_services: ['openai'] } });
    const wider = { permissions: { allowed_services: ['linear'] } };
    expect((await server.send('POST /v1/api-keys', { key: narrow.key, body: wider })).status).toBe(403);
    expect(await createKey({ scopes: ['keys:write'] }, narrow.key)).toMatchObject({
      permissions: { allowed_services: ['openai'] },
    });
  });

  test('only the operator creates and lists API keys of another organization', async () => {
    const server = await startV1();
    const operator = await server.key({ scopes: ['org:admin', 'keys:write'] });
    const body = { organization: 'acme', user: 'ann', unit: 'default', scopes: ['keys:write', 'org:admin'] };
    const ann = await server.get<CreatedKey>('POST /v1/api-keys', {
      key: operator,
      body: { ...body, unit: undefined },
    });
    expect(await server.get('GET /v1/me', { key: ann.key })).toMatchObject({
      organization: 'acme',
      user: 'ann',
    });
    expect(await server.get('GET /v1/api-keys?organization=acme', { key: operator })).toMatchObject([
      { id: ann.id, organization: 'acme' },
    ]);
    expect(await server.get('GET /v1/api-keys', { key: ann.key })).toMatchObject([{ id: ann.id }]);
    expect((await server.send('GET /v1/api-keys?organization=local', { key: ann.key })).status).toBe(403);
    expect((await server.send('GET /v1/api-keys?organization=nobody', { key: operator })).status).toBe(404);
    expect((await server.send('GET /v1/api-keys?organisation=acme', { key: operator })).status).toBe(400);
  });
});

test.each(['no-uuid', '__proto__', '..%2F..%2Fx', '%00', "'%20OR%201=1", 'x'.repeat(500)])(
  'rotating or deleting the invalid API key id %s returns 404',
  async (id) => {
    const { server, key } = await start();
    for (const request of [`POST /v1/api-keys/${id}/rotate`, `DELETE /v1/api-keys/${id}`]) {
      const { status, text } = await server.send(request, { key });
      expect([status, text]).toEqual([404, '{"detail":"No such API key.","code":"NOT_FOUND"}']);
    }
  },
);
