/** The Toolzz dialect over HTTP: the documented requests with curl, and the effects of each route. */
import { describe, expect, test } from 'vitest';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { curl, describeShape } from './curl.ts';
import { createUserKeys } from './user_keys.ts';

const ICON =
  '{id: string, createdAt: string, updatedAt: string, institutionId: string, type: string, fileName: string, ' +
  'internalStorageUrl: string, url: string, size: number, extension: string, maskName: string}';
const INTEGRATION =
  'id: string, name: string, iconId: string, type: string, status: boolean, validationEndpoint: string, slug: string';
const FIELD = 'name: string, type: string, label: string, maxLenght: number, required: boolean';
const CREDENTIAL =
  'id: string, name: string, userId: string, unityId: string, integrationId: string, secretId: string, ' +
  'status: boolean, virtualKey: string';
const TIMES = 'createdAt: string, updatedAt: string';
/** The documented response without its message. */
const FULL = `${CREDENTIAL}, credentials: {}, ${TIMES}, integration: {${INTEGRATION}, form: [{${FIELD}}], ${TIMES}, icon: ${ICON}}`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

interface CredentialBody {
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly unityId: string;
  readonly integrationId: string;
  readonly secretId: string;
  readonly status: boolean;
  readonly virtualKey: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly integration: {
    readonly type: string;
    readonly form: readonly Record<string, unknown>[];
    readonly icon: Readonly<Record<string, unknown>>;
  };
}

async function start() {
  const server = await startHttpServer({ dialects: [toolzz] });
  const users = await createUserKeys(server);
  const { owner } = users;
  const integrationId = server.vault.services.get('openai').id;
  const body = {
    name: 'Marketing',
    userId: owner.user_id,
    unityId: owner.unit_id,
    integrationId,
    status: true,
  };
  const create = async (change: object = {}, key = owner.key): Promise<CredentialBody> => {
    const given = { ...body, credentials: [{ api_key: 'sk-1' }], ...change };
    const response = await send(server, 'POST', '/api/v1/credential', given, key);
    expect(response.status).toBe(201);
    return JSON.parse(await response.text());
  };
  const put = async (id: string, change: object = {}, key = owner.key): Promise<CredentialBody> => {
    const response = await send(server, 'PUT', `/api/v1/credential/${id}`, { ...body, ...change }, key);
    expect(response.status).toBe(200);
    return JSON.parse(await response.text());
  };
  const get = async (path: string, key = owner.key) => {
    const response = await server.request(`/api/v1${path}`, { key });
    expect(response.status).toBe(200);
    return JSON.parse(await response.text());
  };
  return { server, users, owner, integrationId, body, create, put, get };
}

function send(server: TestHttpServer, method: string, path: string, body: unknown, key: string) {
  return server.request(path, { method, body: JSON.stringify(body), key });
}

