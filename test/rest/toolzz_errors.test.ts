/** Errors of the Toolzz dialect: status and message, and that nothing was changed. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { VALUE_MAX_BYTES } from '../../src/contract/limits.ts';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { createScopeKeys, createUserKeys, withoutRequestId } from './user_keys.ts';

const COLLECTION = '/api/v1/credential';
const UNKNOWN_ID = '0194f3a0-0000-7000-8000-000000000000';
const NO_UNIT = 'No such unit. List the units to see their ids.';
const NAME_TAKEN =
  'There is a credential of this name for this service already. Choose another name, or update that one.';
const ErrorBody = z.strictObject({ message: z.string().min(1) });

async function start() {
  const server = await startHttpServer({ dialects: [toolzz] });
  const users = await createUserKeys(server);
  const { owner } = users;
  const update_body = {
    name: 'Marketing',
    userId: owner.user_id,
    unityId: owner.unit_id,
    integrationId: server.vault.services.get('openai').id,
    status: true,
  };
  const create_body = { ...update_body, credentials: [{ api_key: 'sk-1' }] };
  const send = (method: string, path: string, body?: unknown, key = owner.key) =>
    server.request(path, { method, key, ...(body === undefined ? {} : { body: textOf(body) }) });
  const createCredential = async (change: object = {}, key = owner.key) => {
    const response = await send('POST', COLLECTION, { ...create_body, ...change }, key);
    expect(response.status).toBe(201);
    const { id }: { id: string } = JSON.parse(await response.text());
    return `${COLLECTION}/${id}`;
  };
  return { server, users, owner, update_body, create_body, send, createCredential };
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body);
}

/** Status and message of an error in the documented format. */
async function errorOf(response: Response): Promise<readonly [number, string]> {
  expect(response.headers.get('content-type')).toBe('application/json');
  return [response.status, ErrorBody.parse(JSON.parse(await response.text())).message];
}

