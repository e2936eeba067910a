/** Errors of the SuperAI Flow dialect: status, body and message, and that nothing was changed. */
import { describe, expect, test } from 'vitest';
import { VALUE_MAX_BYTES } from '../../src/contract/limits.ts';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { changeRecords, readCredentialRows } from '../kit/vault/database.ts';
import { ErrorResponse, HTTPValidationError } from './superai_shapes.ts';
import { createScopeKeys } from './user_keys.ts';

const COLLECTION = '/integrations/credentials';
const CREATE = {
  name: 'Reports',
  provider: 'sftp',
  credential_type: 'user_password',
  credentials: { host: 'h', username: 'u', password: 'p' },
};
const UPDATE = { credential_type: CREATE.credential_type, credentials: CREATE.credentials };
const UNKNOWN_ID = '123e4567-e89b-12d3-a456-426614174000';

async function start() {
  const server = await startHttpServer({ dialects: [superai] });
  const created = await server.request(COLLECTION, { method: 'POST', body: JSON.stringify(CREATE) });
  const { id }: { id: string } = JSON.parse(await created.text());
  return { server, credential_path: `${COLLECTION}/${id}` };
}

/** Parses an error of the documented format and compares its request id with the header. */
async function errorOf(response: Response): Promise<readonly [number, string]> {
  const { error, request_id } = ErrorResponse.parse(await response.json());
  expect(request_id).toBe(response.headers.get('x-request-id'));
  return [response.status, error.code];
}

async function detailOf(response: Response) {
  expect(response.status).toBe(422);
  return HTTPValidationError.parse(await response.json()).detail;
}

function send(server: TestHttpServer, method: string, path: string, body: unknown, key?: string) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return server.request(path, { method, body: text, ...(key === undefined ? {} : { key }) });
}

