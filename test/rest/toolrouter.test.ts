/** The ToolRouter dialect: the documented requests, and the stack routes. */
import { describe, expect, test } from 'vitest';
import { decryptStoredValues } from '../kit/vault/database.ts';
import { createStack, runExample, startV1, type V1Server } from './v1_server.ts';

/** As documented; the test replaces only the base URL, the key and the ids. */
const PUT_GMAIL = `curl -X PUT "https://api.toolrouter.ai/v1/stacks/stack_123e4567-e89b-12d3-a456-426614174000/servers/gmail/credentials" \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"credentials": {
"gmail_oauth_token": "ya29.a0AfH6SMC...",
"gmail_client_id": "123456789-abcdef.apps.googleusercontent.com",
"gmail_client_secret": "GOCSPX-abc123def456",
"gmail_signature": "Best regards,\\nJohn Doe"
}
}'`;
const PUT_LINEAR = `curl -X PUT "https://api.toolrouter.ai/v1/stacks/stack_123e4567-e89b-12d3-a456-426614174000/servers/linear/credentials" \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"credentials": {
"linear_api_key": "lin_api_abc123def456789"
}
}'`;
const PUT_TOKEN = `curl -X PUT "https://api.toolrouter.ai/v1/stacks/stack_123e4567-e89b-12d3-a456-426614174000/servers/gmail/credentials" \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"credentials": {
"gmail_oauth_token": "ya29.a0AfH6SMC_new_token..."
}
}'`;
const UPDATED = { status: 200, text: '{"message":"Credentials updated successfully"}' };

/** Advances the clock, so that this write is later than the previous one. */
const passMillisecond = () => new Promise((resolve) => setTimeout(resolve, 2));

async function runWithStack(server: V1Server, command: string, stack_id: string) {
  const key = await server.key();
  return runExample(
    command
      .replace('https://api.toolrouter.ai', server.url)
      .replace('YOUR_API_KEY', key)
      .replace('stack_123e4567-e89b-12d3-a456-426614174000', stack_id),
  );
}

async function valuesOf(server: V1Server, service_id: string, stack_id: string) {
  const { credential_id } = await server.vault.status(server.caller(), { service_id, stack_id });
  return credential_id === null ? undefined : await decryptStoredValues(server.home, credential_id);
}

describe('the documented ToolRouter requests', () => {
  test('the documented PUT requests store credentials, replace one field and return the documented response', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, ['gmail', 'linear']);
    expect(await runWithStack(server, PUT_GMAIL, stack_id)).toEqual(UPDATED);
    expect(await runWithStack(server, PUT_LINEAR, stack_id)).toEqual(UPDATED);
    expect(await runWithStack(server, PUT_TOKEN, stack_id)).toEqual(UPDATED);
    expect(await valuesOf(server, 'gmail', stack_id)).toEqual({
      gmail_oauth_token: 'ya29.a0AfH6SMC_new_token...',
      gmail_client_id: '123456789-abcdef.apps.googleusercontent.com',
      gmail_client_secret: 'GOCSPX-abc123def456',
      gmail_signature: 'Best regards,\nJohn Doe',
    });
    expect(await valuesOf(server, 'linear', stack_id)).toEqual({ linear_api_key: 'lin_api_abc123def456789' });
  });

  test('PUT credentials accepts the stack id "default"', async () => {
    const server = await startV1();
    await server.get('POST /v1/stacks/default/servers', { body: { server_id: 'linear' } });
    expect(await runWithStack(server, PUT_LINEAR, 'default')).toEqual(UPDATED);
  });

  test('GET credentials reports each field as added or missing in the documented order', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, ['gmail']);
    const path = `/v1/stacks/${stack_id}/servers/gmail/credentials`;
    const status = (...added: string[]) => {
      const fieldStatus = (id: string) => `"${id}":"${added.includes(id) ? 'added' : 'missing'}"`;
      const required = ['gmail_oauth_token', 'gmail_client_id'];
      const optional = ['gmail_client_secret', 'gmail_signature', 'gmail_refresh_token'];
      const required_added = required.every((id) => added.includes(id));
      const all_added = required_added && optional.every((id) => added.includes(id));
      return `{"required_credentials":{${required.map(fieldStatus)}},"optional_credentials":{${optional.map(fieldStatus)}},"all_credentials_added":${all_added},"required_credentials_added":${required_added}}`;
    };
    expect((await server.send(`GET ${path}`)).text).toBe(status());
    const put = async (credentials: object) => server.get(`PUT ${path}`, { body: { credentials } });
    await put({ gmail_oauth_token: 'x' });
    expect((await server.send(`GET ${path}`)).text).toBe(status('gmail_oauth_token'));
    await put({ gmail_client_id: 'x' });
    expect((await server.send(`GET ${path}`)).text).toBe(status('gmail_oauth_token', 'gmail_client_id'));
    await put({ gmail_client_secret: 'x', gmail_signature: 'x', gmail_refresh_token: 'x' });
    const optional = ['gmail_client_secret', 'gmail_signature', 'gmail_refresh_token'];
    expect((await server.send(`GET ${path}`)).text).toBe(
      status('gmail_oauth_token', 'gmail_client_id', ...optional),
    );
  });

  test('PUT credentials accepts an alias of the server', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, ['svc_openai_001']);
    const credentials = { openai_api_key: 'sk-1' };
    await server.get(`PUT /v1/stacks/${stack_id}/servers/OpenAI/credentials`, { body: { credentials } });
    expect(await valuesOf(server, 'openai', stack_id)).toEqual(credentials);
  });
});