describe('the documented Toolzz requests with curl', () => {
  test('PUT credential returns every documented property in the documented order', async () => {
    const { server, owner, integrationId, create } = await start();
    const created = await create();
    const data = `{
      "name": "<string>",
      "userId": "${owner.user_id}",
      "unityId": "${owner.unit_id}",
      "integrationId": "${integrationId}",
      "secretId": "${created.secretId}",
      "status": true
    }`;
    const response = await curl(
      ...['--request', 'PUT', '--url', `${server.url}/api/v1/credential/${created.id}`],
      ...['--header', `Authorization: Bearer ${owner.key}`, '--header', 'Content-Type: application/json'],
      ...['--data', data],
    );
    expect(response.status).toBe(200);
    expect(describeShape(response.json)).toBe(`{message: string, ${FULL}}`);
    expect(response.json).toMatchObject({
      message: 'Credential updated successfully',
      id: created.id,
      name: '<string>',
      userId: owner.user_id,
      unityId: owner.unit_id,
      integrationId,
      secretId: created.secretId,
      status: true,
      virtualKey: created.virtualKey,
      credentials: {},
      createdAt: created.createdAt,
      integration: { id: integrationId, name: 'OpenAI', type: 'llm', status: true, slug: 'openai' },
    });
  });

  test('POST credential returns the documented properties and no value', async () => {
    const { server, body, owner, integrationId } = await start();
    const data = JSON.stringify({ ...body, status: false, credentials: [{ api_key: 'sk-canary-1' }] });
    const response = await curl(
      ...['--request', 'POST', '--url', `${server.url}/api/v1/credential`],
      ...['--header', `Authorization: Bearer ${owner.key}`, '--header', 'Content-Type: application/json'],
      ...['--data', data],
    );
    expect(response.status).toBe(201);
    expect(describeShape(response.json)).toBe(`{message: string, ${FULL}}`);
    expect(response.json).toMatchObject({
      message: 'Credential created successfully',
      status: false,
      integrationId,
    });
    expect(response.text).not.toContain('canary');
  });

  test('GET unity lists the credentials of a unit, also by type and by integration', async () => {
    const { server, owner, integrationId, create } = await start();
    const created = await create();
    const auth = ['--header', `Authorization: Bearer ${owner.key}`];
    const unity = `${server.url}/api/v1/credential/unity/${owner.unit_id}`;

    const items = await curl('--request', 'GET', '--url', unity, ...auth);
    const listed = FULL.replace(FIELD, `${FIELD}, maxLength: number, description: string`);
    expect(describeShape(items.json)).toBe(`{items: [{${listed}}]}`);
    expect(items.json).toMatchObject({ items: [{ id: created.id, credentials: {} }] });

    for (const which of ['type/llm', `integration/${integrationId}`]) {
      const pairs = await curl('--request', 'GET', '--url', `${unity}/${which}`, ...auth);
      expect(describeShape(pairs.json)).toBe(
        `[{credentials: {${CREDENTIAL}, ${TIMES}}, integration: {${INTEGRATION}, form: [{${FIELD}}], ${TIMES}, icon: ${ICON}}}]`,
      );
      expect(pairs.json).toMatchObject([{ credentials: { id: created.id, virtualKey: created.virtualKey } }]);
    }
  });

  test('GET integration/status returns every integration with its fields and its icon', async () => {
    const { server, owner } = await start();
    const response = await curl(
      ...['--request', 'GET', '--url', `${server.url}/api/v1/integration/status`],
      ...['--header', `Authorization: Bearer ${owner.key}`],
    );
    expect(describeShape(response.json)).toBe(
      `[{integrations: {${INTEGRATION}, form: [{${FIELD}, descrition: string}], ${TIMES}}, icon: ${ICON}}]`,
    );
    const slugs = server.vault.services.list().map(({ slug }) => ({ integrations: { slug } }));
    expect(response.json).toMatchObject(slugs);
  });

  test('GET credential returns a credential, and DELETE credential deletes it', async () => {
    const { server, owner, create } = await start();
    const { message: _, ...created } = { message: '', ...(await create()) };
    const credential_url = `${server.url}/api/v1/credential/${created.id}`;
    const auth = ['--header', `Authorization: Bearer ${owner.key}`];
    const got = await curl('--url', credential_url, ...auth);
    expect(describeShape(got.json)).toBe(`{${FULL}}`);
    expect(got.json).toEqual(created);
    const deleted = await curl('--request', 'DELETE', '--url', credential_url, ...auth);
    expect(deleted).toMatchObject({ status: 200, json: { message: 'Credential deleted successfully' } });
    expect((await curl('--url', credential_url, ...auth)).status).toBe(404);
  });
});

