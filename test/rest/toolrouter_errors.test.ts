/** Errors of the ToolRouter dialect: the documented messages, without any input. */
import { describe, expect, test } from 'vitest';
import { damageRecords, readCredentialRows } from '../kit/vault/database.ts';
import { createStack, startV1, type V1Server } from './v1_server.ts';

/** A request below a stack; `path` follows the stack id. */
interface StackRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

const UNKNOWN_STACK = 'stack_123e4567-e89b-12d3-a456-426614174000';
const CREDENTIALS = { linear_api_key: 'lin_api_abc123' };

/** The requests as arguments of a test, with method and path first for its title. */
function withTitleParts<R extends StackRequest>(requests: readonly R[]) {
  return requests.map((request) => [request.method, request.path, request] as const);
}

function detailBody(text: string): string {
  return JSON.stringify({ detail: text });
}

/** Damages every credential, as a failing disk does. */
function damageCredentials({ home }: V1Server): Promise<void> {
  return damageRecords(home, ({ kind }) => kind === 'credential');
}

describe('401 Unauthorized', () => {
  const requests = ['GET /v1/stacks', 'GET /v1/servers', 'PUT /v1/stacks/x/servers/gmail/credentials'];

  test.each(requests)('%s returns 401 without a valid API key', async (request) => {
    const server = await startV1();
    const [method = '', path = ''] = request.split(' ');
    const revoked = await server.vault.api_keys.create(server.caller(), {});
    await server.vault.api_keys.revoke(server.caller(), revoked.id);
    const sent: Record<string, string>[] = [
      {},
      { authorization: 'Bearer nope' },
      { authorization: 'Bearer' },
      { authorization: `Bearer ${revoked.key}` },
      { 'danube-api-key': `${revoked.key.slice(0, -1)}A` },
      { 'x-api-key': "' OR 1=1 --" },
    ];
    for (const headers of sent) {
      const body = method === 'PUT' ? { body: JSON.stringify({ credentials: CREDENTIALS }) } : {};
      const response = await fetch(server.url + path, { method, headers, ...body });
      expect([response.status, await response.text()]).toEqual([401, detailBody('Unauthorized')]);
    }
  });
});

describe('400 Invalid credential format', () => {
  test('PUT credentials returns 400 for every invalid body and changes nothing', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, ['gmail', 'linear']);
    const path = `/v1/stacks/${stack_id}/servers/linear/credentials`;
    await server.get(`PUT ${path}`, { body: { credentials: CREDENTIALS } });
    const before = await readCredentialRows(server.home);
    const invalid_bodies: unknown[] = [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      '7',
      '{"credentials":{"linear_api_key":"a"},"credentials":{"linear_api_key":"b"}}',
      '{"credentials":{"__proto__":"v"}}',
      '{"credentials":{"__proto__":{"linear_api_key":"v"}}}',
      `${'['.repeat(100)}${']'.repeat(100)}`,
      {},
      { credentials: null },
      { credentials: [] },
      { credentials: 'lin_api_abc123' },
      { credentials: {} },
      { credentials: { constructor: 'v' } },
      { credentials: { no_such_field: 'v' } },
      { credentials: { LINEAR_API_KEY: 'v' } },
      { credentials: { ...CREDENTIALS, gmail_oauth_token: 'v' } },
      { credentials: { linear_api_key: null } },
      { credentials: { linear_api_key: 7 } },
      { credentials: { linear_api_key: ['v'] } },
      { credentials: { linear_api_key: { v: 'v' } } },
      { credentials: { linear_api_key: '' } },
      { credentials: { linear_api_key: '  ' } },
      { credentials: { linear_api_key: 'with blank' } },
      { credentials: { linear_api_key: 'x'.repeat(65_537) } },
      { credentials: { linear_api_key: '🔑'.repeat(16_385) } },
      { credentials: { linear_api_key: 'sealed:AAAA' } },
      { credentials: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`f${at}`, 'v'])) },
    ];
    for (const body of invalid_bodies) {
      const response = await server.send(`PUT ${path}`, { body });
      expect([body, response.status, response.text]).toEqual([
        body,
        400,
        detailBody('Invalid credential format'),
      ]);
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test.each([
    ['{', 'The body cannot be read. Not JSON.'],
    ['{"stack_name":"a","stack_name":"b"}', 'The body cannot be read. An object has the same name twice.'],
    ['[]', 'Invalid input: the arguments must be an object.'],
  ])('the message for the body %s of another route is not about credentials', async (body, detail) => {
    const server = await startV1();
    const stack_id = await createStack(server, ['linear']);
    for (const route of ['POST /v1/stacks', `PUT /v1/stacks/${stack_id}`]) {
      const response = await server.send(route, { body });
      expect([response.status, response.text]).toEqual([400, detailBody(detail)]);
    }
  });

  test('PUT credentials returns 400 for an unpaired surrogate and for a missing body', async () => {
    const server = await startV1();
    const path = `/v1/stacks/${await createStack(server, ['linear'])}/servers/linear/credentials`;
    const unpaired = await server.send(`PUT ${path}`, {
      body: '{"credentials":{"linear_api_key":"\\ud800"}}',
    });
    const empty = await server.send(`PUT ${path}`);
    for (const { status, text } of [unpaired, empty])
      expect([status, text]).toEqual([400, detailBody('Invalid credential format')]);
  });
});