describe('documented errors of the SuperAI dialect', () => {
  test('POST and PUT credentials return 400 for invalid or empty credentials', async () => {
    const { server, credential_path } = await start();
    for (const credentials of [{}, { port: 'not a port' }, { password: '' }, { nothing: null }]) {
      expect(
        await errorOf(await send(server, 'POST', COLLECTION, { ...CREATE, name: 'x', credentials })),
      ).toEqual([400, 'bad_request']);
      expect(await errorOf(await send(server, 'PUT', credential_path, { ...UPDATE, credentials }))).toEqual([
        400,
        'bad_request',
      ]);
    }
  });

  test('every SuperAI route returns 401 without a key and with a wrong key', async () => {
    const { server, credential_path } = await start();
    for (const path of [
      COLLECTION,
      credential_path,
      '/integrations/catalog',
      '/api/integrations/catalog',
      '/integrations/x',
    ]) {
      expect(await errorOf(await fetch(`${server.url}${path}`))).toEqual([401, 'unauthorized']);
      expect(await errorOf(await server.request(path, { key: 'kh_wrong' }))).toEqual([401, 'unauthorized']);
    }
  });

  test('an unknown SuperAI credential or route returns 404', async () => {
    const { server } = await start();
    const credential_path = `${COLLECTION}/${UNKNOWN_ID}`;
    const reader = await server.key({ scopes: ['values:reveal'] });
    const responses = [
      await server.request(credential_path),
      await server.request(credential_path, { method: 'DELETE' }),
      await send(server, 'PUT', credential_path, UPDATE),
      await send(server, 'PATCH', credential_path, UPDATE),
      await server.request(`${credential_path}/credentials`, { key: reader }),
      await server.request(`/integrations/postgres/test-connection/${UNKNOWN_ID}`, { method: 'POST' }),
      await server.request('/integrations/nothing'),
      await server.request('/integrations'),
    ];
    for (const response of responses) expect(await errorOf(response)).toEqual([404, 'not_found']);
  });

  test('the SuperAI errors 405, 413 and 415 have the documented format', async () => {
    const { server, credential_path } = await start();
    expect(await errorOf(await send(server, 'POST', credential_path, UPDATE))).toEqual([405, 'bad_request']);
    expect(await errorOf(await send(server, 'PUT', credential_path, 'x'.repeat(1024 * 1024 + 1)))).toEqual([
      413,
      'bad_request',
    ]);
    const form = {
      method: 'PUT',
      body: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    };
    expect(await errorOf(await server.request(credential_path, form))).toEqual([415, 'bad_request']);
  });

  test('POST and PUT credentials return 409 if another credential of the provider has the name', async () => {
    const { server, credential_path } = await start();
    expect(await errorOf(await send(server, 'POST', COLLECTION, CREATE))).toEqual([409, 'conflict']);
    await send(server, 'POST', COLLECTION, { ...CREATE, name: 'Other' });
    expect(await errorOf(await send(server, 'PUT', credential_path, { ...UPDATE, name: 'Other' }))).toEqual([
      409,
      'conflict',
    ]);
    expect((await send(server, 'POST', COLLECTION, { ...CREATE, provider: 'postgresql' })).status).toBe(201);
  });

  test('a SuperAI request over the rate limit returns 429', async () => {
    const limits = { requests_per_minute: 1, auth_failures_per_minute: 0 };
    const server = await startHttpServer({ dialects: [superai], settings: { limits } });
    await server.request(COLLECTION);
    expect(await errorOf(await server.request(COLLECTION))).toEqual([429, 'rate_limited']);
  });

  test('reading the values of a damaged SuperAI credential returns 500 and logs the cause', async () => {
    const { server, credential_path } = await start();
    const reader = await server.key({ scopes: ['values:reveal'] });
    await changeRecords(server.home, ({ kind }) => kind === 'credential', {
      sealed_values: Buffer.alloc(200),
    });
    const response = await server.request(`${credential_path}/credentials`, { key: reader });
    const request_id = response.headers.get('x-request-id');
    expect([response.status, await response.json()]).toEqual([
      500,
      {
        error: {
          message:
            'A sealed record does not decrypt: it was changed, moved or rolled back. Run `keyhold audit verify`, then restore a backup.',
          code: 'internal_error',
          details: null,
        },
        request_id,
      },
    ]);
    // The log has the cause under the request id of the response.
    expect(
      server.log.filter(({ level, fields }) => level === 'error' && fields.request_id === request_id),
    ).toMatchObject([{ fields: { code: 'CORRUPT' } }]);
  });

  test('an internal error in the SuperAI dialect returns 500 without the message of the error', async () => {
    const { server } = await start();
    server.vault.credentials.list = async () => {
      throw new Error('no such table: record');
    };
    const response = await server.request(COLLECTION);
    const request_id = response.headers.get('x-request-id');
    const message = `Something failed inside Keyhold. Its log has the cause under request id ${request_id}.`;
    expect([response.status, await response.json()]).toEqual([
      500,
      { error: { message, code: 'internal_error', details: null }, request_id },
    ]);
  });

  test('a SuperAI request to a closed vault returns 503 without Retry-After', async () => {
    const { server } = await start();
    await server.vault.close();
    const response = await server.request(COLLECTION);
    expect([await errorOf(response), response.headers.get('retry-after')]).toEqual([
      [503, 'internal_error'],
      null,
    ]);
  });
});

describe('required scopes of the SuperAI routes', () => {
  const ITEM = `${COLLECTION}/{id}`;
  const routes = [
    ['credentials:write', 'POST', COLLECTION, { ...CREATE, name: 'New' }, 201],
    ['credentials:write', 'PUT', ITEM, UPDATE, 200],
    ['credentials:write', 'PATCH', ITEM, UPDATE, 200],
    ['credentials:write', 'DELETE', ITEM, undefined, 204],
    ['credentials:read', 'GET', ITEM, undefined, 200],
    ['credentials:read', 'GET', COLLECTION, undefined, 200],
    ['credentials:read', 'GET', `${COLLECTION}/provider/sftp`, undefined, 200],
    ['values:reveal', 'GET', `${ITEM}/credentials`, undefined, 200],
  ] as const;

  test.each(routes)(
    'without %s, %s %s returns 403; with that scope alone, it succeeds',
    async (scope, method, route, body, status) => {
      const { server, credential_path } = await start();
      const path = route.replace(ITEM, credential_path);
      const { with_scope, without_scope } = await createScopeKeys(server, 'me', scope);
      const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      const before = await readCredentialRows(server.home);
      expect(await errorOf(await server.request(path, { ...init, key: without_scope }))).toEqual([
        403,
        'forbidden',
      ]);
      expect(await readCredentialRows(server.home)).toEqual(before);
      expect((await server.request(path, { ...init, key: with_scope })).status).toBe(status);
    },
  );

  test('a key that allows only other services gets 403 on create and 404 on read', async () => {
    const { server, credential_path } = await start();
    const key = await server.key({ allowed_services: ['linear'] });
    expect(await errorOf(await send(server, 'POST', COLLECTION, { ...CREATE, name: 'x' }, key))).toEqual([
      403,
      'forbidden',
    ]);
    expect(await errorOf(await server.request(credential_path, { key }))).toEqual([404, 'not_found']);
    expect(await (await server.request(COLLECTION, { key })).json()).toEqual([]);
  });

  test('reading values without values:reveal returns 403, also for an unknown id', async () => {
    const { server, credential_path } = await start();
    for (const path of [credential_path, `${COLLECTION}/${UNKNOWN_ID}`])
      expect(await errorOf(await server.request(`${path}/credentials`))).toEqual([403, 'forbidden']);
  });
});

