/** Every client lists and calls every tool over HTTP, in both eras, as the user of its key. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { describe, expect, test } from 'vitest';
import { TOOLS } from '../../tools/catalogue.ts';
import { CLIENT_KINDS } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { CALLS, DANUBE_CALL } from './calls.ts';
import { startMcpServer } from './http_server.ts';

const ajv = new AjvJsonSchemaValidator();

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test('a client without a key gets an error that names the header', async () => {
    const { mcp_url } = await startMcpServer();
    await expect(connectHttpClient(kind, mcp_url)).rejects.toThrow(/unauthorized|401|key/i);
  });

  test('a client with a wrong key, a revoked key or a key in the URL is rejected', async () => {
    const { mcp_url, key, vault, caller } = await startMcpServer();
    const revoked = await key();
    const [{ id } = { id: '' }] = (await vault.api_keys.list(caller())).keys;
    await vault.api_keys.revoke(caller(), id);
    const wrong = revoked.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    for (const text of [wrong, revoked])
      await expect(connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${text}` })).rejects.toThrow();
    const good = await key();
    await expect(connectHttpClient(kind, `${mcp_url}?api_key=${good}`)).rejects.toThrow();
  });

  test('the client receives the server info and the same tools as over stdio', async () => {
    const { mcp_url, key } = await startMcpServer();
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key()}` });
    expect(client.revision).toBe(kind.slice(-10));
    expect(client.server).toMatchObject({ name: 'keyhold', title: 'Keyhold', version: '1.2.3-test' });
    expect(client.instructions).toContain('list_services');
    expect((await client.listTools()).map(({ name }) => name)).toStrictEqual(TOOLS.map(({ name }) => name));
    await client.close();
  });

  test.each(['Authorization', 'X-API-Key', 'danube-api-key'])(
    'the client authenticates with the header %s',
    async (header) => {
      const { mcp_url, key } = await startMcpServer();
      const text = header === 'Authorization' ? `Bearer ${await key()}` : await key();
      const client = await connectHttpClient(kind, mcp_url, { [header]: text });
      const { structured } = await client.call('list_services', { query: 'linear' });
      expect(structured).toMatchObject({ services: expect.any(Array) });
      await client.close();
    },
  );

  test('the client calls every tool, with success and failure', async () => {
    const { mcp_url, key } = await startMcpServer();
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key()}` });
    const tools = await client.listTools();
    for (const { tool, does, input, fails } of CALLS) {
      const what = `${tool} ${does}`;
      const result = await client.call(tool, input);
      if (fails !== undefined) {
        expect(result.is_error, what).toBe(true);
        expect(result.text, what).toMatch(new RegExp(`^${fails}: .+\\.$`));
        expect(result.meta['keyhold/error'], what).toMatchObject({ code: fails });
        continue;
      }
      expect(result.is_error, `${what}: ${result.text}`).toBe(false);
      const schema = tools.find(({ name }) => name === tool)?.outputSchema;
      const given = ajv.getValidator(schema ?? {})(result.structured);
      expect(given, `${what}: ${given.errorMessage}`).toMatchObject({ valid: true });
    }
    await client.close();
  });

  test('a call of an unknown tool is a protocol error', async () => {
    const { mcp_url, key } = await startMcpServer();
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key()}` });
    await expect(client.call('no_such_tool')).rejects.toMatchObject({ code: -32602 });
    await client.close();
  });

  test('two concurrent users read and change only their own credentials', async () => {
    const { mcp_url, key } = await startMcpServer();
    const users = await Promise.all(
      ['ada', 'ben'].map(async (user) =>
        connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key({ user })}` }),
      ),
    );
    const [ada, ben] = users;
    const stored = await ada?.call('store_credential', DANUBE_CALL);
    expect(stored?.is_error, stored?.text).toBe(false);
    const input = { service_id: DANUBE_CALL.service_id };
    expect((await ben?.call('get_credential_status', input))?.structured).toMatchObject({
      required_credentials_added: false,
      credential_id: null,
    });
    expect((await ben?.call('delete_credential', input))?.meta['keyhold/error']).toMatchObject({
      code: 'NOT_FOUND',
    });
    // Concurrently, to detect a response that goes to another caller.
    const responses = await Promise.all(
      Array.from({ length: 20 }, (_, at) => users[at % 2]?.call('get_credential_status', input)),
    );
    expect(responses.map((response) => response?.structured?.required_credentials_added)).toStrictEqual(
      responses.map((_, at) => at % 2 === 0),
    );
    await Promise.all(users.map((client) => client.close()));
  });

  test('a key restricted to some tools lists and calls only those', async () => {
    const { mcp_url, key } = await startMcpServer();
    const allowed_tools = ['get_credential_status', 'list_services'];
    const text = await key({ allowed_tools });
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${text}` });
    expect((await client.listTools()).map(({ name }) => name).sort()).toStrictEqual(allowed_tools);
    expect((await client.call('list_services')).is_error).toBe(false);
    const refused = client.call('store_credential', DANUBE_CALL);
    await expect(refused).rejects.toMatchObject({ code: -32602 });
    await expect(refused).rejects.not.toThrow(/store_credential/);
    await client.close();
  });

  test('each failed tool call is counted by its error code, although its response has status 200', async () => {
    const { mcp_url, url, key } = await startMcpServer({ settings: { metrics_open: true } });
    const counted = async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/keyhold_errors_total\{code="NOT_FOUND"\} (\d+)/.exec(text)?.[1]);
    };
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key()}` });
    expect((await client.call('list_services')).is_error).toBe(false);
    const before = await counted();
    const input = { service_id: DANUBE_CALL.service_id };
    for (let at = 0; at < 2; at++)
      expect((await client.call('delete_credential', input)).is_error).toBe(true);
    expect((await counted()) - before).toBe(2);
    await client.close();
  });

  test('a tool that writes fails for a key with read scopes only', async () => {
    const { mcp_url, key } = await startMcpServer();
    const text = await key({ scopes: ['credentials:read'] });
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${text}` });
    const result = await client.call('store_credential', DANUBE_CALL);
    expect(result.meta['keyhold/error']).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('credentials:write'),
    });
    await client.close();
  });

  test('a client past the rate limit gets the time to wait', async () => {
    const { mcp_url, key } = await startMcpServer({
      settings: { limits: { requests_per_minute: 5, auth_failures_per_minute: 0 } },
    });
    const client = await connectHttpClient(kind, mcp_url, { Authorization: `Bearer ${await key()}` });
    const calls = Array.from({ length: 6 }, () => client.call('list_services', { query: 'linear' }));
    const settled = await Promise.allSettled(calls);
    const refused = settled.filter((one) => one.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(String(reason)).toMatch(/429|too many/i);
    await client.close();
  });
});