describe('404 Stack not found and Server not found', () => {
  const requests: readonly StackRequest[] = [
    { method: 'GET', path: '/servers/linear/credentials' },
    { method: 'PUT', path: '/servers/linear/credentials', body: { credentials: CREDENTIALS } },
    { method: 'POST', path: '/servers', body: { server_id: 'linear' } },
    { method: 'DELETE', path: '/servers/linear' },
    { method: 'PUT', path: '/servers/linear/tools', body: { enabled_tools: [] } },
    { method: 'PUT', path: '', body: { stack_name: 'n' } },
    { method: 'GET', path: '' },
    { method: 'DELETE', path: '' },
  ];
  const UNKNOWN_IDS = [
    UNKNOWN_STACK,
    'no-such-stack',
    'Default',
    '__proto__',
    'constructor',
    '..%2F..%2Fetc%2Fpasswd',
    '%2e%2e%2f%2e%2e',
    '%00',
    '%E2%80%AE',
    "'%20OR%201=1--",
    'x'.repeat(300),
    '%F0%9F%94%91',
    '%ff',
  ];

  test.each(withTitleParts(requests))(
    '%s /v1/stacks/{stack_id}%s returns 404 if the stack is unknown',
    async (method, path, { body }) => {
      const server = await startV1();
      for (const id of UNKNOWN_IDS) {
        for (const rest of [path, path.replace('linear', 'no_such_server')]) {
          const response = await server.send(`${method} /v1/stacks/${id}${rest}`, body && { body });
          expect([id, response.status, response.text]).toEqual([id, 404, detailBody('Stack not found')]);
        }
      }
    },
  );

  test.each(withTitleParts(requests.filter(({ path }) => path.includes('linear'))))(
    '%s /v1/stacks/{stack_id}%s returns 404 if the server is not in the stack',
    async (method, path, { body }) => {
      const server = await startV1();
      const stack_id = await createStack(server, ['gmail']);
      const send = (id: string) =>
        server.send(`${method} /v1/stacks/${stack_id}${path.replace('linear', id)}`, body && { body });
      const cases: readonly (readonly [id: string, message: string])[] = [
        ['linear', 'Server linear not found'],
        ['LINEAR', 'Server linear not found'],
        ['svc_openai_001', 'Server openai not found'],
        ['no_such_server', 'Server not found'],
        ['__proto__', 'Server not found'],
        ['x'.repeat(300), 'Server not found'],
        ['a%20b', 'Server not found'],
        ['..%2F..%2Fpasswd', 'Server not found'],
        ['%3Cscript%3E', 'Server not found'],
        ["'%20OR%201=1--", 'Server not found'],
        ['%F0%9F%94%91', 'Server not found'],
      ];
      for (const [id, message] of cases) {
        const response = await send(id);
        expect([id, response.status, response.text]).toEqual([id, 404, detailBody(message)]);
      }
    },
  );

  test('POST servers returns 404 for an unknown server', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    const add = (server_id: string) =>
      server.send(`POST /v1/stacks/${stack_id}/servers`, { body: { server_id } });
    expect(await add('nope')).toMatchObject({ status: 404, text: detailBody('Server not found') });
    expect(await add('a b')).toMatchObject({ status: 404, text: detailBody('Server not found') });
  });

  test('a write that returns 404 is in the audit log as denied', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    await server.send(`PUT /v1/stacks/${stack_id}/servers/linear/credentials`, {
      body: { credentials: CREDENTIALS },
    });
    const { entries } = await server.vault.listAudit(server.caller(), { outcome: 'denied' });
    expect(entries).toMatchObject([
      { action: 'update', service_id: 'linear', stack_id, reason: 'not found', edge: 'rest' },
    ]);
  });
});