describe('error 400 of the Toolzz dialect', () => {
  test('POST and PUT credential return 400 and list every missing property', async () => {
    const { send, createCredential } = await start();
    const credential_path = await createCredential();
    expect(await errorOf(await send('PUT', credential_path, {}))).toEqual([
      400,
      'name is required; userId is required; unityId is required; integrationId is required; status is required.',
    ]);
    expect(await errorOf(await send('POST', COLLECTION, {}))).toEqual([
      400,
      'name is required; userId is required; unityId is required; integrationId is required; credentials is required.',
    ]);
  });

  test.each([
    ['name', null, 'name must be a string.'],
    ['name', 7, 'name must be a string.'],
    ['name', '', 'name must not be empty.'],
    ['name', 'x'.repeat(256), 'name is too long: 255 at most.'],
    ['userId', 'me', 'userId must be a UUID.'],
    ['unityId', 'default', 'unityId must be a UUID.'],
    ['integrationId', 'openai', 'integrationId must be a UUID.'],
    ['integrationId', ['x'], 'integrationId must be a string.'],
    ['secretId', '../x', 'secretId must be a UUID.'],
    ['status', 'true', 'status must be a boolean.'],
    ['status', null, 'status must be a boolean.'],
  ])('a Toolzz body with the property %s set to %j returns 400', async (key, value, message) => {
    const { send, createCredential, update_body, create_body } = await start();
    const credential_path = await createCredential();
    expect(await errorOf(await send('PUT', credential_path, { ...update_body, [key]: value }))).toEqual([
      400,
      message,
    ]);
    if (key === 'secretId') return;
    expect(await errorOf(await send('POST', COLLECTION, { ...create_body, [key]: value }))).toEqual([
      400,
      message,
    ]);
  });

  const no_object = 'The body must be an object.';
  test.each([
    ['[]', no_object],
    ['null', no_object],
    ['7', no_object],
    ['"text"', no_object],
    ['{', 'The body cannot be read. Not JSON.'],
    ['name=x', 'The body cannot be read. Not JSON.'],
    ['{"name":"a","name":"b"}', 'The body cannot be read. An object has the same name twice.'],
  ])('the invalid Toolzz body %s returns 400', async (body, expected) => {
    const { send, createCredential } = await start();
    const credential_path = await createCredential();
    for (const [method, path] of [
      ['PUT', credential_path],
      ['POST', COLLECTION],
    ] as const) {
      const [status, message] = await errorOf(await send(method, path, body));
      expect([status, message]).toEqual([400, expected]);
    }
  });

  test.each(['x', '1', 'unity', '..%2f..%2fetc', '%00', `${UNKNOWN_ID}0`, '🔑'])(
    'the Toolzz id %s, which is not a UUID, returns 400',
    async (id) => {
      const { send, update_body } = await start();
      for (const response of [
        await send('GET', `${COLLECTION}/${id}`),
        await send('DELETE', `${COLLECTION}/${id}`),
        await send('PUT', `${COLLECTION}/${id}`, update_body),
        await send('GET', `/api/v1/integration/${id}/icon`),
      ])
        expect(await errorOf(response)).toEqual([400, 'id must be a UUID.']);
      expect(await errorOf(await send('GET', `${COLLECTION}/unity/${id}`))).toEqual([
        400,
        'unityId must be a UUID.',
      ]);
    },
  );

  test('GET unity returns 400 for an unknown type', async () => {
    const { owner, send } = await start();
    expect(await errorOf(await send('GET', `${COLLECTION}/unity/${owner.unit_id}/type/nonesuch`))).toEqual([
      400,
      'type must be one of: llm, voice, monetization, dataset, analytics, phone.',
    ]);
  });

  test('PUT credential returns 400 for another integration, another secret or new values and changes nothing', async () => {
    const { server, send, createCredential, update_body } = await start();
    const credential_path = await createCredential();
    const before = await readCredentialRows(server.home);
    const other = server.vault.services.get('anthropic').id;
    for (const integrationId of [other, UNKNOWN_ID]) {
      expect(await errorOf(await send('PUT', credential_path, { ...update_body, integrationId }))).toEqual([
        400,
        'A credential stays with its service. Make a new one for another service.',
      ]);
    }
    expect(
      await errorOf(await send('PUT', credential_path, { ...update_body, secretId: UNKNOWN_ID })),
    ).toEqual([400, 'secretId must be that of this credential.']);
    for (const credentials of [[{ api_key: 'sk-2' }], { api_key: 'sk-2' }, 'sk-2', null]) {
      expect(await errorOf(await send('PUT', credential_path, { ...update_body, credentials }))).toEqual([
        400,
        'credentials cannot be changed here: create a new credential with the new values.',
      ]);
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test.each([
    ['an object instead of an array', { api_key: 'x' }, 'credentials must be an array.'],
    ['an empty array', [], 'credentials must not be empty.'],
    ['an array of strings', ['x'], 'credentials must be a list of objects.'],
    ['an array of arrays', [['x']], 'credentials must be a list of objects.'],
    ['an array with an empty object', [{}], 'credentials must also have: openai_api_key.'],
    ['a null value', [{ api_key: null }], 'credentials must also have: openai_api_key.'],
    ['only an optional field', [{ openai_project_id: 'p' }], 'credentials must also have: openai_api_key.'],
    [
      'a duplicate field',
      [{ api_key: 'x' }, { openai_api_key: 'y' }],
      'credentials gives openai_api_key twice.',
    ],
    [
      'an unknown field',
      [{ api_key: 'x' }, { token: 'y' }],
      'credentials names a field that OpenAI does not have. Its fields: openai_api_key, openai_organization_id, openai_project_id, openai_host.',
    ],
    ['an empty object as a value', [{ api_key: {} }], 'credentials: openai_api_key must be a string.'],
    ['an empty array as a value', [{ api_key: [] }], 'credentials: openai_api_key must be a string.'],
    ['a boolean as a value', [{ api_key: true }], 'credentials: openai_api_key must be a string.'],
    ['a number as a value', [{ openai_api_key: 0 }], 'credentials: openai_api_key must be a string.'],
    [
      'a string and an array as values',
      [{ api_key: 'x', openai_project_id: ['p'] }],
      'credentials: openai_project_id must be a string.',
    ],
    [
      'an empty string as a value',
      [{ api_key: '' }],
      expect.stringMatching(/^The value of openai_api_key is empty/),
    ],
  ])('POST credential returns 400 for invalid credentials: %s', async (_, credentials, message) => {
    const { server, send, create_body } = await start();
    expect(await errorOf(await send('POST', COLLECTION, { ...create_body, credentials }))).toEqual([
      400,
      message,
    ]);
    expect(await readCredentialRows(server.home)).toEqual([]);
  });
});

describe('other errors of the Toolzz dialect', () => {
  test('every Toolzz route returns 401 without a key and with a wrong key', async () => {
    const { server, owner } = await start();
    const needed = 'A valid API key is needed: exactly one, as Authorization: Bearer KEY or X-API-Key: KEY.';
    for (const path of [
      COLLECTION,
      `${COLLECTION}/${UNKNOWN_ID}`,
      '/api/v1/integration/status',
      '/api/v1/nothing',
    ]) {
      expect(await errorOf(await fetch(`${server.url}${path}`))).toEqual([401, needed]);
      const wrong = await server.request(path, { key: `${owner.key}x` });
      expect(await errorOf(wrong)).toEqual([401, 'A valid API key is needed.']);
    }
  });

  test('an unknown Toolzz credential, user, unit, integration or route returns 404', async () => {
    const { owner, send, createCredential, update_body, create_body } = await start();
    const credential_path = await createCredential();
    const unknown = `${COLLECTION}/${UNKNOWN_ID}`;
    const unit = `${COLLECTION}/unity/${UNKNOWN_ID}`;
    const own = `${COLLECTION}/unity/${owner.unit_id}`;
    for (const [message, request, body] of [
      ['No such credential.', `GET ${unknown}`],
      ['No such credential.', `DELETE ${unknown}`],
      ['No such credential.', `PUT ${unknown}`, update_body],
      ['No such user.', `PUT ${credential_path}`, { ...update_body, userId: UNKNOWN_ID }],
      ['No such user.', `POST ${COLLECTION}`, { ...create_body, name: 'x', userId: UNKNOWN_ID }],
      [NO_UNIT, `PUT ${credential_path}`, { ...update_body, unityId: UNKNOWN_ID }],
      [NO_UNIT, `POST ${COLLECTION}`, { ...create_body, name: 'x', unityId: UNKNOWN_ID }],
      [NO_UNIT, `GET ${unit}`],
      [NO_UNIT, `GET ${unit}/type/llm`],
      [NO_UNIT, `GET ${unit}/integration/${update_body.integrationId}`],
      [
        'No such integration.',
        `POST ${COLLECTION}`,
        { ...create_body, name: 'x', integrationId: UNKNOWN_ID },
      ],
      ['No such integration.', `GET ${own}/integration/${UNKNOWN_ID}`],
      ['No such integration.', `GET /api/v1/integration/${UNKNOWN_ID}/icon`],
      ['Unknown route. See GET /openapi.json.', 'GET /api/v1/nothing'],
    ] as const) {
      const [method = '', path = ''] = request.split(' ');
      expect([request, ...(await errorOf(await send(method, path, body)))]).toEqual([request, 404, message]);
    }
  });

  test('the Toolzz errors 405, 409, 413 and 415 have the documented format', async () => {
    const { server, send, createCredential, update_body, create_body } = await start();
    const credential_path = await createCredential();
    await createCredential({ name: 'Other' });
    expect(await errorOf(await send('PATCH', credential_path, update_body))).toEqual([
      405,
      'Method not allowed. Allowed: GET, PUT, DELETE.',
    ]);
    expect(await errorOf(await send('PUT', credential_path, 'x'.repeat(1024 * 1024 + 1)))).toEqual([
      413,
      'The request is too large: a body has at most 1048576 bytes.',
    ]);
    const form = { method: 'PUT', body: 'a=b', headers: { 'content-type': 'text/plain' } };
    expect(await errorOf(await server.request(credential_path, form))).toEqual([
      415,
      'A body must be application/json in UTF-8, not compressed.',
    ]);
    expect(await errorOf(await send('POST', COLLECTION, create_body))).toEqual([409, NAME_TAKEN]);
    expect(await errorOf(await send('PUT', credential_path, { ...update_body, name: 'Other' }))).toEqual([
      409,
      NAME_TAKEN,
    ]);
  });

  test('PUT credential returns 409 if the new owner has a credential of the same name', async () => {
    const { users, send, createCredential, update_body } = await start();
    const { colleague, admin } = users;
    const credential_path = await createCredential();
    await createCredential({ userId: colleague.user_id }, colleague.key);
    const move = { ...update_body, userId: colleague.user_id };
    expect(await errorOf(await send('PUT', credential_path, move, admin.key))).toEqual([409, NAME_TAKEN]);
    expect((await send('GET', credential_path)).status).toBe(200);
  });

  test('a Toolzz request over the rate limit returns 429', async () => {
    const limits = { requests_per_minute: 1, auth_failures_per_minute: 0 };
    const server = await startHttpServer({ dialects: [toolzz], settings: { limits } });
    await server.request('/api/v1/integration/status');
    expect(await errorOf(await server.request('/api/v1/integration/status'))).toEqual([
      429,
      expect.stringMatching(/^Too many requests with this API key\. Try again in \d+ seconds?\.$/),
    ]);
  });

  test('a Toolzz request to a closed vault returns an error without internal details', async () => {
    const { server, send } = await start();
    await server.vault.close();
    const [status, message] = await errorOf(await send('GET', `${COLLECTION}/${UNKNOWN_ID}`));
    expect(status).toBeGreaterThanOrEqual(500);
    expect(message).not.toMatch(/sqlite|database|\.ts/i);
  });
});

describe('required scopes of the Toolzz routes', () => {
  test.each([
    ['credentials:write', 'POST', COLLECTION, 201],
    ['credentials:write', 'PUT', `${COLLECTION}/{id}`, 200],
    ['credentials:write', 'DELETE', `${COLLECTION}/{id}`, 200],
    ['credentials:read', 'GET', `${COLLECTION}/{id}`, 200],
    ['credentials:read', 'GET', `${COLLECTION}/unity/{unityId}`, 200],
    ['credentials:read', 'GET', `${COLLECTION}/unity/{unityId}/type/llm`, 200],
    ['credentials:read', 'GET', `${COLLECTION}/unity/{unityId}/integration/{integrationId}`, 200],
  ] as const)(
    'without %s, %s %s returns 403; with that scope alone, it succeeds',
    async (scope, method, route, status) => {
      const { server, owner, send, createCredential, update_body, create_body } = await start();
      const credential_path = await createCredential();
      const path = route
        .replace(`${COLLECTION}/{id}`, credential_path)
        .replace('{unityId}', owner.unit_id)
        .replace('{integrationId}', update_body.integrationId);
      const body =
        method === 'POST' ? { ...create_body, name: 'New' } : method === 'PUT' ? update_body : undefined;
      const { with_scope, without_scope } = await createScopeKeys(server, 'owner', scope);
      const before = await readCredentialRows(server.home);
      expect((await errorOf(await send(method, path, body, without_scope)))[0]).toBe(403);
      expect(await readCredentialRows(server.home)).toEqual(before);
      expect((await send(method, path, body, with_scope)).status).toBe(status);
    },
  );
});

describe('ids of another user in the Toolzz dialect', () => {
  test.each(['GET', 'DELETE', 'PUT', 'PUT with another integrationId'])(
    "%s returns the same 404 for another user's credential as for an unknown one",
    async (request) => {
      const { server, users, send, createCredential, update_body } = await start();
      const { owner, colleague, admin, stranger } = users;
      const other_user_path = await createCredential();
      const other_organization_path = await createCredential(
        { userId: stranger.user_id, unityId: stranger.unit_id },
        stranger.key,
      );
      const [method = '', other] = request.split(' with ');
      const integrationId =
        other === undefined ? update_body.integrationId : server.vault.services.get('linear').id;
      const before = await readCredentialRows(server.home);
      for (const [caller, path] of [
        [colleague, other_user_path],
        [stranger, other_user_path],
        [owner, other_organization_path],
        [admin, other_organization_path],
      ] as const) {
        const { user_id: userId, unit_id: unityId, key } = caller;
        const body = method === 'PUT' ? { ...update_body, integrationId, userId, unityId } : undefined;
        const expected = await withoutRequestId(await send(method, `${COLLECTION}/${UNKNOWN_ID}`, body, key));
        expect(expected).toMatchObject({ status: 404 });
        for (const id of [
          path,
          `${COLLECTION}/${owner.id}`,
          `${COLLECTION}/${owner.user_id}`,
          `${COLLECTION}/${owner.unit_id}`,
        ])
          expect(await withoutRequestId(await send(method, id, body, key))).toEqual(expected);
      }
      expect(await readCredentialRows(server.home)).toEqual(before);
    },
  );

  test('POST and PUT credential return the same error for ids of another user or unit as for unknown ids', async () => {
    const { server, users, send, createCredential, update_body, create_body } = await start();
    const { colleague, stranger, owner } = users;
    const credential_path = await createCredential();
    const before = await readCredentialRows(server.home);
    for (const [method, path, body] of [
      ['PUT', credential_path, update_body],
      ['POST', COLLECTION, { ...create_body, name: 'New' }],
    ] as const) {
      const users = [colleague.user_id, stranger.user_id, owner.unit_id];
      const unknown_user = await withoutRequestId(await send(method, path, { ...body, userId: UNKNOWN_ID }));
      for (const userId of users)
        expect(await withoutRequestId(await send(method, path, { ...body, userId }))).toEqual(unknown_user);
      const unknown_unit = await withoutRequestId(await send(method, path, { ...body, unityId: UNKNOWN_ID }));
      for (const unityId of [stranger.unit_id, owner.user_id])
        expect(await withoutRequestId(await send(method, path, { ...body, unityId }))).toEqual(unknown_unit);
    }
    const unknown_list = await withoutRequestId(await send('GET', `${COLLECTION}/unity/${UNKNOWN_ID}`));
    expect(await withoutRequestId(await send('GET', `${COLLECTION}/unity/${stranger.unit_id}`))).toEqual(
      unknown_list,
    );
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test("another user's credential is in no list of a unit", async () => {
    const { owner, users, send, createCredential } = await start();
    await createCredential();
    for (const part of ['', '/type/llm']) {
      const response = await send(
        'GET',
        `${COLLECTION}/unity/${owner.unit_id}${part}`,
        undefined,
        users.colleague.key,
      );
      expect(await response.text()).toMatch(/^(\{"items":\[\]\}|\[\])$/);
    }
  });
});

describe('invalid input to the Toolzz dialect', () => {
  const canary = 'canary-VALUE-that-must-not-come-back';
  test.each([
    ['a value over 64 KiB', { credentials: [{ api_key: canary.padEnd(VALUE_MAX_BYTES + 1, 'x') }] }],
    ['a value that is nested', { credentials: [{ api_key: { [canary]: [canary] } }] }],
    ['a value that is an array', { credentials: [{ api_key: [canary] }] }],
    ['an unknown field', { credentials: [{ api_key: canary, [canary]: canary }] }],
    ['a field whose name is a path', { credentials: [{ api_key: canary, [`../${canary}`]: canary }] }],
    ['an unpaired surrogate', { credentials: [{ api_key: `${canary}\ud800` }] }],
    ['a sealed value that does not decrypt', { credentials: [{ api_key: `sealed:${canary}` }] }],
    ['a value in the wrong format', { credentials: [{ api_key: `${canary} ${canary}` }] }],
    ['a name with a line break', { name: `${canary}\n` }],
    ['a name that is an array', { name: [canary] }],
    ['values instead of ids', { userId: canary, unityId: canary, integrationId: canary, secretId: canary }],
    ['a value instead of the status', { status: canary }],
    ['credentials that are a string', { credentials: canary }],
  ])('POST and PUT credential with %s return 400 without the input and change nothing', async (_, change) => {
    const { server, send, createCredential, update_body, create_body } = await start();
    const credential_path = await createCredential();
    const before = await readCredentialRows(server.home);
    const responses = [
      await send('POST', COLLECTION, { ...create_body, name: 'New', ...change }),
      await send('PUT', credential_path, { ...update_body, ...change }),
    ];
    for (const response of responses) {
      const [status, message] = await errorOf(response);
      expect(status).toBe(400);
      expect(message).not.toContain('canary');
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
    expect(JSON.stringify(server.log)).not.toContain('canary');
  });

  test('POST and PUT credential return 400 for a property named __proto__', async () => {
    const { server, send, createCredential, create_body, update_body } = await start();
    const credential_path = await createCredential();
    const before = await readCredentialRows(server.home);
    const text = JSON.stringify({ ...create_body, name: 'New' }).replace('"api_key"', '"__proto__"');
    expect((await errorOf(await send('POST', COLLECTION, text)))[0]).toBe(400);
    const put = JSON.stringify({ ...update_body, name: undefined }).replace(
      '{',
      '{"__proto__":{"name":"x"},',
    );
    expect((await errorOf(await send('PUT', credential_path, put)))[0]).toBe(400);
    expect(await readCredentialRows(server.home)).toEqual(before);
  });
});