describe('GET /v1/servers', () => {
  test('GET /v1/servers returns an array in the documented format', async () => {
    const server = await startV1();
    const servers = await server.get<{ server_id: string }[]>('GET /v1/servers');
    expect(servers.length).toBe(server.vault.services.list().length);
    const linear = servers.find(({ server_id }) => server_id === 'linear');
    expect(linear).toEqual({
      server_id: 'linear',
      name: 'Linear',
      description: 'Issues, projects, cycles and teams in Linear.',
      tools: expect.arrayContaining([
        {
          tool_id: 'linear__request',
          name: 'Linear request',
          description: 'Makes an HTTP request to Linear with the stored credential.',
          parameters: expect.objectContaining({ type: 'object', required: ['path'] }),
        },
      ]),
      required_credentials: expect.any(Array),
      optional_credentials: expect.any(Array),
    });
    for (const one of servers) {
      expect(Object.keys(one)).toEqual([
        'server_id',
        'name',
        'description',
        'tools',
        'required_credentials',
        'optional_credentials',
      ]);
    }
  });

  test('GET /v1/servers returns only the servers that the key allows', async () => {
    const server = await startV1();
    const key = await server.key({ allowed_services: ['linear', 'gmail'] });
    const servers = await server.get<{ server_id: string }[]>('GET /v1/servers', { key });
    expect(servers.map(({ server_id }) => server_id)).toEqual(['gmail', 'linear']);
  });
});