test('POST servers returns 400 if the server is already in the stack, also under an alias', async () => {
  const server = await startV1();
  const stack_id = await createStack(server, ['gmail', 'openai']);
  const add = (server_id: string) =>
    server.send(`POST /v1/stacks/${stack_id}/servers`, { body: { server_id } });
  expect(await add('gmail')).toMatchObject({
    status: 400,
    text: detailBody('Server gmail already exists in stack'),
  });
  expect(await add('svc_openai_001')).toMatchObject({
    status: 400,
    text: detailBody('Server openai already exists in stack'),
  });
});

test.each([
  ['POST /v1/stacks', {}, 'Stack name is required'],
  ['POST /v1/stacks', { stack_name: null }, 'Stack name is required'],
  ['POST /v1/stacks', { stack_name: '' }, 'Stack name is required'],
  ['POST /v1/stacks', { stack_name: 7 }, 'Stack name is required'],
  [
    'POST /v1/stacks',
    { stack_name: '\u0007' },
    'Invalid input: stack_name must not hold control characters.',
  ],
  [
    'POST /v1/stacks',
    { stack_name: 'n', configuration: 7 },
    'Invalid input: configuration must be an object.',
  ],
  ['PUT /v1/stacks/default', { stack_name: 7 }, 'Invalid input: stack_name must be a string.'],
  ['POST /v1/stacks/default/servers', {}, 'Invalid input: server_id must be a string.'],
  [
    'POST /v1/stacks/default/servers',
    { server_id: 'linear', enabled_tools: 'all' },
    'Invalid input: enabled_tools must be an array.',
  ],
  ['PUT /v1/stacks/default/servers/x/tools', {}, 'Invalid input: enabled_tools must be an array.'],
  [
    'PUT /v1/stacks/default/servers/x/tools',
    { enabled_tools: [7] },
    'Invalid input: enabled_tools (one of its entries) must be a string.',
  ],
])('%s with the body %j returns 400 and changes nothing', async (request, body, message) => {
  const server = await startV1();
  const response = await server.send(request, { body });
  expect(response).toMatchObject({ status: 400, text: detailBody(message) });
  expect(await server.get('GET /v1/stacks')).toMatchObject([{ stack_id: 'default', servers: [] }]);
});

test.each(['POST /v1/stacks', 'PUT /v1/stacks/default'])(
  '%s returns 400 if the stack name is longer than 255 characters',
  async (request) => {
    const server = await startV1();
    const response = await server.send(request, { body: { stack_name: 'x'.repeat(256) } });
    const message = 'Invalid input: stack_name must be at most 255 characters long.';
    expect([response.status, response.text]).toEqual([400, detailBody(message)]);
  },
);

