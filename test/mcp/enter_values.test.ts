/** An agent requests values and a person enters them, with every client, over stdio and HTTP, with and without URL elicitation. */
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HANDLE_AGE_MS } from '../../src/contract/limits.ts';
import { MCP_PATH, mcpMount } from '../../src/mcp/http.ts';
import { webMount } from '../../src/web/mount.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { filesUnder, findCanary, findCanaryInFiles, newCanary } from '../kit/canary.ts';
import { startHttpServer, startServeProcess } from '../kit/http/http_server.ts';
import { PageClient } from '../kit/http/page_client.ts';
import { CLIENT_KINDS, type ClientKind, connectClient, type Elicitation } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer' };
const GRAFANA = { service_id: 'grafana' };

interface Pending {
  readonly url: string;
  readonly handle: string;
  readonly code: string;
}

function elicitation(declares: Elicitation['declares'], action: Elicitation['action'], delay_ms = 0) {
  const requests: Readonly<Record<string, unknown>>[] = [];
  return {
    requests,
    options: { declares, action, delay_ms, onRequest: (one: object) => requests.push({ ...one }) },
  };
}

async function connect(kind: ClientKind, options?: Elicitation, wire_folder?: string) {
  const client = await connectClient(kind, temporaryFolder(), {}, options, wire_folder);
  onTestFinished(() => client.close());
  return client;
}

/** Opens the page and sends the fields. */
async function enter(url: string, fields: Readonly<Record<string, string>>) {
  const { origin, pathname } = new URL(url);
  const browser = new PageClient(origin);
  const page = await browser.get(pathname);
  return { page, sent: await browser.post(pathname, fields) };
}

describe.each(CLIENT_KINDS)('%s over stdio', (kind) => {
  test('gets a URL on a line, and sees that the person has entered the value', async () => {
    const wire = temporaryFolder();
    const client = await connect(kind, undefined, wire);
    const canary = newCanary();
    const result = await client.call('store_credential', LINEAR);
    expect(result.structured).toMatchObject({
      status: 'pending_user_input',
      success: true,
      credential_id: null,
      retry_after_ms: 3_000,
    });
    const { url, handle, code } = result.structured as unknown as Pending;
    expect(result.text.split('\n')).toContain(url);
    expect(result.text).toContain(code);
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const waiting = await client.call('get_credential_status', { handle });
    expect(waiting.structured).toMatchObject({ handle_status: 'pending', retry_after_ms: 3_000 });
    const { page, sent } = await enter(url, { 'value.linear_api_key': canary.value });
    expect(page.text).toContain(code);
    expect(sent.status).toBe(303);
    const done = await client.call('get_credential_status', { handle });
    expect(done.structured).toMatchObject({ handle_status: 'done', status: 'active', modified_by: 'me' });
    const update = await client.call('update_credentials', GRAFANA);
    const second = update.structured as unknown as Pending;
    expect(update.text).toContain('grafana_token, grafana_host');
    await enter(second.url, { decision: 'decline' });
    const declined = await client.call('get_credential_status', { handle: second.handle });
    expect(declined.structured).toEqual({ handle_status: 'declined' });
    expect(done.text).toMatch(/entered the values for Linear\. .*call test_credential\.$/);
    expect(declined.text).toContain('nothing was stored. Do not request it again unless the user wants it.');
    const unknown = await client.call('get_credential_status', { handle: 'A'.repeat(22) });
    expect(unknown.text).toMatch(/^NOT_FOUND: .* For a new page, request the values again\.$/);
    const seen = JSON.stringify([result, waiting, done, update, declined]);
    expect(findCanary(seen, canary)).toEqual([]);
    // All bytes of both directions.
    expect(filesUnder(wire).map((path) => readFileSync(path, 'utf8').includes(handle))).toEqual([true, true]);
    expect(findCanaryInFiles(wire, canary)).toEqual([]);
    expect(findCanary(client.stderr(), canary)).toEqual([]);
    expect(client.stderr()).not.toContain(handle);
  });

  test('that opens URLs is requested to open the page, and gets the plain result when it accepts', async () => {
    const { requests, options } = elicitation({ url: {} }, 'accept');
    const client = await connect(kind, options);
    const { structured } = await client.call('store_credential', LINEAR);
    const { url, handle, code } = structured as unknown as Pending;
    expect(requests).toMatchObject([{ mode: 'url', url, message: expect.stringContaining(code) }]);
    const status = await client.call('get_credential_status', { handle });
    expect(status.structured).toMatchObject({ handle_status: 'pending' });
    expect((await enter(url, { 'value.linear_api_key': 'lin_api_x' })).sent.status).toBe(303);
  });

  test('that declines to open the page declines the request', async () => {
    const { requests, options } = elicitation({ url: {} }, 'decline');
    const client = await connect(kind, options);
    const refused = await client.call('update_credentials', GRAFANA);
    expect(refused.is_error).toBe(true);
    expect(refused.text).toContain('The user declined');
    const { url } = requests[0] as unknown as Pending;
    const { page } = await enter(url, {});
    expect([page.status, page.text.includes('declined')]).toEqual([410, true]);
  });

  test('that cancels the request to open the page gets the plain result, and the person can still enter the value', async () => {
    const { requests, options } = elicitation({ url: {} }, 'cancel');
    const client = await connect(kind, options);
    const { structured } = await client.call('store_credential', LINEAR);
    const { url, handle } = structured as unknown as Pending;
    expect(requests).toHaveLength(1);
    expect((await enter(url, { 'value.linear_api_key': 'lin_api_x' })).sent.status).toBe(303);
    const done = await client.call('get_credential_status', { handle });
    expect(done.structured).toMatchObject({ handle_status: 'done' });
  });

  test.each([[{}], [{ form: {} }]])(
    'that declares elicitation %j is not requested to open a page',
    async (declares) => {
      const { requests, options } = elicitation(declares, 'decline');
      const client = await connect(kind, options);
      const { structured } = await client.call('store_credential', LINEAR);
      expect(structured).toMatchObject({ status: 'pending_user_input' });
      expect(requests).toEqual([]);
    },
  );
});

