/** MCP over HTTP without an MCP client: rejected requests, and error messages that never quote the request. */
import { Agent, request as httpRequest } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startMcpServer } from './http_server.ts';

const CANARY = 'kh-canary-5f0e9b77';
const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const ACCEPT = { accept: 'application/json, text/event-stream' };

/** A request of revision 2026-07-28. */
const modern = (method: string, params: Record<string, unknown> = {}) => ({
  body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: ENVELOPE } },
  headers: {
    ...ACCEPT,
    'MCP-Protocol-Version': '2026-07-28',
    'Mcp-Method': method,
    ...(typeof params.name === 'string' ? { 'Mcp-Name': params.name } : {}),
  },
});
/** A request of a revision with a handshake, which this server does not need. */
const legacy = (method: string, params: Record<string, unknown> = {}) => ({
  body: { jsonrpc: '2.0', id: 1, method, params },
  headers: { ...ACCEPT, 'MCP-Protocol-Version': '2025-11-25' },
});
/** A request of the revision that had batches, and one that names none. */
const oldLegacy = (method: string, params: Record<string, unknown> = {}) => ({
  ...legacy(method, params),
  headers: { ...ACCEPT, 'MCP-Protocol-Version': '2025-03-26' },
});
const unversioned = (method: string, params: Record<string, unknown> = {}) => ({
  ...legacy(method, params),
  headers: ACCEPT,
});
type Sent = { readonly body: unknown; readonly headers: Readonly<Record<string, string>> };
type Server = Awaited<ReturnType<typeof startMcpServer>>;

const post = (server: Server, { body, headers }: Sent) =>
  server.request('/mcp', {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** The message in a response, which is JSON or an event stream. */
async function messageIn(
  response: Response,
): Promise<{ error?: { code: number; message: string; data?: unknown } }> {
  const text = await response.text();
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
}

/** Without fetch, which does not allow setting Host and manages connections itself. */
function send(
  server: Server,
  key: string,
  { body, headers }: Sent,
  agent?: Agent,
): Promise<{ readonly status: number | undefined; readonly text: string }> {
  const all = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(server.mcp_url, { method: 'POST', headers: all, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('end', () => resolve({ status: response.statusCode, text })).once('error', reject);
    });
    sent.once('error', reject).end(JSON.stringify(body));
  });
}

describe('authentication', () => {
  test('a request without a key is 401 in JSON-RPC, even from this machine', async () => {
    const server = await startMcpServer();
    const { body, headers } = modern('tools/list');
    for (const authorization of ['', 'Bearer', `Bearer ${CANARY}`, `Basic ${CANARY}`]) {
      const response = await post(server, { body, headers: { ...headers, authorization } });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      const text = await response.text();
      expect(JSON.parse(text)).toMatchObject({
        jsonrpc: '2.0',
        id: null,
        error: { code: -32000, message: expect.stringContaining('key'), data: { code: 'UNAUTHENTICATED' } },
      });
      expect(text).not.toContain(CANARY);
    }
  });

  test.each([
    ['Host', { host: 'evil.example' }],
    ['Host with our port', { host: 'rebind.evil.example:8787' }],
    ['Origin', { origin: 'https://evil.example' }],
    ['Origin null', { origin: 'null' }],
    ['Origin of another port', { origin: 'http://127.0.0.1:1' }],
  ])('a cross-site request is rejected: %s', async (_what, headers) => {
    const { body, headers: usual } = modern('tools/list');
    const server = await startMcpServer();
    const sent = { body, headers: { ...usual, ...headers } };
    const { status, text } = await send(server, await server.key(), sent);
    expect(status).toBe(403);
    expect(JSON.parse(text)).toMatchObject({ jsonrpc: '2.0', error: { data: { code: 'FORBIDDEN' } } });
    expect(text).not.toContain('evil');
  });

  test('a same-origin request is accepted', async () => {
    const server = await startMcpServer();
    const { body, headers } = modern('tools/list');
    const sent = { body, headers: { ...headers, origin: server.url } };
    expect(await send(server, await server.key(), sent)).toMatchObject({ status: 200 });
  });

  test('a request past the rate limit is 429 in JSON-RPC with Retry-After', async () => {
    const limits = { requests_per_minute: 1, auth_failures_per_minute: 0 };
    const server = await startMcpServer({ settings: { limits } });
    expect((await post(server, modern('tools/list'))).status).toBe(200);
    const refused = await post(server, modern('tools/list'));
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ jsonrpc: '2.0', error: { data: { code: 'RATE_LIMITED' } } });
  });
});

