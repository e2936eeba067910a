/** The spans that `keyhold serve` and `keyhold mcp` export, as a collector receives them. */
import { describe, expect, test } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { type ServeProcess, startServeProcess } from '../../kit/http/http_server.ts';
import type { ReceivedSpan } from '../../kit/servers/otlp_messages.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../../kit/servers/otlp_receiver.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { RawServer, REVISIONS } from '../../mcp/raw_server.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT_ID = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;

/** Exports soon. */
const envFor = ({ url }: OtlpReceiver): NodeJS.ProcessEnv => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_BSP_SCHEDULE_DELAY: '50',
});

function send(server: ServeProcess, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${server.admin_key}`, 'content-type': 'application/json' };
  return fetch(`${server.url}${path}`, { ...init, headers: { ...headers, ...init.headers } });
}

const STORE = {
  method: 'PUT',
  body: JSON.stringify({ credentials: { github_token: 'ghp_0123456789' } }),
} as const;
const STORE_PATH = '/v1/stacks/default/servers/github/credentials';

/** From the span up to the first one of its trace. */
function ancestors(spans: readonly ReceivedSpan[], span: ReceivedSpan): string[] {
  const parent = spans.find(({ span_id }) => span_id === span.parent_id);
  return [span.name, ...(parent === undefined ? [] : ancestors(spans, parent))];
}

describe('the spans of keyhold serve', () => {
  test('a request has a server span with its route, and the vault and the store have spans within it', async () => {
    const receiver = await startOtlpReceiver();
    const server = await startServeProcess({ env: envFor(receiver) });
    await send(server, '/v1/stacks/default/servers', { method: 'POST', body: '{"server_id":"github"}' });
    expect((await send(server, STORE_PATH, STORE)).status).toBe(200);
    expect((await send(server, '/v1/stacks/unknown/servers/github/credentials', STORE)).status).toBe(404);
    await server.end();
    const spans = receiver.spans();
    const name = 'PUT /v1/stacks/:stack_id/servers/:server_id/credentials';
    const [stored, missing] = spans.filter((span) => span.name === name);
    expect(stored).toMatchObject({ kind: 'server', parent_id: '', is_error: false });
    expect(stored?.attributes).toStrictEqual({
      'http.request.method': 'PUT',
      'http.response.status_code': 200,
      'http.route': '/v1/stacks/:stack_id/servers/:server_id/credentials',
      'keyhold.area': 'toolrouter',
      'url.scheme': 'http',
    });
    // HTTP semantic conventions: only a status from 500 on marks a server span as failed.
    expect(missing?.attributes).toMatchObject({
      'keyhold.error_code': 'NOT_FOUND',
      'http.response.status_code': 404,
    });
    expect(missing?.is_error).toBe(false);
    const failed = spans.find(
      ({ name, trace_id }) => name === 'vault.update' && trace_id === missing?.trace_id,
    );
    expect(failed).toMatchObject({
      is_error: true,
      message: '',
      events: 0,
      attributes: { 'error.type': 'NOT_FOUND' },
    });
    const commit = spans.find((span) => span.name === 'commit' && span.trace_id === stored?.trace_id);
    expect(commit).toMatchObject({ kind: 'client', attributes: { 'db.system.name': 'sqlite' } });
    expect(commit && ancestors(spans, commit)).toStrictEqual(['commit', 'vault.update', name]);
    expect(commit?.ms).toBeGreaterThan(0);
    expect(stored?.ms).toBeGreaterThan(commit?.ms ?? Number.POSITIVE_INFINITY);
  });

  test('the resource names the service and its version, and the settings of the operator override it', async () => {
    const receiver = await startOtlpReceiver();
    const env = {
      ...envFor(receiver),
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=from-attributes',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-first=1,authorization=Bearer%20of-the-collector',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-first=2',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    };
    const server = await startServeProcess({ env: { ...env, OTEL_SERVICE_NAME: 'vault of the test' } });
    await send(server, '/v1/servers');
    const { resource } = await receiver.spanNamed('GET /v1/servers');
    expect(resource).toMatchObject({
      'service.name': 'vault of the test',
      'service.version': packageJson.version,
      'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'deployment.environment.name': 'test',
    });
    expect(Object.keys(resource).filter((name) => /^(?:host|os|process)\./.test(name))).toStrictEqual([]);
    expect(receiver.headers[0]).toMatchObject({
      'x-first': '2',
      authorization: 'Bearer of-the-collector',
      'content-type': 'application/x-protobuf',
      'content-encoding': 'gzip',
    });
    await server.end();
  });

  test('a request continues the trace of its client, and a malformed traceparent begins a new one', async () => {
    const receiver = await startOtlpReceiver();
    const server = await startServeProcess({ env: envFor(receiver) });
    const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=kh-state', baggage: 'user=kh-baggage' };
    await send(server, '/v1/servers', { headers });
    const continued = await receiver.spanNamed('GET /v1/servers');
    expect([continued.trace_id, continued.parent_id]).toStrictEqual([TRACE_ID, PARENT_ID]);
    // Free text of the client.
    expect(receiver.bytes().includes('kh-state') || receiver.bytes().includes('kh-baggage')).toBe(false);
    for (const traceparent of ['', 'kh-malformed', `00-${TRACE_ID}-${'0'.repeat(16)}-01`, `${TRACEPARENT}-x`])
      await send(server, '/v1/services', { headers: { traceparent } });
    await server.end();
    const others = receiver
      .spans()
      .filter(({ kind, name }) => kind === 'server' && name === 'GET /v1/services');
    expect(others).toHaveLength(4);
    expect(
      others.filter(({ parent_id, trace_id }) => parent_id !== '' || trace_id === TRACE_ID),
    ).toStrictEqual([]);
    expect(receiver.bytes().includes('kh-malformed')).toBe(false);
  });

  test('a trace that the client does not sample, and one that the sampler leaves out, are not exported', async () => {
    const receiver = await startOtlpReceiver();
    const server = await startServeProcess({ env: envFor(receiver) });
    await send(server, '/v1/servers', { headers: { traceparent: `00-${TRACE_ID}-${PARENT_ID}-00` } });
    await server.end();
    expect(receiver.spans().filter(({ trace_id }) => trace_id === TRACE_ID)).toStrictEqual([]);
    const before = receiver.spans().length;
    const sampled = await startServeProcess({
      env: { ...envFor(receiver), OTEL_TRACES_SAMPLER: 'always_off' },
    });
    await send(sampled, '/v1/servers', { headers: { traceparent: TRACEPARENT } });
    await sampled.end();
    expect(receiver.spans()).toHaveLength(before);
  });

  test('health checks, readiness checks and unknown paths put nothing of the client into a name', async () => {
    const receiver = await startOtlpReceiver();
    const server = await startServeProcess({ env: envFor(receiver) });
    await send(server, '/healthz');
    await send(server, '/readyz');
    await send(server, '/v1/unknown/kh-path?kh=kh-query');
    await server.end();
    const names = receiver.spans().map(({ name }) => name);
    expect(names).toContain('GET');
    expect(names.filter((name) => /health|ready/.test(name))).toStrictEqual([]);
    expect(/kh-path|kh-query/.test(receiver.bytes().toString('latin1'))).toBe(false);
  });

  test('a tool call over HTTP has the parent of its metadata, and a link to the HTTP request', async () => {
    const receiver = await startOtlpReceiver();
    const server = await startServeProcess({ env: envFor(receiver) });
    const call = (params: object) =>
      send(server, '/mcp', {
        method: 'POST',
        headers: { accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-11-25' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 'kh-request-id', method: 'tools/call', params }),
      });
    const name = 'get_credential_status';
    await call({ name, arguments: { service_id: 'github' } });
    await call({ name, arguments: { service_id: 'github' }, _meta: { traceparent: TRACEPARENT } });
    await server.end();
    const spans = receiver.spans();
    const [inner, outer] = spans.filter((span) => span.name === `tools/call ${name}`);
    const [first, second] = spans.filter((span) => span.name === 'POST /mcp');
    expect(inner).toMatchObject({ kind: 'server', parent_id: first?.span_id, links: [] });
    expect(inner?.attributes).toStrictEqual({
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': name,
      'network.transport': 'tcp',
    });
    expect(outer).toMatchObject({ trace_id: TRACE_ID, parent_id: PARENT_ID, links: [second?.span_id] });
    expect(receiver.bytes().includes('kh-request-id')).toBe(false);
  });
});

describe('the spans of keyhold mcp', () => {
  test.each(REVISIONS)('a tool call of revision %s has a span with the outcome', async (revision) => {
    const receiver = await startOtlpReceiver();
    const server = new RawServer(temporaryFolder(), revision, envFor(receiver));
    await server.open();
    await server.call('list_services', { query: 'github' });
    await server.call('delete_credential', { service_id: 'github' });
    await server.request('tools/call', { name: 'kh-no-tool', arguments: {} });
    const status = { name: 'get_credential_status', arguments: { service_id: 'github' } };
    const { _meta } = server.enveloped(status);
    const id = 7;
    const responded = server.responseTo(id);
    const params = { ...status, _meta: { ...Object(_meta), traceparent: TRACEPARENT } };
    await server.send({ jsonrpc: '2.0', id, method: 'tools/call', params });
    await responded;
    expect(await server.end()).toMatchObject({ code: 0 });
    server.messages();
    const spans = receiver.spans();
    const listed = spans.find(({ name }) => name === 'tools/call list_services');
    expect(listed).toMatchObject({ kind: 'server', parent_id: '', is_error: false });
    expect(listed?.attributes['network.transport']).toBe('pipe');
    const refused = spans.find(({ name }) => name === 'tools/call delete_credential');
    expect(refused).toMatchObject({ is_error: true, message: '' });
    expect(refused?.attributes).toMatchObject({
      'error.type': 'tool_error',
      'keyhold.error_code': 'NOT_FOUND',
    });
    const within = spans.filter(({ parent_id }) => parent_id === refused?.span_id);
    expect(within.map(({ name }) => name)).toStrictEqual(['vault.delete']);
    const continued = spans.find(({ name }) => name === 'tools/call get_credential_status');
    expect(continued).toMatchObject({ trace_id: TRACE_ID, parent_id: PARENT_ID, links: [] });
    expect(receiver.bytes().includes('kh-no-tool')).toBe(false);
  });

  test('a wrong setting is logged and the tools work', async () => {
    const receiver = await startOtlpReceiver();
    const env = { ...envFor(receiver), OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
    const server = new RawServer(temporaryFolder(), '2025-11-25', env);
    await server.open();
    expect((await server.call('list_services', { query: 'github' })).result?.isError).toBeUndefined();
    await server.end();
    expect(server.logLines().map(({ msg }) => msg)).toContain('no traces are exported');
    expect(receiver.headers).toStrictEqual([]);
  });
});