describe('validation errors of the SuperAI dialect', () => {
  const missing = (key: string) => ({ loc: ['body', key], msg: 'Field required', type: 'missing' });
  const types =
    "'api_key', 'google_oauth', 'sharepoint_oauth', 'oauth2', 'user_password', 'key_file', 'client_credentials', " +
    "'sharepoint_receive', 'google_drive_receive', 'sftp' or 'azure_blob_receive'";

  test('a SuperAI body without required properties returns 422 and lists every missing property', async () => {
    const { server, credential_path } = await start();
    expect(await detailOf(await send(server, 'POST', COLLECTION, {}))).toEqual(
      ['name', 'provider', 'credential_type', 'credentials'].map(missing),
    );
    for (const method of ['PUT', 'PATCH'])
      expect(await detailOf(await send(server, method, credential_path, {}))).toEqual(
        ['credential_type', 'credentials'].map(missing),
      );
    expect(await detailOf(await send(server, 'POST', '/integrations/sftp/test-connection', {}))).toEqual(
      ['host', 'username', 'auth_type'].map(missing),
    );
    expect(await detailOf(await send(server, 'POST', '/integrations/postgres/test-connection', {}))).toEqual(
      ['host', 'port', 'username', 'password', 'database'].map(missing),
    );
  });

  const string = 'Input should be a valid string';
  test.each([
    ['name', 1, string, 'string_type'],
    ['name', null, string, 'string_type'],
    ['name', ['x'], string, 'string_type'],
    ['name', '', 'String should have at least 1 character', 'string_too_short'],
    ['name', 'x'.repeat(256), 'String should have at most 255 characters', 'string_too_long'],
    ['provider', {}, string, 'string_type'],
    ['credential_type', 'no_such_type', `Input should be ${types}`, 'enum'],
    ['credential_type', 7, `Input should be ${types}`, 'enum'],
    ['credentials', [], 'Input should be a valid dictionary', 'dict_type'],
    ['credentials', null, 'Input should be a valid dictionary', 'dict_type'],
    ['credentials', 'text', 'Input should be a valid dictionary', 'dict_type'],
  ])('a SuperAI body with the property %s set to %j returns 422', async (key, value, msg, type) => {
    const { server, credential_path } = await start();
    const expected = [{ loc: ['body', key], msg, type }];
    expect(await detailOf(await send(server, 'POST', COLLECTION, { ...CREATE, [key]: value }))).toEqual(
      expected,
    );
    if (key === 'provider' || (key === 'name' && value === null)) return;
    for (const method of ['PUT', 'PATCH'])
      expect(
        await detailOf(await send(server, method, credential_path, { ...UPDATE, [key]: value })),
      ).toEqual(expected);
  });

  test.each(['nonesuch', 'sftp ', '../sftp', 'сfтp'])(
    'the unknown SuperAI provider %j returns 422 in the body and in the path',
    async (provider) => {
      const { server } = await start();
      const path = `${COLLECTION}/provider/${encodeURIComponent(provider)}`;
      for (const [location, response] of [
        ['body', await send(server, 'POST', COLLECTION, { ...CREATE, provider })],
        ['path', await server.request(path)],
      ] as const) {
        const detail = await detailOf(response);
        expect(detail).toMatchObject([{ loc: [location, 'provider'], type: 'enum' }]);
        expect(detail[0]?.msg).toMatch(
          /^Input should be 'microsoft', 'sharepoint', 'sftp', .*another provider of the catalog$/,
        );
      }
    },
  );

  test.each(['[]', 'null', '7', '"text"', 'true'])(
    'the SuperAI body %s, which is not an object, returns 422',
    async (body) => {
      const { server, credential_path } = await start();
      const msg = 'Input should be a valid dictionary or object to extract fields from';
      const expected = [{ loc: ['body'], msg, type: 'model_attributes_type' }];
      expect(await detailOf(await send(server, 'POST', COLLECTION, body))).toEqual(expected);
      expect(await detailOf(await send(server, 'PUT', credential_path, body))).toEqual(expected);
    },
  );

  test.each([
    ['{', 'JSON decode error'],
    ['{"name":', 'JSON decode error'],
    ['name=x', 'JSON decode error'],
    ['{"name":"a","name":"b"}', 'An object has the same name twice.'],
    [
      '{"credentials":{"__proto__":"x"}}',
      'An object has the name "__proto__", which is not allowed. Remove it.',
    ],
    ['['.repeat(500), 'Nested deeper than 64 levels.'],
  ])('the malformed SuperAI body %s returns 422', async (body, msg) => {
    const { server, credential_path } = await start();
    const expected = [{ loc: ['body'], msg, type: 'json_invalid' }];
    expect(await detailOf(await send(server, 'POST', COLLECTION, body))).toEqual(expected);
    expect(await detailOf(await send(server, 'PATCH', credential_path, body))).toEqual(expected);
  });

  test.each([
    ['missing', {}],
    ['application/json', { 'content-type': 'application/json' }],
    ['application/json; charset=utf-8', { 'content-type': 'application/json; charset=utf-8' }],
  ])(
    'POST, PUT and PATCH credentials without a body return 422 if the content type is %s',
    async (_, type_header) => {
      const { server, credential_path } = await start();
      const of_update = ['credential_type', 'credentials'];
      for (const [method, path, keys] of [
        ['POST', COLLECTION, ['name', 'provider', ...of_update]],
        ['PUT', credential_path, of_update],
        ['PATCH', credential_path, of_update],
      ] as const) {
        const headers = { 'x-api-key': await server.key(), ...type_header };
        const response = await fetch(server.url + path, { method, headers });
        expect(await detailOf(response)).toEqual(keys.map(missing));
      }
    },
  );

  test.each([
    'x',
    'null',
    '1',
    `${UNKNOWN_ID}0`,
    '..%2f..%2fetc',
    '%00',
    UNKNOWN_ID.replaceAll('-', ''),
    '🔑',
  ])('the SuperAI credential id %s, which is not a UUID, returns 422', async (id) => {
    const { server } = await start();
    const expected = [
      { loc: ['path', 'credential_id'], msg: 'Input should be a valid UUID', type: 'uuid_parsing' },
    ];
    const path = `${COLLECTION}/${id}`;
    expect(await detailOf(await server.request(path))).toEqual(expected);
    expect(await detailOf(await server.request(path, { method: 'DELETE' }))).toEqual(expected);
    expect(await detailOf(await send(server, 'PUT', path, UPDATE))).toEqual(expected);
    expect(await detailOf(await server.request(`${path}/credentials`))).toEqual(expected);
  });
});