describe('requests', () => {
  test.each(['GET', 'DELETE', 'PUT'])('%s is 405', async (method) => {
    const server = await startMcpServer();
    const response = await server.request('/mcp', { method, headers: ACCEPT });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await response.json()).toMatchObject({ jsonrpc: '2.0', error: { code: expect.any(Number) } });
  });

  test('each era works without a handshake and without a session', async () => {
    const server = await startMcpServer();
    for (const sent of [modern('tools/list'), legacy('tools/list')]) {
      const response = await post(server, sent);
      expect(response.status).toBe(200);
      expect(response.headers.get('mcp-session-id')).toBeNull();
      expect(await messageIn(response)).toMatchObject({ id: 1, result: { tools: expect.any(Array) } });
    }
  });

  test('an unsupported revision is rejected with the list of supported ones', async () => {
    const server = await startMcpServer();
    const { body, headers } = modern('tools/list');
    const params = { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': '2031-01-01' } };
    const response = await post(server, {
      body: { ...body, params },
      headers: { ...headers, 'MCP-Protocol-Version': '2031-01-01' },
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      id: 1,
      error: { code: -32022, data: { supported: ['2026-07-28'], requested: '2031-01-01' } },
    });
  });

  const ERAS = {
    '2026-07-28': modern,
    '2025-11-25': legacy,
    '2025-03-26': oldLegacy,
    'no revision': unversioned,
  };
  const JSON_ONLY = [
    'application/json',
    'Application/JSON',
    'application/json;q=0.5',
    'application/json, text/event-stream;q=0',
    'application/*',
    '*/*',
    '*/*;q=0.1',
    '',
  ];
  const STREAM_ONLY = ['text/event-stream', 'TEXT/Event-Stream', 'text/*', '*/*, application/json;q=0'];
  const BOTH = [
    'application/json, text/event-stream',
    'text/event-stream,application/json',
    'Application/Json;q=1, Text/Event-Stream;q=0.9',
    'application/json;charset=utf-8, text/event-stream, */*;q=0.01',
  ];
  const accepts = [
    ...JSON_ONLY.map((accept) => [accept, /^application\/json/] as const),
    ...STREAM_ONLY.map((accept) => [accept, /^text\/event-stream/] as const),
    ...BOTH.map((accept) => [accept, /^(?:application\/json|text\/event-stream)/] as const),
  ];
  describe.each(Object.entries(ERAS))('a request of revision %s', (_era, request) => {
    test.each(accepts)('gets a response in a type that Accept allows: %j', async (accept, type) => {
      const server = await startMcpServer();
      const { body, headers } = request('tools/list');
      const response = await post(server, { body, headers: { ...headers, accept } });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch(type);
      expect(await messageIn(response)).toMatchObject({ id: 1, result: { tools: expect.any(Array) } });
    });

    test('works without the header Accept', async () => {
      const server = await startMcpServer();
      const { body, headers } = request('tools/list');
      const { accept: _, ...others } = headers;
      const { status, text } = await send(server, await server.key(), { body, headers: others });
      expect(status).toBe(200);
      expect(JSON.parse(text)).toMatchObject({ id: 1, result: { tools: expect.any(Array) } });
    });

    test.each(['text/html', 'application/xml, text/html;q=0.9', '*/*;q=0', 'application/json;q=0.0', CANARY])(
      'is 406 with its id if Accept allows neither JSON nor event streams: %j',
      async (accept) => {
        const server = await startMcpServer();
        const { body, headers } = request('tools/list');
        const response = await post(server, { body, headers: { ...headers, accept } });
        expect(response.status).toBe(406);
        expect(await response.json()).toMatchObject({ id: 1, error: { code: -32_000 } });
      },
    );

    test('is -32600 with its id if it has no version of JSON-RPC or no method', async () => {
      const server = await startMcpServer();
      const { body, headers } = request('ping');
      const { jsonrpc: _, ...without_version } = body;
      const { method: __, ...without_method } = body;
      for (const malformed of [
        without_version,
        without_method,
        { ...body, jsonrpc: '1.0' },
        { ...body, method: 7 },
      ]) {
        const response = await post(server, { body: malformed, headers });
        expect(response.status).toBe(400);
        expect(await response.json()).toMatchObject({ id: 1, error: { code: -32_600 } });
      }
    });

    test('may begin with a byte order mark', async () => {
      const server = await startMcpServer();
      const { body, headers } = request('tools/list');
      const response = await post(server, { body: `\uFEFF${JSON.stringify(body)}`, headers });
      expect(await messageIn(response)).toMatchObject({ id: 1, result: { tools: expect.any(Array) } });
    });
  });

  const { body, headers } = modern('tools/call', { name: 'list_services', arguments: {} });
  const refused: Readonly<Record<string, readonly [number, Sent]>> = {
    'a name in the header but not in the body': [400, { body, headers: { ...headers, 'Mcp-Name': CANARY } }],
    'a name in the body but not in the header': [
      400,
      { body: { ...body, params: { ...body.params, name: CANARY } }, headers },
    ],
    'no Mcp-Name': [
      400,
      { body: { ...body, params: { ...body.params, name: CANARY } }, headers: modern('tools/call').headers },
    ],
    'a method in the header but not in the body': [
      400,
      { body, headers: { ...headers, 'Mcp-Method': CANARY } },
    ],
    'an unknown method': [404, modern(CANARY)],
    'an invalid revision in the header': [
      400,
      { ...legacy(CANARY), headers: { ...ACCEPT, 'MCP-Protocol-Version': CANARY } },
    ],
    'an invalid revision in the body': [
      400,
      {
        body: {
          ...body,
          params: { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': CANARY } },
        },
        headers: { ...headers, 'MCP-Protocol-Version': CANARY },
      },
    ],
    'no capabilities': [
      400,
      {
        body: {
          ...body,
          params: { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/clientCapabilities': CANARY } },
        },
        headers,
      },
    ],
    'malformed JSON': [400, { body: `{"${CANARY}`, headers }],
    'an empty body': [400, { body: '', headers }],
    'JSON that is not JSON-RPC': [400, { body: { [CANARY]: CANARY }, headers }],
    'only text': [400, { body: JSON.stringify(CANARY), headers }],
    'the same name twice': [400, { body: `{"jsonrpc":"2.0","id":1,"${CANARY}":1,"${CANARY}":2}`, headers }],
    'a batch of messages': [400, { body: [legacy('ping').body, legacy(CANARY).body], headers: ACCEPT }],
    'an unacceptable media type of the response': [
      406,
      { ...legacy('tools/list'), headers: { accept: CANARY } },
    ],
    'another media type of the body': [
      415,
      { body, headers: { ...headers, 'content-type': `text/${CANARY}` } },
    ],
    'a body that is too large': [413, { body: { ...body, [CANARY]: 'x'.repeat(1_100_000) }, headers }],
  };
  const UNPARSED = new Set(['malformed JSON', 'an empty body', 'the same name twice']);
  test.each(Object.entries(refused))(
    'a request with %s is rejected without quoting it',
    async (what, [status, sent]) => {
      const server = await startMcpServer();
      const response = await post(server, sent);
      const text = await response.text();
      expect(response.status, text).toBe(status);
      const code = UNPARSED.has(what) ? -32_700 : expect.any(Number);
      expect(JSON.parse(text)).toMatchObject({
        jsonrpc: '2.0',
        error: { code, message: expect.stringMatching(/^[A-Z].+[.]$/) },
      });
      expect(text).not.toContain(CANARY);
      expect(JSON.stringify([...response.headers])).not.toContain(CANARY);
      expect(JSON.stringify(server.log)).not.toContain(CANARY);
    },
  );

  test.each([
    ['of an unknown method', legacy(CANARY)],
    [
      'with arguments that are not an object',
      legacy('tools/call', { name: 'list_services', arguments: CANARY }),
    ],
    [
      'with arguments that are not an object, without a session',
      modern('tools/call', { name: 'list_services', arguments: CANARY }),
    ],
    ['of an unknown tool', modern('tools/call', { name: CANARY })],
    ['with an unknown argument', modern('tools/call', { name: 'list_services', arguments: { [CANARY]: 1 } })],
  ])('a call %s fails without quoting it', async (_what, sent) => {
    const server = await startMcpServer();
    const response = await post(server, sent);
    const text = await response.text();
    expect(text).toMatch(/"error":|"isError":true/);
    expect(text).not.toContain(CANARY);
    expect(JSON.stringify(server.log)).not.toContain(CANARY);
  });
});

describe('the server', () => {
  test('a subscription ends at once, because the tools never change', async () => {
    const server = await startMcpServer();
    const waiting = { notifications: { toolsListChanged: true } };
    const response = await post(server, modern('subscriptions/listen', waiting));
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('"id":1,"result"');
  });

  test.each([
    ['modern', modern('tools/call', { name: 'list_services', arguments: {} })],
    ['legacy', legacy('tools/call', { name: 'list_services', arguments: {} })],
  ])('a server that stops finishes a call in flight: %s', async (_era, sent) => {
    const server = await startMcpServer();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    // Over the same connection, so that the next request does not wait to be accepted.
    const key = await server.key();
    await send(server, key, sent, agent);
    const response = send(server, key, sent, agent);
    await server.close();
    expect(await response).toMatchObject({
      status: 200,
      text: expect.stringContaining('"structuredContent"'),
    });
  });

  test('without an issuer the OAuth metadata is 404, so that clients use their API key', async () => {
    const server = await startMcpServer();
    for (const path of [
      'oauth-protected-resource',
      'oauth-protected-resource/mcp',
      'oauth-authorization-server',
      'oauth-authorization-server/mcp',
      'openid-configuration',
    ]) {
      const response = await fetch(`${server.url}/.well-known/${path}`);
      expect(response.status, path).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
    }
  });

  test('a request without a key is rejected before its body arrives', async () => {
    const server = await startMcpServer();
    const { hostname, port } = new URL(server.url);
    const request = httpRequest({ hostname, port, method: 'POST', path: '/.well-known/x' });
    request.setHeader('content-type', 'application/json').setHeader('content-length', 1_000_000);
    const status = await new Promise((resolve, reject) => {
      request.once('response', (response) => resolve(response.statusCode)).once('error', reject);
      request.write('{');
    });
    request.destroy();
    expect(status).toBe(404);
  });

  test('calls over HTTP are audited with the edge mcp and the key', async () => {
    const server = await startMcpServer();
    const input = { service_id: 'linear', credential_type: 'api_key', credential_value: CANARY };
    const response = await post(server, modern('tools/call', { name: 'store_credential', arguments: input }));
    expect(await response.text()).toContain('"success":true');
    const { entries } = await server.vault.listAudit(server.caller(), { action: 'store' });
    expect(entries[0]).toMatchObject({ edge: 'mcp', request_id: response.headers.get('x-request-id') });
  });
});
