/** Keyhold's own REST routes, which do everything that the tools and the command line do. */
import { describe, expect, test } from 'vitest';
import type { AuditEntry } from '../../src/contract/audit.ts';
import { ServiceDefinition } from '../../src/contract/service/service.ts';
import { decryptStoredValues, readCredentialRows, replaceRecords } from '../kit/vault/database.ts';
import { createStack, startV1 } from './v1_server.ts';

const NO_STACK = 'stack_123e4567-e89b-12d3-a456-426614174000';

describe('credentials in the Keyhold dialect', () => {
  test('PUT /v1/credentials keeps the id if only the type changes and creates a new id for another name', async () => {
    const server = await startV1();
    const body = { service_id: 'linear', credential_type: 'bearer', credential_value: 'lin_1' };
    const first = await server.get<{ credential_id: string }>('PUT /v1/credentials', { body });
    expect(first).toEqual({
      success: true,
      service_id: 'linear',
      service_name: 'Linear',
      credential_type: 'bearer',
      credential_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      status: 'stored',
      updated_fields: ['linear_api_key'],
      kept_fields: [],
      removed_fields: [],
    });
    const again = { ...body, credential_type: 'api_key', credential_value: 'lin_2' };
    expect(await server.get('PUT /v1/credentials', { body: again })).toEqual({
      ...first,
      credential_type: 'api_key',
    });
    expect(await decryptStoredValues(server.home, first.credential_id)).toEqual({ linear_api_key: 'lin_2' });
    const work = await server.get('PUT /v1/credentials', { body: { ...body, name: 'work' } });
    expect(work).not.toMatchObject({ credential_id: first.credential_id });
  });

  test('POST /v1/credentials/update merges the fields and returns the new status', async () => {
    const server = await startV1();
    const update = (credentials: object) =>
      server.get<{ credential_id: string }>('POST /v1/credentials/update', {
        body: { service_id: 'gmail', credentials },
      });
    await update({ gmail_oauth_token: 'a', gmail_signature: 'é 🔑\n' });
    const merged = await update({ gmail_client_id: 'b' });
    expect(merged).toMatchObject({
      message: 'Credentials updated successfully',
      updated_fields: ['gmail_client_id'],
      required_credentials_added: true,
      all_credentials_added: false,
      status: 'active',
      modified_by: 'me',
    });
    expect(await decryptStoredValues(server.home, merged.credential_id)).toEqual({
      gmail_oauth_token: 'a',
      gmail_signature: 'é 🔑',
      gmail_client_id: 'b',
    });
  });

  test('GET /v1/credentials filters by service, stack and name', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    const body = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
    await server.get('PUT /v1/credentials', { body });
    await server.get('PUT /v1/credentials', { body: { ...body, stack_id, name: 'work' } });
    const status = (query: string) => server.get<Record<string, unknown>>(`GET /v1/credentials?${query}`);
    expect(await status('service_id=linear')).toEqual(
      await server.vault.status(server.caller(), { service_id: 'linear' }),
    );
    expect(await status('service_id=gmail')).toMatchObject({ status: 'missing', credential_id: null });
    expect(await status('')).toEqual(await server.vault.listCredentials(server.caller(), {}));
    expect(await status(`stack_id=${stack_id}`)).toMatchObject({
      credentials: [{ service_id: 'linear', name: 'work', status: 'active' }],
      more: false,
    });
    expect(await status(`stack_id=${stack_id}&name=home`)).toEqual({ credentials: [], more: false });
    expect(await status(`stack_id=${stack_id}&service_id=linear&name=work`)).toMatchObject({
      status: 'active',
    });
    expect(await status(`stack_id=${stack_id}&service_id=linear`)).toMatchObject({ status: 'missing' });
  });

  test('PUT /v1/credentials/policy limits uses, and widens only with org:admin', async () => {
    const server = await startV1();
    const linear = { service_id: 'linear' };
    const value = { ...linear, credential_type: 'bearer', credential_value: 'v' };
    await server.get('PUT /v1/credentials', { body: value });
    const admin = await server.key({ scopes: ['credentials:write', 'org:admin'] });
    const set = (use_policy: object, more: object = {}) =>
      server.send('PUT /v1/credentials/policy', { body: { ...linear, use_policy, ...more } });
    expect((await set({ methods: ['GET', 'POST'] })).status).toBe(200);
    expect((await set({ methods: ['GET'] })).status).toBe(200);
    for (const [use_policy, more] of [[{ methods: ['GET', 'POST'] }], [{}, { replace: true }]] as const)
      expect((await set(use_policy, more)).status).toBe(403);
    const status = () => server.get('GET /v1/credentials?service_id=linear');
    expect(await status()).toMatchObject({ use_policy: { methods: ['GET'] }, last_used_at: null });
    const body = { ...linear, use_policy: {}, replace: true };
    expect(await server.get('PUT /v1/credentials/policy', { key: admin, body })).toMatchObject({
      use_policy: null,
    });
    expect(await status()).toMatchObject({ use_policy: null });
  });

  test('POST /v1/credentials/delete deletes a credential and returns 404 the second time', async () => {
    const server = await startV1();
    const body = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
    await server.get('PUT /v1/credentials', { body });
    const deleteCredential = () =>
      server.send('POST /v1/credentials/delete', { body: { service_id: 'linear' } });
    expect(await deleteCredential()).toMatchObject({ status: 200, text: '{"success":true}' });
    expect(await readCredentialRows(server.home)).toEqual([]);
    const again = await deleteCredential();
    expect([again.status, JSON.parse(again.text).code]).toEqual([404, 'NOT_FOUND']);
  });

  test.each([
    ['PUT /v1/credentials', { service_id: 'linear', credential_type: 'bearer' }, 400, 'INVALID_INPUT'],
    ['PUT /v1/credentials', { service_id: 'linear', credential_type: 'telepathy' }, 400, 'INVALID_INPUT'],
    ['PUT /v1/credentials', { service_id: 'linear', type: 'bearer' }, 400, 'INVALID_INPUT'],
    [
      'PUT /v1/credentials',
      { service_id: 'linaer', credential_type: 'bearer', credential_value: 'v' },
      404,
      'NOT_FOUND',
    ],
    [
      'PUT /v1/credentials',
      { service_id: 'linear', credential_type: 'bearer', credential_value: 'v', stack_id: NO_STACK },
      404,
      'NOT_FOUND',
      'stack_missing',
    ],
    ['POST /v1/credentials/update', { service_id: 'gmail', credentials: {} }, 400, 'INVALID_INPUT'],
    ['POST /v1/credentials/update', { service_id: 'gmail', credentials: ['v'] }, 400, 'INVALID_INPUT'],
    ['POST /v1/credentials/update', { service_id: 'gmail', credentials: null }, 400, 'INVALID_INPUT'],
    [
      'POST /v1/credentials/update',
      { service_id: 'gmail', credentials: { nope: 'v' } },
      400,
      'INVALID_INPUT',
    ],
    ['POST /v1/credentials/update', { service_id: 'gmail' }, 400, 'INVALID_INPUT'],
    ['POST /v1/credentials/delete', {}, 400, 'INVALID_INPUT'],
    ['POST /v1/credentials/delete', { service_id: 'canary' }, 404, 'NOT_FOUND'],
    ['GET /v1/credentials?service_id=canary', undefined, 404, 'NOT_FOUND'],
    ['GET /v1/credentials?service=canary', undefined, 400, 'INVALID_INPUT'],
    ['GET /v1/credentials?service_id=', undefined, 400, 'INVALID_INPUT'],
    ['GET /v1/credentials?service_id=a&service_id=b', undefined, 400, 'INVALID_INPUT'],
    [`GET /v1/credentials?stack_id=${NO_STACK}`, undefined, 404, 'NOT_FOUND', 'stack_missing'],
  ])(
    '%s with the body %j returns %i and the code %s',
    async (request, body, status, code, reason?: string) => {
      const server = await startV1();
      const response = await server.send(request, body === undefined ? {} : { body });
      expect(response.status).toBe(status);
      expect(JSON.parse(response.text)).toEqual({
        detail: expect.any(String),
        code,
        ...(reason === undefined ? {} : { reason }),
      });
      expect(response.text).not.toMatch(/canary|telepathy/);
      expect(await readCredentialRows(server.home)).toEqual([]);
    },
  );
});