describe('Toolzz credentials', () => {
  test('the ids, the creation time and the virtual key of a credential stay the same after PUT', async () => {
    const { create, put, get } = await start();
    const created = await create();
    for (const id of [created.id, created.userId, created.unityId, created.integrationId, created.secretId])
      expect(id).toMatch(UUID);
    for (const time of [created.createdAt, created.updatedAt]) expect(time).toMatch(TIME);
    expect(created.virtualKey).toMatch(/^vk_[\w-]{22}$/);
    const { id, secretId, virtualKey, createdAt } = created;
    expect(await put(id, { name: 'Other' })).toMatchObject({
      id,
      secretId,
      virtualKey,
      createdAt,
      name: 'Other',
    });
    expect(await get(`/credential/${id}`)).toMatchObject({
      id,
      secretId,
      virtualKey,
      createdAt,
      name: 'Other',
    });
    const other = await create({ name: 'Second' });
    expect(other.virtualKey).not.toBe(virtualKey);
  });

  test('PUT credential renames a credential and keeps its values', async () => {
    const { server, create, put } = await start();
    const { id } = await create();
    expect(await put(id, { name: 'Renamed é🔑' })).toMatchObject({ id, name: 'Renamed é🔑' });
    const reader = { ...server.caller(), user: 'owner', scopes: new Set(['values:reveal'] as const) };
    const values = await server.vault.credentials.reveal(reader, id);
    expect([...values].map(([field, value]) => [field, value.reveal()])).toEqual([
      ['openai_api_key', 'sk-1'],
    ]);
  });

  test('PUT credential deactivates a credential with status false and activates it with true', async () => {
    const { server, users, create, put, get } = await start();
    const { id } = await create({ name: 'OpenAI' });
    const owner = { ...server.caller(), user: users.owner.user };
    const status = async () => (await server.vault.status(owner, { service_id: 'openai' })).status;
    expect(await status()).toBe('active');
    expect(await put(id, { name: 'OpenAI', status: false })).toMatchObject({ id, status: false });
    expect(await status()).toBe('inactive');
    expect(await get(`/credential/${id}`)).toMatchObject({ status: false });
    expect(await put(id, { name: 'OpenAI', status: true })).toMatchObject({ id, status: true });
    expect(await status()).toBe('active');
  });

  test('POST credential creates an active credential unless status is false', async () => {
    const { create } = await start();
    expect(await create({ status: undefined })).toMatchObject({ status: true });
    expect(await create({ name: 'Off', status: false })).toMatchObject({ status: false });
  });

  test('an administrator moves a credential to another user and unit with PUT', async () => {
    const { server, users, create, put, get } = await start();
    const { owner, colleague, admin } = users;
    const created = await create();
    const unit = await server.vault.organizations.createUnit(server.caller(), 'sales');
    const moved = await put(created.id, { userId: colleague.user_id, unityId: unit.id }, admin.key);
    expect(moved).toMatchObject({
      id: created.id,
      userId: colleague.user_id,
      unityId: unit.id,
      virtualKey: created.virtualKey,
    });
    expect((await server.request(`/api/v1/credential/${created.id}`, { key: owner.key })).status).toBe(404);
    expect(await get(`/credential/${created.id}`, colleague.key)).toMatchObject({ id: created.id });
    expect(await get(`/credential/unity/${owner.unit_id}`, colleague.key)).toEqual({ items: [] });
    expect(await get(`/credential/unity/${unit.id}`, colleague.key)).toMatchObject({
      items: [{ id: created.id }],
    });
    // The route takes the id of the unit, not its name.
    expect((await server.request('/api/v1/credential/unity/sales', { key: colleague.key })).status).toBe(400);
  });

  test('POST credential accepts the fields in one object or in several', async () => {
    const { server, create } = await start();
    const integrationId = server.vault.services.get('postgresql').id;
    const fields = [
      { host: 'h' },
      { username: 'u', port: '5432', sslmode: null },
      { password: 'p', database: 'd' },
    ];
    const { id, integration } = await create({ integrationId, credentials: fields });
    const reader = { ...server.caller(), user: 'owner', scopes: new Set(['values:reveal'] as const) };
    const values = await server.vault.credentials.reveal(reader, id);
    expect(Object.fromEntries([...values].map(([field, value]) => [field, value.reveal()]))).toEqual({
      host: 'h',
      username: 'u',
      port: '5432',
      password: 'p',
      database: 'd',
    });
    expect(integration.form.find(({ name }) => name === 'password')).toEqual({
      name: 'password',
      type: 'password',
      label: 'Password',
      maxLenght: 8192,
      required: false,
    });
    expect(integration.form.find(({ name }) => name === 'host')).toMatchObject({ type: 'text' });
  });
});

