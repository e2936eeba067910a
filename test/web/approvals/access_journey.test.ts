/**
 * The whole journey of an access request with built programs: an agent over `keyhold mcp` requests a service that is not in the
 * catalogue, a person in Chromium narrows it, accepts and types the value, and the agent calls within the limits only.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessible } from '../../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type Tab, type TestBrowser } from '../../kit/browser/chromium.ts';
import { newCanary } from '../../kit/canary.ts';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { startServeProcess } from '../../kit/http/http_server.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const HOST = 'api.unlisted-example.com';
const PERSON_SCOPES = 'credentials:read,credentials:write,approvals:decide,org:admin';

describe.skipIf(!CAN_RUN_CHROMIUM)('an agent that requests access', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  /** A server and an agent of one home, and a tab of a person who is signed in. */
  async function started(tab_options: Parameters<TestBrowser['open']>[0] = {}) {
    const upstream = await startUpstream([HOST], respondJson({ orders: [1, 2] }));
    const home = temporaryFolder();
    const env = { KEYHOLD_HOME: home, ...upstreamEnv(home) };
    const server = await startServeProcess({ home, env });
    const created = await runProgram(['keys', 'create', '--scopes', PERSON_SCOPES, '--json'], { env });
    const { key } = JSON.parse(created.stdout);
    const agent = await connectStdioClient(startProgram(['mcp'], { env }));
    const tab = await browser.open(tab_options);
    await tab.page.goto(server.url);
    await tab.page.getByLabel('API key').fill(key);
    await tab.page.getByRole('button', { name: 'Sign in' }).click();
    await tab.page.waitForURL(/\/dashboard$/);
    return { upstream, agent, tab };
  }

  async function expectBothAccessible({ page }: Tab): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await expectAccessible(page);
    }
    await page.emulateMedia({ colorScheme: 'light' });
  }

  test('for a new service uses it within the limits of the person as soon as the value is typed', async () => {
    const { upstream, agent, tab } = await started();
    const { page } = tab;
    const value = newCanary();
    const requested = await agent.call('request_access', {
      base_url: `https://${HOST}`,
      reason: 'Read the orders of March.',
    });
    const { service_id, url, code } = requested.structured ?? {};
    const status = () => agent.call('get_credential_status', { service_id });
    expect((await status()).structured).toMatchObject({ access_request: { state: 'pending' } });
    const call = (method: string, path: string) => agent.call('call_service', { service_id, method, path });
    expect((await call('GET', '/orders')).error?.code).toBe('NOT_FOUND');

    await page.goto(String(url));
    expect(await page.locator('main').innerText()).toContain(String(code));
    expect(await page.locator('main').innerText()).toContain('Read the orders of March.');
    await expectBothAccessible(tab);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      await page.getByRole('checkbox', { name: method }).uncheck();
    await page.getByLabel('Paths').fill('/orders');
    await page.getByRole('button', { name: 'Accept and continue' }).click();
    await page.waitForURL(/\/dashboard\/enter\//);
    expect((await status()).structured).toMatchObject({ access_request: { state: 'approved' } });
    await page.getByRole('textbox', { name: 'api_key' }).fill(value.word);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.waitForURL(/\/end$/);

    expect((await status()).structured).toMatchObject({ status: 'active', all_credentials_added: true });
    expect(await call('GET', '/orders')).toMatchObject({
      error: undefined,
      structured: { status: 200, body: { orders: [1, 2] } },
    });
    expect((await call('POST', '/orders')).error?.code).toBe('FORBIDDEN');
    expect((await call('GET', '/users')).error?.code).toBe('FORBIDDEN');
    expect(upstream.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /orders']);
    expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${value.word}`);
    expect(tab.urls().join('\n')).not.toContain(value.word);
    expect(await tab.traffic()).not.toContain(value.word);
  });

  test('is denied by a person without scripts on a phone, and a second request is refused', async () => {
    const { agent, tab } = await started({ javascript: false, phone: true });
    const { page } = tab;
    const input = { service_id: 'stripe', reason: 'Refund everything.' };
    const { structured } = await agent.call('request_access', input);
    await page.goto(String(structured?.url));
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForURL(/\/dashboard\/approvals$/);
    expect(await page.getByText('Denied', { exact: true }).count()).toBe(1);
    expect((await agent.call('request_access', input)).error).toMatchObject({ reason: 'approval_denied' });
  });
});