describe('ToolRouter stacks', () => {
  const TIME = '"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z"';
  const STACK_ID = '"stack_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"';

  test('a stack is created, listed, changed and deleted with the documented responses', async () => {
    const server = await startV1();
    const created = await server.send('POST /v1/stacks', { body: { stack_name: 'Production' } });
    expect(created).toMatchObject({ status: 200 });
    expect(created.text).toMatch(
      new RegExp(
        `^{"stack_id":${STACK_ID},"stack_name":"Production","configuration":{"analytics_enabled":false},"servers":\\[\\],"created_at":${TIME},"updated_at":${TIME},"owner":"me","role":"owner","shared_with":0}$`,
      ),
    );
    const { stack_id, ...rest } = JSON.parse(created.text);
    expect(await server.get('GET /v1/stacks')).toEqual([
      { stack_id, ...rest },
      expect.objectContaining({ stack_id: 'default', stack_name: 'default', servers: [] }),
    ]);
    expect(rest.updated_at).toBe(rest.created_at);
    await passMillisecond();
    const changed = { stack_name: 'Staging', configuration: { analytics_enabled: true } };
    const put = (body: object) => server.get<{ updated_at: string }>(`PUT /v1/stacks/${stack_id}`, { body });
    const after = await put(changed);
    expect(after).toMatchObject({ stack_id, ...changed, servers: [], created_at: rest.created_at });
    expect(Date.parse(after.updated_at)).toBeGreaterThan(Date.parse(rest.created_at));
    expect(await server.get('GET /v1/stacks')).toMatchObject([after, { stack_id: 'default' }]);
    expect(await put({ configuration: {} })).toMatchObject(changed);
    expect(await put({})).toMatchObject(changed);
    expect(await put({ stack_name: null, configuration: null })).toMatchObject(changed);
    expect(await put({ configuration: { analytics_enabled: null } })).toMatchObject(changed);
    expect(await put({ configuration: { analytics_enabled: false } })).toMatchObject({
      stack_name: 'Staging',
      configuration: { analytics_enabled: false },
    });
    expect(await server.get(`GET /v1/stacks/${stack_id}`)).toMatchObject({ stack_name: 'Staging' });
    const deleted = await server.send(`DELETE /v1/stacks/${stack_id}`);
    expect(deleted.text).toBe(`{"message":"Stack ${stack_id} deleted successfully"}`);
    expect((await server.send(`GET /v1/stacks/${stack_id}`)).status).toBe(404);
    expect(await server.get('GET /v1/stacks')).toHaveLength(1);
  });

  test('POST /v1/stacks applies the given configuration and disables analytics by default', async () => {
    const server = await startV1();
    for (const [configuration, analytics_enabled] of [
      [{ analytics_enabled: true }, true],
      [{ analytics_enabled: false }, false],
      [{ analytics_enabled: null }, false],
      [{}, false],
      [null, false],
    ] as const) {
      const body = { stack_name: 'n', configuration };
      const created = await server.get<{ stack_id: string }>('POST /v1/stacks', { body });
      expect(created).toMatchObject({ stack_name: 'n', configuration: { analytics_enabled } });
      expect(await server.get(`GET /v1/stacks/${created.stack_id}`)).toEqual(created);
    }
  });

  test('POST servers treats null like a missing property', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    for (const [body, tools] of [
      [{ server_id: 'gmail', enable_all_tools: null, enabled_tools: null }, '0'],
      [{ server_id: 'linear', enable_all_tools: null, enabled_tools: ['x'] }, '1'],
      [{ server_id: 'openai', enable_all_tools: true, enabled_tools: null }, 'all'],
    ] as const) {
      const response = await server.send(`POST /v1/stacks/${stack_id}/servers`, { body });
      expect([response.status, response.text]).toEqual([
        200,
        expect.stringContaining(` with ${tools} tools enabled`),
      ]);
    }
  });

  test('servers are added to a stack and removed together with their credentials', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    const servers = `/v1/stacks/${stack_id}/servers`;
    const add = (body: object) => server.send(`POST ${servers}`, { body });
    const added = (id: string, tools: string) =>
      `{"message":"Server ${id} added to stack ${stack_id} with ${tools} tools enabled"}`;
    expect((await add({ server_id: 'gmail', enable_all_tools: true })).text).toBe(added('gmail', 'all'));
    expect((await add({ server_id: 'linear', enable_all_tools: false })).text).toBe(added('linear', '0'));
    expect((await add({ server_id: 'svc_openai_001', enabled_tools: ['a', 'b'] })).text).toBe(
      added('openai', '2'),
    );
    const set = await server.send(`PUT ${servers}/linear/tools`, { body: { enabled_tools: ['x'] } });
    expect(set).toMatchObject({
      status: 200,
      text: '{"message":"Server linear updated with 1 tools enabled"}',
    });
    const credentials = { linear_api_key: 'v' };
    await server.get(`PUT ${servers}/linear/credentials`, { body: { credentials } });
    const listServers = async () =>
      (await server.get<{ servers: unknown }>(`GET /v1/stacks/${stack_id}`)).servers;
    expect(await listServers()).toEqual([
      { server_name: 'gmail', enabled_tools: expect.arrayContaining(['gmail__request']) },
      { server_name: 'linear', enabled_tools: ['x'] },
      { server_name: 'openai', enabled_tools: ['a', 'b'] },
    ]);
    const removed = await server.send(`DELETE ${servers}/linear`);
    expect(removed.text).toBe(`{"message":"Server linear removed from stack ${stack_id}"}`);
    expect(await valuesOf(server, 'linear', stack_id)).toBeUndefined();
    expect((await server.send(`GET ${servers}/linear/credentials`)).status).toBe(404);
    expect(await listServers()).toHaveLength(2);
  });

  test('a credential that was stored with Danube adds its server to the stack on every ToolRouter route', async () => {
    const server = await startV1();
    const body = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
    await server.get('POST /v1/credentials/store', { body });
    const all = expect.arrayContaining(['linear__request']);
    const servers = [{ server_name: 'linear', enabled_tools: all }];
    const path = '/v1/stacks/default/servers';
    expect(await server.get('GET /v1/stacks')).toMatchObject([{ stack_id: 'default', servers }]);
    expect(await server.get('GET /v1/stacks/default')).toMatchObject({ servers });
    expect(await server.get(`GET ${path}/linear/credentials`)).toMatchObject({
      required_credentials_added: true,
    });
    const add = () => server.send(`POST ${path}`, { body: { server_id: 'linear', enabled_tools: ['t'] } });
    expect(await add()).toMatchObject({ status: 200 });
    expect(await server.get('GET /v1/stacks/default')).toMatchObject({
      servers: [{ server_name: 'linear', enabled_tools: ['t'] }],
    });
    expect(await add()).toMatchObject({ status: 400 });
    await server.get(`DELETE ${path}/linear`);
    expect(await server.get('GET /v1/stacks')).toMatchObject([{ servers: [] }]);
    expect((await server.send(`GET ${path}/linear/credentials`)).status).toBe(404);
  });

  test('a key that is limited to one stack gets no other stack', async () => {
    const server = await startV1();
    const own_stack_id = await createStack(server, ['linear']);
    const other_stack_id = await createStack(server, ['linear']);
    const key = await server.key({ stack_id: own_stack_id });
    const stacks = await server.get<{ stack_id: string }[]>('GET /v1/stacks', { key });
    expect(stacks.map(({ stack_id }) => stack_id)).toEqual([own_stack_id]);
    expect(
      (await server.send(`GET /v1/stacks/${other_stack_id}/servers/linear/credentials`, { key })).status,
    ).toBe(404);
  });
});

