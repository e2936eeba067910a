/** The routes of ToolRouter and Danube that list, search and call tools, with clients like the vendors' own. */
import { describe, expect, test, vi } from 'vitest';
import { echo, respondJson } from '../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { ConfigurationRequiredError, DanubeClient, type Json, ToolRouterClient } from './tool_clients.ts';
import { createStack, startV1, type V1Server } from './v1_server.ts';

const TOKEN = 'canary-7hQ2xVbN4kLp9RtZ';

/** A server that finds the upstreams of the test. */
const start = () => startV1({ env: upstreamEnv(temporaryFolder()) });

async function storeToken(server: V1Server, stack_id = 'default'): Promise<void> {
  const body = { service_id: 'github', credential_type: 'bearer', credential_value: TOKEN, stack_id };
  await server.get('POST /v1/credentials/store', { body });
}

/** A stack with all tools of GitHub and a token. */
async function newStack(server: V1Server): Promise<string> {
  const stack_id = await createStack(server, []);
  const body = { server_id: 'github', enable_all_tools: true, enabled_tools: null };
  await server.get(`POST /v1/stacks/${stack_id}/servers`, { body });
  await storeToken(server, stack_id);
  return stack_id;
}

describe('ToolRouter', () => {
  test('its client lists the tools of a stack and calls one with the stored credential', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    const server = await start();
    const client = new ToolRouterClient(await newStack(server), await server.key(), `${server.url}/s`);
    const tools = await client.listTools();
    const names = tools.map((tool) => (tool.function as Json).name);
    expect(names).toContain('github__request');
    const result = (await client.callTool('github__request', { path: '/user' })) as Json;
    expect(result).toMatchObject({ status: 200, ok: true, redacted: 1 });
    expect(upstream.requests[0]).toMatchObject({
      path: '/user',
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(JSON.stringify(result)).not.toContain(TOKEN);
  });

  test.each([
    ['default', ['name', 'description', 'input_schema', 'server']],
    ['openai', ['type', 'function']],
    ['anthropic', ['name', 'description', 'input_schema']],
  ])('GET tools?schema=%s returns tools with %j', async (schema, properties) => {
    const server = await start();
    const stack_id = await newStack(server);
    const { tools } = await server.get<{ tools: Json[] }>(
      `GET /v1/stacks/${stack_id}/tools?schema=${schema}`,
    );
    expect(tools.map((tool) => Object.keys(tool))).toContainEqual(properties);
  });

  test('a tool is invoked by its name and by its UUID', async () => {
    const upstream = await startUpstream(['api.github.com'], respondJson({ login: 'ana' }));
    const server = await start();
    const path = `/v1/stacks/${await newStack(server)}/tools`;
    const [tool] = (await server.get<Json[]>('GET /v1/tools/search?query=github+request')) as [Json];
    for (const id of ['github__request', tool.id]) {
      const body = { tool_input: { path: '/user' } };
      const { result } = await server.get<{ result: Json }>(`POST ${path}/${id}/invoke`, { body });
      expect(result).toMatchObject({ status: 200, body: { login: 'ana' } });
    }
    expect(upstream.requests).toHaveLength(2);
  });

  test('a tool that is not enabled in the stack is not found', async () => {
    const server = await start();
    const stack_id = await createStack(server, ['github']);
    await storeToken(server, stack_id);
    const invoke = (id: string) =>
      server.send(`POST ${`/v1/stacks/${stack_id}/tools/${id}/invoke`}`, { body: {} });
    expect(await invoke('github__request')).toMatchObject({
      status: 404,
      text: '{"detail":"No such tool. List the tools to see their ids."}',
    });
    await server.get(`PUT /v1/stacks/${stack_id}/servers/github/tools`, {
      body: { enabled_tools: ['github__request'] },
    });
    expect(await invoke('github__request')).toMatchObject({
      status: 400,
      text: '{"detail":"The parameter path is missing."}',
    });
  });

  test('a server that only has credentials in the stack offers all its tools', async () => {
    const server = await start();
    await storeToken(server);
    const { tools } = await server.get<{ tools: Json[] }>('GET /v1/stacks/default/tools');
    expect(tools.map(({ name }) => name)).toContain('github__request');
  });

  test('the stack of another user is not found', async () => {
    const server = await start();
    const stack_id = await newStack(server);
    const key = await server.key({ user: 'ben' });
    for (const request of [
      `GET /v1/stacks/${stack_id}/tools`,
      `POST /v1/stacks/${stack_id}/tools/github__request/invoke`,
      `GET /s/${stack_id}/list_tools`,
    ])
      expect(await server.send(request, { key })).toMatchObject({
        status: 404,
        text: '{"detail":"Stack not found"}',
      });
  });

  test('a key may invoke tools 20 times a minute if it may make 60 requests', async () => {
    const server = await startV1({
      settings: { limits: { requests_per_minute: 60, auth_failures_per_minute: 0 } },
    });
    const stack_id = await createStack(server, []);
    const invoke = () => server.send(`POST /v1/stacks/${stack_id}/tools/none/invoke`, { body: {} });
    for (let call = 0; call < 20; call++) expect((await invoke()).status).toBe(404);
    const refused = await invoke();
    expect(refused).toMatchObject({ status: 429, text: '{"detail":"Too many requests"}' });
    const limit = ['x-ratelimit-limit', 'x-ratelimit-remaining'].map((name) => refused.headers.get(name));
    expect(limit).toEqual(['20', '0']);
    expect((await server.send('GET /v1/stacks')).status).toBe(200);
  });
});

describe('Danube', () => {
  async function newClient(server: V1Server): Promise<DanubeClient> {
    return new DanubeClient(await server.key(), server.url);
  }

  test('its client searches services and tools, and calls one with the stored credential', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    const server = await start();
    const client = await newClient(server);
    const [service] = (await client.searchServices('github')) as [Json];
    expect(service).toMatchObject({ name: 'GitHub', is_connected: false, visibility: 'public' });
    const id = String(service.id);
    await client.store(id, 'bearer', TOKEN);
    expect(await client.getService(id)).toMatchObject({ id, is_connected: true });
    const { tools, needs_configuration } = await client.listTools(id);
    expect(needs_configuration).toBe(false);
    const [tool] = (await client.searchTools('request', id)) as [Json];
    expect(tools.map((one) => one.id)).toContain(tool.id);
    expect(await client.getTool(String(tool.id))).toStrictEqual(tool);
    const outcome = await client.call(String(tool.id), { path: '/user' });
    expect(outcome).toMatchObject({ success: true, error: null, tool_name: 'github__request' });
    expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(JSON.stringify(outcome)).not.toContain(TOKEN);
  });

  test('a call of a service without a credential reports where to connect it', async () => {
    const server = await start();
    const client = await newClient(server);
    const [tool] = (await client.searchTools('github request')) as [Json];
    const call = client.call(String(tool.id), { path: '/user' });
    await expect(call).rejects.toBeInstanceOf(ConfigurationRequiredError);
    const response = await server.send(`POST /v1/tools/call/${tool.id}`, { body: { tool_input: {} } });
    expect([response.status, JSON.parse(response.text)]).toMatchObject([
      403,
      {
        status: 'error',
        error_type: 'auth_required',
        configuration_url: `${server.parts.public_url}/dashboard/tools/github`,
        service_name: 'GitHub',
      },
    ]);
  });

  test('a key that may only use credentials calls tools', async () => {
    await startUpstream(['api.github.com'], respondJson({ login: 'ana' }));
    const server = await start();
    const key = await server.key({ scopes: ['credentials:use'] });
    const call = { tool_id: 'github__request', tool_input: { path: '/user' } };
    const send = () => server.send(`POST /v1/tools/call/${call.tool_id}`, { key, body: call });
    expect(JSON.parse((await send()).text)).toMatchObject({ error_type: 'auth_required' });
    await storeToken(server);
    expect(JSON.parse((await send()).text)).toMatchObject({ success: true, result: { status: 200 } });
    expect(await server.get('POST /v1/tools/call/batch', { key, body: { calls: [call] } })).toMatchObject({
      results: [{ success: true, result: { body: { login: 'ana' } } }],
    });
  });

  test('a call in an unknown stack returns 404, and no request to connect the service', async () => {
    const server = await start();
    const stack_id = 'stack_123e4567-e89b-12d3-a456-426614174000';
    const body = { tool_input: { path: '/user' }, stack_id };
    expect(await server.send('POST /v1/tools/call/github__request', { body })).toMatchObject({
      status: 404,
      text: expect.stringContaining('"reason":"stack_missing"'),
    });
  });

  test('a batch of ten calls returns ten outcomes in order, and a failure does not stop the others', async () => {
    await startUpstream(['api.github.com'], (request, response) =>
      respondJson({ path: request.path }, request.path === '/3' ? 404 : 200)(request, response),
    );
    const server = await start();
    const client = await newClient(server);
    await storeToken(server);
    const [tool] = (await client.searchTools('github request')) as [Json];
    const calls = Array.from({ length: 10 }, (_, at) => ({
      tool_id: at === 5 ? 'unknown' : String(tool.id),
      tool_input: { path: `/${at}` },
    }));
    const { results } = await client.batch(calls);
    expect(results).toHaveLength(10);
    expect(results[0]).toMatchObject({ success: true, result: { body: { path: '/0' } } });
    expect(results[3]).toMatchObject({ success: false, error: 'The service responded with status 404.' });
    expect(results[5]).toMatchObject({
      success: false,
      result: null,
      error: expect.stringContaining('No such tool'),
    });
    expect(results[9]).toMatchObject({ success: true, result: { body: { path: '/9' } } });
  });

  test('each call of a batch counts as a request, and a batch past the rate limit calls nothing', async () => {
    const upstream = await startUpstream(['api.github.com'], respondJson({}));
    const server = await startV1({
      env: upstreamEnv(temporaryFolder()),
      settings: { limits: { requests_per_minute: 12, auth_failures_per_minute: 0 } },
    });
    await storeToken(server);
    const call = { tool_id: 'github__request', tool_input: { path: '/user' } };
    const send = (calls: number) =>
      server.send('POST /v1/tools/call/batch', { body: { calls: Array(calls).fill(call) } });
    expect((await send(10)).status).toBe(200);
    expect(await send(2)).toMatchObject({ status: 429, text: expect.stringContaining('RATE_LIMITED') });
    expect(upstream.requests).toHaveLength(10);
  });

  test('an internal error of one call in a batch is the error of that call, and is logged and counted', async () => {
    await startUpstream(['api.github.com'], respondJson({}));
    const server = await start();
    const client = await newClient(server);
    await storeToken(server);
    const [tool] = (await client.searchTools('github request')) as [Json];
    // No input of a client is known to cause one.
    vi.spyOn(server.parts.calls, 'call').mockRejectedValueOnce(new TypeError('canary of a library'));
    const call = { tool_id: String(tool.id), tool_input: { path: '/a' } };
    const { results } = await client.batch([call, call]);
    expect(results).toMatchObject([
      { success: false, result: null, error: expect.stringContaining('Something failed inside Keyhold') },
      { success: true },
    ]);
    expect(JSON.stringify(results)).not.toContain('canary');
    expect(server.log.filter(({ level }) => level === 'error')).toMatchObject([
      { message: 'tool call failed', fields: { code: 'INTERNAL', failure: [{ name: 'TypeError' }] } },
    ]);
    const operator = await server.key({ scopes: ['org:admin'] });
    const metrics = await (await server.request('/metrics', { key: operator })).text();
    expect(metrics).toContain('keyhold_errors_total{code="INTERNAL"} 1\n');
  });

  test('a successful call looks the credential up once', async () => {
    await startUpstream(['api.github.com'], respondJson({}));
    const server = await start();
    const client = await newClient(server);
    await storeToken(server);
    const [tool] = (await client.searchTools('github request')) as [Json];
    const find = vi.spyOn(server.vault.uses, 'find');
    await client.call(String(tool.id), { path: '/a' });
    expect(find).toHaveBeenCalledTimes(1);
  });

  test.each([
    ['no calls', []],
    ['eleven calls', Array.from({ length: 11 }, () => ({ tool_id: 'x', tool_input: {} }))],
  ])('a batch of %s is rejected', async (_title, calls) => {
    const server = await start();
    expect((await server.send('POST /v1/tools/call/batch', { body: { calls } })).status).toBe(400);
  });

  test('an older client sends parameters in place of tool_input', async () => {
    const upstream = await startUpstream(['api.github.com'], respondJson({}));
    const server = await start();
    await storeToken(server);
    const client = await newClient(server);
    const [tool] = (await client.searchTools('github request')) as [Json];
    await server.get(`POST /v1/tools/call/${tool.id}`, { body: { parameters: { path: '/user' } } });
    expect(upstream.requests[0]?.path).toBe('/user');
  });

  test('a key that is limited to other services finds neither the service nor its tools', async () => {
    const server = await start();
    const key = await server.key({ allowed_services: ['linear'] });
    const [tool] = (await server.get<Json[]>('GET /v1/tools/search?query=github+request')) as [Json];
    expect(await server.get('GET /v1/services/public?query=github', { key })).toEqual([]);
    expect(await server.get('GET /v1/tools/search?query=github+request', { key })).not.toContainEqual(tool);
    for (const path of ['services/public/github', 'services/github/tools', `tools/${tool.id}`])
      expect((await server.send(`GET /v1/${path}`, { key })).status).toBe(404);
    expect((await server.send(`POST /v1/tools/call/${tool.id}`, { key, body: {} })).status).toBe(404);
  });
});