describe('429 Too many requests', () => {
  test('a ToolRouter request over the rate limit returns 429 with the documented headers', async () => {
    const settings = { limits: { requests_per_minute: 2, auth_failures_per_minute: 0 } };
    const server = await startV1({ settings });
    const first = await server.send('GET /v1/stacks');
    expect([
      first.status,
      ...['limit', 'remaining'].map((one) => first.headers.get(`x-ratelimit-${one}`)),
    ]).toEqual([200, '2', '1']);
    await server.send('GET /v1/stacks');
    const third = await server.send('PUT /v1/stacks/default/servers/gmail/credentials', { body: {} });
    expect([third.status, third.text]).toEqual([429, detailBody('Too many requests')]);
    expect(third.headers.get('x-ratelimit-remaining')).toBe('0');
    expect(Number(third.headers.get('x-ratelimit-reset'))).toBeGreaterThan(0);
  });
});

describe('500 with the message of the route', () => {
  const failures: readonly (StackRequest & { readonly message: string })[] = [
    {
      method: 'PUT',
      path: '/servers/linear/credentials',
      body: { credentials: CREDENTIALS },
      message: 'Failed to update credentials',
    },
    { method: 'GET', path: '/servers/linear/credentials', message: 'Failed to get credentials status' },
  ];

  test.each(withTitleParts(failures))(
    '%s /v1/stacks/{stack_id}%s returns 500 and logs the cause if the credential is damaged',
    async (method, path, { message, body }) => {
      const server = await startV1();
      const stack_id = await createStack(server, ['linear']);
      const credentials = `/v1/stacks/${stack_id}/servers/linear/credentials`;
      await server.get(`PUT ${credentials}`, { body: { credentials: CREDENTIALS } });
      await damageCredentials(server);
      const response = await server.send(`${method} /v1/stacks/${stack_id}${path}`, body && { body });
      expect([response.status, response.text]).toEqual([500, detailBody(message)]);
      // The log has the cause under the request id of the response.
      const request_id = response.headers.get('x-request-id');
      const logged = server.log.find(
        ({ level, fields }) => level === 'error' && fields.request_id === request_id,
      );
      expect(JSON.stringify(logged)).toContain('CORRUPT');
    },
  );

  test('every route of a damaged stack returns 500 with its documented message', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    await damageRecords(server.home, ({ kind }) => kind === 'stack');
    const requests = [
      [`GET /v1/stacks/${stack_id}`, 'Failed to get stack'],
      [`PUT /v1/stacks/${stack_id}`, 'Failed to update stack'],
      [`POST /v1/stacks/${stack_id}/servers`, 'Failed to add server to stack'],
      [`PUT /v1/stacks/${stack_id}/servers/linear/tools`, 'Failed to update server tools'],
      [`DELETE /v1/stacks/${stack_id}/servers/linear`, 'Failed to remove server from stack'],
    ] as const;
    const body = { stack_name: 'n', server_id: 'linear', enabled_tools: [] };
    for (const [request, message] of requests) {
      const response = await server.send(request, /^(?:GET|DELETE)/.test(request) ? {} : { body });
      expect([request, response.status, response.text]).toEqual([request, 500, detailBody(message)]);
    }
  });

  test('a damaged stack is left out of the list and can be deleted, and others can be created', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    await damageRecords(server.home, ({ kind }) => kind === 'stack');
    const created = await server.send('POST /v1/stacks', { body: { stack_name: 'n' } });
    const list = await server.send('GET /v1/stacks', {});
    expect([created.status, list.status]).toEqual([200, 200]);
    expect(JSON.parse(list.text)).toMatchObject([{ stack_name: 'n' }, { stack_id: 'default' }]);
    expect((await server.send(`DELETE /v1/stacks/${stack_id}`, {})).status).toBe(200);
  });
});