test('GET and DELETE with a content type and no body succeed, as Python clients send them', async () => {
  const server = await startV1();
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${await server.key()}` };
  const stack_id = await createStack(server, []);
  expect((await fetch(`${server.url}/v1/stacks`, { headers })).status).toBe(200);
  const deleted = await fetch(`${server.url}/v1/stacks/${stack_id}`, { method: 'DELETE', headers });
  expect([deleted.status, typeof (await deleted.json())]).toEqual([200, 'object']);
});

test.each([
  ['PUT /v1/stacks/default', 200],
  ['POST /v1/stacks', 400],
  ['POST /v1/stacks/default/tools/gmail__request/invoke', 404],
  ['POST /s/default/call_tool', 400],
  ['POST /v1/tools/call/batch', 400],
] as const)('%s without a body returns %i for every content type', async (request, status) => {
  const server = await startV1();
  const [method = '', path = ''] = request.split(' ');
  const responses: (readonly [number, unknown])[] = [];
  for (const type_header of [{}, { 'content-type': 'application/json' }, { 'content-type': 'text/plain' }]) {
    const headers = { authorization: `Bearer ${await server.key()}`, ...type_header };
    const response = await fetch(server.url + path, { method, headers });
    const { updated_at: _, ...body } = JSON.parse(await response.text());
    responses.push([response.status, body]);
  }
  expect(responses[0]?.[0]).toBe(status);
  expect(responses).toEqual(responses.map(() => responses[0]));
});