describe('connection tests of the SuperAI dialect', () => {
  const sftp = { host: 'missing.invalid', username: 'u', auth_type: 'password', password: 'p' };
  const postgres = { host: 'missing.invalid', port: '5432', username: 'u', password: 'p', database: 'd' };

  test('a valid request for a connection test that fails returns success false', async () => {
    const { server } = await start();
    const requests = [
      ['/integrations/sftp/test-connection', sftp],
      [
        '/integrations/sftp/test-connection',
        { ...sftp, port: '2222', auth_type: 'key_file', password: null, private_key_data: 'no key' },
      ],
      ['/api/integrations/postgres/test-connection', postgres],
    ] as const;
    for (const [path, body] of requests) {
      const response = await server.request(path, { method: 'POST', body: JSON.stringify(body) });
      expect([response.status, await response.json()]).toEqual([200, { success: false }]);
    }
  });

  test('a connection test without the value that its way to log in needs returns 422', async () => {
    const { server } = await start();
    const body = JSON.stringify({ ...sftp, port: '2222', auth_type: 'key_file' });
    const response = await server.request('/integrations/sftp/test-connection', { method: 'POST', body });
    expect(response.status).toBe(422);
    expect(await response.json()).toEqual({
      detail: [{ loc: ['body', 'private_key_data'], msg: 'Field required', type: 'missing' }],
    });
  });

  test.each([
    ['sftp', { ...sftp, port: 'x' }, ['port', 'Input should be a valid integer', 'int_type']],
    ['sftp', { ...sftp, port: 22.5 }, ['port', 'Input should be a valid integer', 'int_type']],
    [
      'sftp',
      { ...sftp, port: 0 },
      ['port', 'Input should be greater than or equal to 1', 'greater_than_equal'],
    ],
    [
      'sftp',
      { ...sftp, port: 65_536 },
      ['port', 'Input should be less than or equal to 65535', 'less_than_equal'],
    ],
    [
      'sftp',
      { ...sftp, auth_type: 'oauth2' },
      ['auth_type', "Input should be 'password', 'user_password' or 'key_file'", 'enum'],
    ],
    ['postgres', { ...postgres, port: 5432 }, ['port', 'Input should be a valid string', 'string_type']],
    ['postgres', { ...postgres, host: null }, ['host', 'Input should be a valid string', 'string_type']],
  ] as const)(
    'a connection test of %s with the invalid body %j returns 422',
    async (service, body, [key, msg, type]) => {
      const { server } = await start();
      const response = await send(server, 'POST', `/integrations/${service}/test-connection`, body);
      expect(await detailOf(response)).toEqual([{ loc: ['body', key], msg, type }]);
    },
  );
});