describe('service definitions, public key and caller', () => {
  test('GET /v1/service-definitions returns the complete definitions of the allowed services', async () => {
    const server = await startV1();
    const { services } = await server.get<{ services: unknown[] }>('GET /v1/service-definitions');
    expect(services).toEqual(server.vault.services.list());
    for (const service of services) expect(ServiceDefinition.safeParse(service).success).toBe(true);
    const key = await server.key({ allowed_services: ['linear'] });
    expect(await server.get('GET /v1/service-definitions', { key })).toMatchObject({
      services: [{ slug: 'linear' }],
    });
  });

  test('GET /v1/public-key returns the same key within an organization and another key in other organizations', async () => {
    const server = await startV1();
    const [ann, bob, other] = [
      await server.key({ organization: 'acme', user: 'ann' }),
      await server.key({ organization: 'acme', user: 'bob' }),
      await server.key({ organization: 'elsewhere', user: 'ann' }),
    ];
    const expected = await server.vault.sealingKey(server.caller());
    expect(await server.get('GET /v1/public-key')).toEqual(expected);
    const acme = await server.get<{ public_key: string }>('GET /v1/public-key', { key: ann });
    expect(acme).toMatchObject({ organization: 'acme', user: 'ann' });
    expect(await server.get('GET /v1/public-key', { key: bob })).toEqual({ ...acme, user: 'bob' });
    const elsewhere = await server.get<{ public_key: string }>('GET /v1/public-key', { key: other });
    expect(new Set([expected, acme, elsewhere].map(({ public_key }) => public_key)).size).toBe(3);
  });

  test('GET /v1/me returns the user, the scopes and the limits of the API key', async () => {
    const server = await startV1();
    expect(await server.get('GET /v1/me')).toEqual({
      organization: 'local',
      user: 'me',
      scopes: ['credentials:read', 'credentials:write', 'credentials:use', 'stacks:write'],
      stack_id: null,
      api_key_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      allowed_services: null,
      allowed_tools: null,
      server_version: '1.2.3-test',
    });
    const limits = { stack_id: 'default', allowed_services: ['linear'], allowed_tools: ['list_services'] };
    const key = await server.key({ user: 'ann', scopes: ['credentials:read'], ...limits });
    expect(await server.get('GET /v1/me', { key })).toMatchObject({
      user: 'ann',
      scopes: ['credentials:read'],
      ...limits,
    });
  });

  test('an unknown route below /v1 returns 404, and an unsupported method returns 405', async () => {
    const server = await startV1();
    const response = await server.send('GET /v1/nope');
    expect([response.status, JSON.parse(response.text)]).toEqual([
      404,
      { detail: 'Unknown route. See GET /openapi.json.', code: 'NOT_FOUND' },
    ]);
    expect((await server.send('DELETE /v1/me')).status).toBe(405);
  });
});