describe('Toolzz lists of a unit', () => {
  test('GET unity lists credentials newest first, and those of all users for an administrator', async () => {
    const { server, users, create, get } = await start();
    const { owner, colleague, admin } = users;
    const services = ['openai', 'elevenlabs', 'stripe', 'github', 'amplitude', 'twilio'];
    const ids: string[] = [];
    for (const slug of services) {
      const service = server.vault.services.get(slug);
      const [group = []] = service.requires ?? [];
      const required = service.fields.filter((field) => field.required || group.includes(field.field_id));
      const fields = Object.fromEntries(required.map((field) => [field.field_id, field.example ?? 'x']));
      ids.push((await create({ integrationId: service.id, credentials: [fields] })).id);
    }
    const unity = `/credential/unity/${owner.unit_id}`;
    const types = ['llm', 'voice', 'monetization', 'dataset', 'analytics', 'phone'];
    for (const [at, type] of types.entries()) {
      expect(await get(`${unity}/type/${type}`)).toMatchObject([
        { credentials: { id: ids[at] }, integration: { type, slug: services[at] } },
      ]);
    }
    const { items }: { items: CredentialBody[] } = await get(unity);
    expect(items.map(({ id }) => id)).toEqual(ids.toReversed());

    const { id } = await create({ userId: colleague.user_id }, admin.key);
    const openai = server.vault.services.get('openai').id;
    expect(await get(`${unity}/integration/${openai}`)).toHaveLength(1);
    expect(await get(`${unity}/integration/${openai}`, admin.key)).toMatchObject([
      { credentials: { id } },
      { credentials: { id: ids[0] } },
    ]);
    expect((await get(unity, admin.key)).items).toHaveLength(7);
    expect((await get(unity, colleague.key)).items).toHaveLength(1);
  });
});

describe('Toolzz integrations', () => {
  test('GET integration/status lists the services that the key allows and requires no scope', async () => {
    const { server } = await start();
    const key = await server.key({ scopes: ['audit:read'], allowed_services: ['linear', 'openai'] });
    const response = await server.request('/api/v1/integration/status', { key });
    expect(await response.json()).toMatchObject([
      { integrations: { slug: 'linear' } },
      { integrations: { slug: 'openai' } },
    ]);
  });
});

describe('Toolzz icons', () => {
  test('an icon is a script-free SVG that matches its metadata and requires a key', async () => {
    const { server, owner, create } = await start();
    const { integration } = await create();
    const { icon } = integration;
    expect(String(icon.url)).toMatch(new RegExp(`^${server.url}/api/v1/`));
    const response = await fetch(String(icon.url), { headers: { Authorization: `Bearer ${owner.key}` } });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/svg+xml');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    const svg = await response.text();
    expect(svg).toMatch(/^<svg [^>]+>.*>O<\/text><\/svg>$/);
    expect(svg).not.toMatch(/script|href|style|on\w+=|url\(/);
    expect(icon).toMatchObject({ size: Buffer.byteLength(svg), extension: 'svg', fileName: 'openai.svg' });
    expect((await fetch(String(icon.url))).status).toBe(401);
  });

  test('every Toolzz integration has an icon', async () => {
    const { server } = await start();
    for (const { id } of server.vault.services.list()) {
      const response = await server.request(`/api/v1/integration/${id}/icon`);
      expect(await response.text()).toMatch(/>[\p{L}\p{N}]<\/text><\/svg>$/u);
    }
  });
});
