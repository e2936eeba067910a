/** Errors of the SuperAI Flow dialect: status, body and message, and that nothing was changed. */
import { describe, expect, test } from 'vitest';
import { VALUE_MAX_BYTES } from '../../src/contract/limits.ts';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { changeRecords, readCredentialRows } from '../kit/vault/database.ts';
import { keysAround } from './people.ts';
import { ErrorResponse, HTTPValidationError } from './superai_shapes.ts';

const ALL = '/integrations/credentials';
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
  const made = await server.request(ALL, { method: 'POST', body: JSON.stringify(CREATE) });
  const { id }: { id: string } = JSON.parse(await made.text());
  return { server, one: `${ALL}/${id}` };
}

/** Parses an error of the documented format and compares its request id with the header. */
async function errorOf(answer: Response): Promise<readonly [number, string]> {
  const { error, request_id } = ErrorResponse.parse(await answer.json());
  expect(request_id).toBe(answer.headers.get('x-request-id'));
  return [answer.status, error.code];
}

async function detailOf(answer: Response) {
  expect(answer.status).toBe(422);
  return HTTPValidationError.parse(await answer.json()).detail;
}

function send(server: TestHttpServer, method: string, path: string, body: unknown, key?: string) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return server.request(path, { method, body: text, ...(key === undefined ? {} : { key }) });
}