describe('the audit log over HTTP', () => {
  test('GET /v1/audit returns the entries in pages and filters them', async () => {
    const server = await startV1();
    const key = await server.key({ scopes: ['audit:read'] });
    const put = (service_id: string) =>
      server.get('PUT /v1/credentials', {
        body: { service_id, credential_type: 'bearer', credential_value: 'v' },
      });
    for (const service_id of ['linear', 'openai', 'gmail']) await put(service_id);
    const read = (query: string) =>
      server.get<{ entries: AuditEntry[]; next: number | null }>(`GET /v1/audit?${query}`, { key });
    const all = await read('');
    expect(all.next).toBeNull();
    expect(all.entries).toEqual((await server.vault.listAudit(server.caller())).entries);
    const pages = [];
    for (let before: number | null = null; ; ) {
      const page = await read(`action=store&limit=2${before === null ? '' : `&before=${before}`}`);
      pages.push(page.entries.map(({ service_id }) => service_id));
      before = page.next;
      if (before === null) break;
    }
    expect(pages).toEqual([['gmail', 'openai'], ['linear']]);
    const [newest] = all.entries;
    const countEntries = async (query: string) => (await read(query)).entries.length;
    expect(await countEntries('service_id=openai')).toBe(1);
    expect(await countEntries('user=nobody')).toBe(0);
    expect(await countEntries('outcome=denied')).toBe(0);
    expect(await countEntries('since=2999-01-01T00:00:00Z')).toBe(0);
    expect(await countEntries(`until=${newest?.at}`)).toBe(all.entries.length - 1);
    expect(await countEntries('since=2001-01-01')).toBe(all.entries.length);
    expect(await countEntries('limit=100')).toBe(all.entries.length);
    expect(await countEntries('limit=002')).toBe(2);
    const { id } = server.vault.services.get('openai');
    for (const spelling of [id, id.toUpperCase(), 'svc_openai_001', 'OpenAI', 'ChatGPT'])
      expect([spelling, await countEntries(`service_id=${spelling}`)]).toEqual([spelling, 1]);
    for (const fact of ['credential_id', 'record_id'] as const) {
      const one = all.entries.find((entry) => entry[fact] !== null)?.[fact] ?? '';
      expect([fact, await countEntries(`${fact}=${one.toUpperCase()}`)]).toEqual([fact, 1]);
    }
  });

  test.each(['0', '-1', '+1', '1.5', 'all', '', '%201', '0x10', '1e1', '101', '100000', '9'.repeat(17), '٣'])(
    'GET /v1/audit rejects the limit %j with 400',
    async (limit) => {
      const server = await startV1();
      const key = await server.key({ scopes: ['audit:read'] });
      const response = await server.send(`GET /v1/audit?limit=${limit}`, { key });
      expect([response.status, JSON.parse(response.text).detail]).toEqual([
        400,
        'Invalid input: limit must be a whole number from 1 to 100.',
      ]);
    },
  );

  test.each([
    'limit=1&limit=2',
    'before=0',
    'before=x',
    'before=1e3',
    'action=canary',
    'outcome=canary',
    'since=yesterday',
    'until=2026-13-01',
    'since=%27%20OR%201%3D1',
    'organization=Not%20One',
    'canary=1',
    'user=a&user=b',
  ])('GET /v1/audit?%s returns 400 without repeating the query', async (query) => {
    const server = await startV1();
    const key = await server.key({ scopes: ['audit:read'] });
    const response = await server.send(`GET /v1/audit?${query}`, { key });
    expect([response.status, JSON.parse(response.text)]).toEqual([
      400,
      { detail: expect.stringMatching(/^Invalid input: /), code: 'INVALID_INPUT' },
    ]);
    expect(response.text).not.toMatch(/canary|yesterday|OR 1/);
  });

  test('GET /v1/audit/verify succeeds for an unchanged vault and reports a missing record', async () => {
    const server = await startV1();
    const key = await server.key({ scopes: ['audit:read'] });
    await server.get('PUT /v1/credentials', {
      body: { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' },
    });
    expect(await server.get('GET /v1/audit/verify', { key })).toEqual({
      ok: true,
      entries: expect.any(Number),
      credentials: 1,
      findings: [],
    });
    const credentials = await readCredentialRows(server.home);
    await replaceRecords(
      server.home,
      [],
      credentials.map(({ seq }) => seq),
    );
    expect(await server.get('GET /v1/audit/verify', { key })).toMatchObject({
      ok: false,
      findings: [{ kind: 'record_missing', message: expect.any(String) }],
    });
  });

  test('only the operator reads and verifies the audit log of another organization', async () => {
    const server = await startV1();
    const ann = await server.key({ organization: 'acme', user: 'ann', scopes: ['audit:read', 'org:admin'] });
    const operator = await server.key({ scopes: ['audit:read', 'org:admin'] });
    const reader = await server.key({ scopes: ['audit:read'] });
    const own = await server.get('GET /v1/audit', { key: ann });
    expect(await server.get('GET /v1/audit?organization=acme', { key: operator })).toEqual(own);
    expect(await server.get('GET /v1/audit?organization=acme', { key: ann })).toEqual(own);
    expect(await server.get('GET /v1/audit/verify?organization=acme', { key: operator })).toMatchObject({
      ok: true,
    });
    for (const [key, organization] of [
      [ann, 'local'],
      [reader, 'acme'],
      [ann, 'nobody'],
    ]) {
      for (const path of ['/v1/audit', '/v1/audit/verify'])
        expect(
          (await server.send(`GET ${path}?organization=${organization}`, { key: key ?? '' })).status,
        ).toBe(403);
    }
    expect((await server.send('GET /v1/audit?organization=nobody', { key: operator })).status).toBe(404);
  });
});

describe('units over HTTP', () => {
  test('POST /v1/units creates one unit per name and organization, and GET /v1/units lists it', async () => {
    const server = await startV1();
    const key = await server.key({ scopes: ['org:admin', 'credentials:read'] });
    const createUnit = (body: object) => server.get<{ id: string }>('POST /v1/units', { key, body });
    const sales = await createUnit({ name: 'sales' });
    expect(sales).toEqual({ id: expect.any(String), name: 'sales', created_at: expect.any(String) });
    expect(await createUnit({ name: 'sales' })).toEqual(sales);
    const { units } = await server.get<{ units: object[] }>('GET /v1/units', { key });
    expect(units).toHaveLength(2);
    expect(units).toEqual(expect.arrayContaining([sales, expect.objectContaining({ name: 'default' })]));
    await server.key({ organization: 'acme', user: 'ann' });
    await createUnit({ name: 'theirs', organization: 'acme' });
    expect(JSON.stringify(await server.get('GET /v1/units?organization=acme', { key }))).toContain('theirs');
    expect(JSON.stringify(await server.get('GET /v1/units', { key }))).not.toContain('theirs');
  });

  test.each([
    [{}, 400],
    [{ name: '' }, 400],
    [{ name: '../x' }, 400],
    [{ name: 'n', organisation: 'x' }, 400],
    [{ name: ['n'] }, 400],
  ])('POST /v1/units with %j returns %i and creates no unit', async (body, status) => {
    const server = await startV1();
    const key = await server.key({ scopes: ['org:admin', 'credentials:read'] });
    expect((await server.send('POST /v1/units', { key, body })).status).toBe(status);
    expect(await server.get('GET /v1/units', { key })).toMatchObject({ units: [{ name: 'default' }] });
  });
});