test('a client of 2025-11-25 whose user takes time gets the result without waiting', async () => {
  const { options } = elicitation({ url: {} }, 'decline', 4_000);
  const client = await connect('client 2.x, 2025-11-25', options);
  // Opens the vault.
  await client.call('list_services', { query: 'linear' });
  const started_ms = performance.now();
  const { structured } = await client.call('store_credential', LINEAR);
  expect(performance.now() - started_ms).toBeLessThan(3_900);
  const { handle } = structured as unknown as Pending;
  // Declined later, it is declined too.
  await expect
    .poll(async () => (await client.call('get_credential_status', { handle })).structured, {
      timeout: 10_000,
    })
    .toEqual({ handle_status: 'declined' });
});

describe('over HTTP', () => {
  async function startServer() {
    const limits = { requests_per_minute: 0, auth_failures_per_minute: 0 };
    let advanced_ms = 0;
    const server = await startHttpServer({
      settings: { limits },
      vault_now: () => new Date(Date.now() + advanced_ms),
      mounts: async (parts) => [mcpMount(parts, TOOLS, () => ({})), await webMount(parts, limits)],
    });
    const advance = (ms: number) => {
      advanced_ms += ms;
    };
    return { ...server, advance };
  }

  test.each(CLIENT_KINDS)(
    '%s gets the page of the server, with URL elicitation in 2026-07-28',
    async (kind) => {
      const server = await startServer();
      const { requests, options } = elicitation({ url: {} }, 'accept');
      const authorization = `Bearer ${await server.key({ user: 'ana' })}`;
      const client = await connectHttpClient(kind, server.url + MCP_PATH, { authorization }, options);
      onTestFinished(() => client.close());
      const { structured } = await client.call('store_credential', LINEAR);
      const { url, handle } = structured as unknown as Pending;
      expect(url).toBe(`${server.url}/dashboard/enter/${handle}`);
      expect(requests).toHaveLength(kind === 'client 2.x, 2026-07-28' ? 1 : 0);
      const browser = await new PageClient(server.url).signIn(await server.key({ user: 'ana' }));
      const path = new URL(url).pathname;
      await browser.get(path);
      expect((await browser.post(path, { 'value.linear_api_key': 'lin_api_x' })).status).toBe(303);
      const done = await client.call('get_credential_status', { handle });
      expect(done.structured).toMatchObject({ handle_status: 'done', modified_by: 'ana' });
      // A handle that no person used in time.
      const second = await client.call('store_credential', LINEAR);
      const { handle: unused } = second.structured as unknown as Pending;
      server.advance(HANDLE_AGE_MS + 1);
      const expired = await client.call('get_credential_status', { handle: unused });
      expect(expired.structured).toEqual({ handle_status: 'expired' });
      expect(expired.text).toContain('expired');
      const late = await browser.post(`/dashboard/enter/${unused}`, { 'value.linear_api_key': 'lin_api_y' });
      expect(late.status).toBe(410);
      // With another API key of the same user it is unknown.
      const other = `Bearer ${await server.key({ user: 'ana' })}`;
      const stranger = await connectHttpClient(kind, server.url + MCP_PATH, { authorization: other });
      onTestFinished(() => stranger.close());
      expect((await stranger.call('get_credential_status', { handle })).text).toMatch(/^NOT_FOUND/);
    },
  );
});

test('request_access names a page only while a server of the same home runs, and that page exists', async () => {
  const home = temporaryFolder();
  const client = await connectClient(CLIENT_KINDS[0], home, {});
  onTestFinished(() => client.close());
  const input = { service_id: 'github', reason: 'Read the issues.' };
  const without = await client.call('request_access', input);
  expect(without.structured).not.toHaveProperty('url');
  expect(without.text).toContain('keyhold approvals show');
  const server = await startServeProcess({ home });
  const { structured } = await client.call('request_access', input);
  const { url } = structured as { readonly url: string };
  expect(new URL(url).origin).toBe(server.url);
  const browser = await new PageClient(server.url).signIn(server.admin_key);
  const page = await browser.get(new URL(url).pathname);
  expect([page.status, page.text.includes('Read the issues.')]).toEqual([200, true]);
  await server.end();
  expect((await client.call('request_access', input)).structured).not.toHaveProperty('url');
});