describe('invalid input to the SuperAI dialect', () => {
  const canary = 'canary-VALUE-that-must-not-come-back';
  const deep = JSON.parse(`${'['.repeat(40)}"${canary}"${']'.repeat(40)}`);
  const INVALID: readonly (readonly [string, unknown])[] = [
    ['a value over 64 KiB', { credentials: { password: canary.padEnd(VALUE_MAX_BYTES + 1, 'x') } }],
    [
      'too many fields',
      { credentials: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`f${at}`, canary])) },
    ],
    ['a field whose name is too long', { credentials: { [canary.padEnd(65, 'x')]: canary } }],
    ['a field whose name is a path', { credentials: { [`../${canary}`]: canary } }],
    ['a field without a name', { credentials: { '': canary } }],
    ['a value that is nested too deeply', { credentials: { password: deep } }],
    ['an unpaired surrogate', { credentials: { password: `${canary}\ud800` } }],
    ['a sealed value that does not decrypt', { credentials: { password: `sealed:${canary}` } }],
    ['a name with a line break', { name: `${canary}\n` }],
    ['a name that is too long', { name: canary.repeat(10) }],
    ['a name that is an array', { name: [canary] }],
    ['an unknown type', { credential_type: canary }],
    ['credentials that are a string', { credentials: canary }],
    ['credentials that are an array', { credentials: [canary, { a: canary }] }],
  ];

  test.each(INVALID)(
    'POST, PUT and PATCH credentials with %s return an error without the input and change nothing',
    async (_, change) => {
      const { server, credential_path } = await start();
      const before = await readCredentialRows(server.home);
      const responses = [
        await send(server, 'POST', COLLECTION, { ...CREATE, name: 'New', ...Object(change) }),
        await send(server, 'PUT', credential_path, { ...UPDATE, ...Object(change) }),
        await send(server, 'PATCH', credential_path, { ...UPDATE, ...Object(change) }),
      ];
      for (const response of responses) {
        expect([400, 422]).toContain(response.status);
        const text = await response.text();
        expect(text).not.toContain('canary');
        expect(JSON.parse(text)).toEqual(expect.anything());
      }
      expect(await readCredentialRows(server.home)).toEqual(before);
      expect(JSON.stringify(server.log)).not.toContain('canary');
    },
  );

  test('POST credentials rejects a number with more than 15 digits with 400 instead of storing it rounded', async () => {
    const { server } = await start();
    const body = JSON.stringify({ ...CREATE, name: 'New' }).replace('"p"', '"p","pin":12345678901234567890');
    const response = await send(server, 'POST', COLLECTION, body);
    expect([response.status, await response.json()]).toMatchObject([
      400,
      {
        error: {
          code: 'bad_request',
          message:
            'The value of pin has a number of more than 15 digits, some of which may be lost. Send it as text, in quotes.',
        },
      },
    ]);
  });

  test('POST credentials ignores unknown properties', async () => {
    const { server } = await start();
    const body = { ...CREATE, name: 'More', id: UNKNOWN_ID, user_id: UNKNOWN_ID, workspace: 'x' };
    const response = await send(server, 'POST', COLLECTION, body);
    expect(response.status).toBe(201);
    expect(await response.text()).not.toContain(UNKNOWN_ID);
  });
});