describe('every documented error', () => {
  test('400: a value that is not allowed, an empty object', async () => {
    const { server, one } = await start();
    for (const credentials of [{}, { port: 'not a port' }, { password: '' }, { nothing: null }]) {
      expect(await errorOf(await send(server, 'POST', ALL, { ...CREATE, name: 'x', credentials }))).toEqual([
        400,
        'bad_request',
      ]);
      expect(await errorOf(await send(server, 'PUT', one, { ...UPDATE, credentials }))).toEqual([
        400,
        'bad_request',
      ]);
    }
  });

  test('401: no key, and one that is wrong', async () => {
    const { server, one } = await start();
    for (const path of [ALL, one, '/integrations/catalog', '/api/integrations/catalog', '/integrations/x']) {
      expect(await errorOf(await fetch(`${server.url}${path}`))).toEqual([401, 'unauthorized']);
      expect(await errorOf(await server.request(path, { key: 'kh_wrong' }))).toEqual([401, 'unauthorized']);
    }
  });

  test('404: an id that there is not, a route that there is not', async () => {
    const { server } = await start();
    const one = `${ALL}/${UNKNOWN_ID}`;
    const reader = await server.key({ scopes: ['values:reveal'] });
    const answers = [
      await server.request(one),
      await server.request(one, { method: 'DELETE' }),
      await send(server, 'PUT', one, UPDATE),
      await send(server, 'PATCH', one, UPDATE),
      await server.request(`${one}/credentials`, { key: reader }),
      await server.request(`/integrations/postgres/test-connection/${UNKNOWN_ID}`, { method: 'POST' }),
      await server.request('/integrations/nothing'),
      await server.request('/integrations'),
    ];
    for (const answer of answers) expect(await errorOf(answer)).toEqual([404, 'not_found']);
  });

  test('405, 413 and 415 have the shape as well', async () => {
    const { server, one } = await start();
    expect(await errorOf(await send(server, 'POST', one, UPDATE))).toEqual([405, 'bad_request']);
    expect(await errorOf(await send(server, 'PUT', one, 'x'.repeat(1024 * 1024 + 1)))).toEqual([
      413,
      'bad_request',
    ]);
    const form = {
      method: 'PUT',
      body: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    };
    expect(await errorOf(await server.request(one, form))).toEqual([415, 'bad_request']);
  });

  test('409: a name that another credential of the provider has', async () => {
    const { server, one } = await start();
    expect(await errorOf(await send(server, 'POST', ALL, CREATE))).toEqual([409, 'conflict']);
    await send(server, 'POST', ALL, { ...CREATE, name: 'Other' });
    expect(await errorOf(await send(server, 'PUT', one, { ...UPDATE, name: 'Other' }))).toEqual([
      409,
      'conflict',
    ]);
    expect((await send(server, 'POST', ALL, { ...CREATE, provider: 'postgresql' })).status).toBe(201);
  });

  test('429: too many requests', async () => {
    const limits = { requests_per_minute: 1, auth_failures_per_minute: 0 };
    const server = await startHttpServer({ dialects: [superai], settings: { limits } });
    await server.request(ALL);
    expect(await errorOf(await server.request(ALL))).toEqual([429, 'rate_limited']);
  });

  test('500: what the disk has damaged', async () => {
    const { server, one } = await start();
    const reader = await server.key({ scopes: ['values:reveal'] });
    await changeRecords(server.home, ({ kind }) => kind === 'credential', {
      sealed_values: Buffer.alloc(200),
    });
    const answer = await server.request(`${one}/credentials`, { key: reader });
    const request_id = answer.headers.get('x-request-id');
    expect([answer.status, await answer.json()]).toEqual([
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

  test('500: something that fails inside, which is not said', async () => {
    const { server } = await start();
    server.vault.credentials.list = async () => {
      throw new Error('no such table: record');
    };
    const answer = await server.request(ALL);
    const request_id = answer.headers.get('x-request-id');
    const message = `Something failed inside Keyhold. Its log has the cause under request id ${request_id}.`;
    expect([answer.status, await answer.json()]).toEqual([
      500,
      { error: { message, code: 'internal_error', details: null }, request_id },
    ]);
  });

  test('503: a vault that is closed', async () => {
    const { server } = await start();
    await server.vault.close();
    const answer = await server.request(ALL);
    expect([await errorOf(answer), answer.headers.get('retry-after')]).toEqual([
      [503, 'internal_error'],
      null,
    ]);
  });
});

describe('403, for want of a scope', () => {
  const routes = [
    ['credentials:write', 'POST', () => ALL, { ...CREATE, name: 'New' }, 201],
    ['credentials:write', 'PUT', (one: string) => one, UPDATE, 200],
    ['credentials:write', 'PATCH', (one: string) => one, UPDATE, 200],
    ['credentials:write', 'DELETE', (one: string) => one, undefined, 204],
    ['credentials:read', 'GET', (one: string) => one, undefined, 200],
    ['credentials:read', 'GET', () => ALL, undefined, 200],
    ['credentials:read', 'GET', () => `${ALL}/provider/sftp`, undefined, 200],
    ['values:reveal', 'GET', (one: string) => `${one}/credentials`, undefined, 200],
  ] as const;

  test.each(routes)('%s %s', async (scope, method, pathOf, body, status) => {
    const { server, one } = await start();
    const { only, without } = await keysAround(server, 'me', scope);
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const before = await readCredentialRows(server.home);
    expect(await errorOf(await server.request(pathOf(one), { ...init, key: without }))).toEqual([
      403,
      'forbidden',
    ]);
    expect(await readCredentialRows(server.home)).toEqual(before);
    expect((await server.request(pathOf(one), { ...init, key: only })).status).toBe(status);
  });

  test('a key that allows other services makes none of this one and does not see it', async () => {
    const { server, one } = await start();
    const key = await server.key({ allowed_services: ['linear'] });
    expect(await errorOf(await send(server, 'POST', ALL, { ...CREATE, name: 'x' }, key))).toEqual([
      403,
      'forbidden',
    ]);
    expect(await errorOf(await server.request(one, { key }))).toEqual([404, 'not_found']);
    expect(await (await server.request(ALL, { key })).json()).toEqual([]);
  });

  test('nobody reads values, whatever other scopes they have, and even of an id that there is not', async () => {
    const { server, one } = await start();
    for (const path of [one, `${ALL}/${UNKNOWN_ID}`])
      expect(await errorOf(await server.request(`${path}/credentials`))).toEqual([403, 'forbidden']);
  });
});

describe('422', () => {
  const missing = (key: string) => ({ loc: ['body', key], msg: 'Field required', type: 'missing' });
  const types =
    "'api_key', 'google_oauth', 'sharepoint_oauth', 'oauth2', 'user_password', 'key_file', 'client_credentials', " +
    "'sharepoint_receive', 'google_drive_receive', 'sftp' or 'azure_blob_receive'";

  test('says which keys are missing', async () => {
    const { server, one } = await start();
    expect(await detailOf(await send(server, 'POST', ALL, {}))).toEqual(
      ['name', 'provider', 'credential_type', 'credentials'].map(missing),
    );
    for (const method of ['PUT', 'PATCH'])
      expect(await detailOf(await send(server, method, one, {}))).toEqual(
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
  ])('%s: %j', async (key, value, msg, type) => {
    const { server, one } = await start();
    const expected = [{ loc: ['body', key], msg, type }];
    expect(await detailOf(await send(server, 'POST', ALL, { ...CREATE, [key]: value }))).toEqual(expected);
    if (key === 'provider' || (key === 'name' && value === null)) return;
    for (const method of ['PUT', 'PATCH'])
      expect(await detailOf(await send(server, method, one, { ...UPDATE, [key]: value }))).toEqual(expected);
  });

  test.each(['nonesuch', 'sftp ', '../sftp', 'сfтp'])('provider: %j', async (provider) => {
    const { server } = await start();
    const path = `${ALL}/provider/${encodeURIComponent(provider)}`;
    for (const [place, answer] of [
      ['body', await send(server, 'POST', ALL, { ...CREATE, provider })],
      ['path', await server.request(path)],
    ] as const) {
      const detail = await detailOf(answer);
      expect(detail).toMatchObject([{ loc: [place, 'provider'], type: 'enum' }]);
      expect(detail[0]?.msg).toMatch(
        /^Input should be 'microsoft', 'sharepoint', 'sftp', .*another provider of the catalog$/,
      );
    }
  });

  test.each(['[]', 'null', '7', '"text"', 'true'])('a body that is %s', async (body) => {
    const { server, one } = await start();
    const msg = 'Input should be a valid dictionary or object to extract fields from';
    const expected = [{ loc: ['body'], msg, type: 'model_attributes_type' }];
    expect(await detailOf(await send(server, 'POST', ALL, body))).toEqual(expected);
    expect(await detailOf(await send(server, 'PUT', one, body))).toEqual(expected);
  });

  test.each([
    '{',
    '{"name":',
    'name=x',
    '{"name":"a","name":"b"}',
    '{"credentials":{"__proto__":"x"}}',
    '['.repeat(500),
  ])('a body that nobody can read: %s', async (body) => {
    const { server, one } = await start();
    const expected = [{ loc: ['body'], msg: 'JSON decode error', type: 'json_invalid' }];
    expect(await detailOf(await send(server, 'POST', ALL, body))).toEqual(expected);
    expect(await detailOf(await send(server, 'PATCH', one, body))).toEqual(expected);
  });

  test.each([
    ['nothing', {}],
    ['JSON', { 'content-type': 'application/json' }],
    ['JSON in UTF-8', { 'content-type': 'application/json; charset=utf-8' }],
  ])('no body at all, and %s said of its type', async (_, said) => {
    const { server, one } = await start();
    const of_update = ['credential_type', 'credentials'];
    for (const [method, path, keys] of [
      ['POST', ALL, ['name', 'provider', ...of_update]],
      ['PUT', one, of_update],
      ['PATCH', one, of_update],
    ] as const) {
      const headers = { 'x-api-key': await server.key(), ...said };
      const answer = await fetch(server.url + path, { method, headers });
      expect(await detailOf(answer)).toEqual(keys.map(missing));
    }
  });

  test.each([
    'x',
    'null',
    '1',
    `${UNKNOWN_ID}0`,
    '..%2f..%2fetc',
    '%00',
    UNKNOWN_ID.replaceAll('-', ''),
    '🔑',
  ])('an id that is no UUID: %s', async (id) => {
    const { server } = await start();
    const expected = [
      { loc: ['path', 'credential_id'], msg: 'Input should be a valid UUID', type: 'uuid_parsing' },
    ];
    const path = `${ALL}/${id}`;
    expect(await detailOf(await server.request(path))).toEqual(expected);
    expect(await detailOf(await server.request(path, { method: 'DELETE' }))).toEqual(expected);
    expect(await detailOf(await send(server, 'PUT', path, UPDATE))).toEqual(expected);
    expect(await detailOf(await server.request(`${path}/credentials`))).toEqual(expected);
  });
});

describe('connection tests', () => {
  const sftp = { host: 'h', username: 'u', auth_type: 'password', password: 'p' };
  const postgres = { host: 'h', port: '5432', username: 'u', password: 'p', database: 'd' };

  test('are said not to be there yet, when they are asked for as they should be', async () => {
    const { server, one } = await start();
    const id = one.split('/').at(-1);
    const asked = [
      ['/integrations/sftp/test-connection', sftp],
      [
        '/integrations/sftp/test-connection',
        { ...sftp, port: '2222', auth_type: 'key_file', password: null },
      ],
      ['/api/integrations/postgres/test-connection', postgres],
      [`/integrations/postgres/test-connection/${id}`, undefined],
    ] as const;
    for (const [path, body] of asked) {
      const answer = await server.request(path, {
        method: 'POST',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      expect(await errorOf(answer)).toEqual([501, 'not_implemented']);
    }
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
  ] as const)('%s: %j', async (which, body, [key, msg, type]) => {
    const { server } = await start();
    const answer = await send(server, 'POST', `/integrations/${which}/test-connection`, body);
    expect(await detailOf(answer)).toEqual([{ loc: ['body', key], msg, type }]);
  });
});

describe('bad input', () => {
  const canary = 'canary-VALUE-that-must-not-come-back';
  const deep = JSON.parse(`${'['.repeat(40)}"${canary}"${']'.repeat(40)}`);
  const bad: readonly (readonly [string, unknown])[] = [
    ['a value over 64 KiB', { credentials: { password: canary.padEnd(VALUE_MAX_BYTES + 1, 'x') } }],
    [
      'too many fields',
      { credentials: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`f${at}`, canary])) },
    ],
    ['a field whose name is too long', { credentials: { [canary.padEnd(65, 'x')]: canary } }],
    ['a field whose name is a path', { credentials: { [`../${canary}`]: canary } }],
    ['a field without a name', { credentials: { '': canary } }],
    ['a value that is nested too deep', { credentials: { password: deep } }],
    ['half a surrogate pair', { credentials: { password: `${canary}\ud800` } }],
    ['a sealed value that does not open', { credentials: { password: `sealed:${canary}` } }],
    ['a name with a line break', { name: `${canary}\n` }],
    ['a name that is too long', { name: canary.repeat(10) }],
    ['a name that is a list', { name: [canary] }],
    ['a type that there is not', { credential_type: canary }],
    ['credentials that are a text', { credentials: canary }],
    ['credentials that are a list', { credentials: [canary, { a: canary }] }],
  ];

  test.each(bad)('changes nothing and is not repeated: %s', async (_, change) => {
    const { server, one } = await start();
    const before = await readCredentialRows(server.home);
    const answers = [
      await send(server, 'POST', ALL, { ...CREATE, name: 'New', ...Object(change) }),
      await send(server, 'PUT', one, { ...UPDATE, ...Object(change) }),
      await send(server, 'PATCH', one, { ...UPDATE, ...Object(change) }),
    ];
    for (const answer of answers) {
      expect([400, 422]).toContain(answer.status);
      const text = await answer.text();
      expect(text).not.toContain('canary');
      expect(JSON.parse(text)).toEqual(expect.anything());
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
    expect(JSON.stringify(server.log)).not.toContain('canary');
  });

  test('a number that has lost digits on the way is refused in words, not stored as another one', async () => {
    const { server } = await start();
    const body = JSON.stringify({ ...CREATE, name: 'New' }).replace('"p"', '"p","pin":12345678901234567890');
    const answer = await send(server, 'POST', ALL, body);
    expect([answer.status, await answer.json()]).toMatchObject([
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

  test('keys of a body that are not known are let by, as they are there', async () => {
    const { server } = await start();
    const body = { ...CREATE, name: 'More', id: UNKNOWN_ID, user_id: UNKNOWN_ID, workspace: 'x' };
    const answer = await send(server, 'POST', ALL, body);
    expect(answer.status).toBe(201);
    expect(await answer.text()).not.toContain(UNKNOWN_ID);
  });
});
