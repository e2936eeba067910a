/** Entering values at the pages of a server: the person signs in as the user of the agent, and every other user sees nothing. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { HANDLE_AGE_MS } from '../../src/contract/limits.ts';
import { MCP_PATH, mcpMount } from '../../src/mcp/http.ts';
import { addHome, webMount } from '../../src/web/mount.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { CAN_RUN_CHROMIUM, startChromium, type TestBrowser } from '../kit/browser/chromium.ts';
import { signInWithKey } from '../kit/browser/sign_in.ts';
import { findCanary, newCanary } from '../kit/canary.ts';
import { startProgram } from '../kit/child/built_program.ts';
import { startHttpServer, startServeProcess } from '../kit/http/http_server.ts';
import { CLIENT_KINDS, connectClient } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';

interface Pending {
  readonly url: string;
  readonly code: string;
  readonly handle: string;
}

const RESEND = { service_id: 'resend', credential_type: 'bearer' };

describe.skipIf(!CAN_RUN_CHROMIUM)('a person and an agent of a server', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  /** A server, and an agent of the user `ana` that has requested a value over HTTP. */
  async function startWithRequest() {
    const limits = { requests_per_minute: 0, auth_failures_per_minute: 0 };
    const server = await startHttpServer({
      settings: { limits, open_routes: [addHome] },
      mounts: async (parts) => [mcpMount(parts, TOOLS, () => ({})), await webMount(parts, limits)],
    });
    const keyOf = (user: string) => server.key({ organization: 'acme', user });
    const authorization = `Bearer ${await keyOf('ana')}`;
    const agent = await connectHttpClient(CLIENT_KINDS[2], server.url + MCP_PATH, { authorization });
    onTestFinished(() => agent.close());
    const { structured } = await agent.call('store_credential', RESEND);
    const statusOf = async (handle: string) =>
      (await agent.call('get_credential_status', { handle })).structured;
    return { server, agent, statusOf, keyOf, ...(structured as unknown as Pending) };
  }

  test('the user of the agent signs in, comes back to the page and types the value; the agent sees it', async () => {
    const { server, agent, statusOf, keyOf, url, code, handle } = await startWithRequest();
    const canary = newCanary();
    const key = await keyOf('ana');
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(url);
    expect(new URL(page.url()).pathname).toBe('/dashboard/sign-in');
    expect(await page.content()).not.toContain('Resend');
    await tab.takeScreenshot('enter-server-1-sign-in');
    await signInWithKey(page, key);
    expect(page.url()).toBe(url);
    expect(await page.locator('.enter-code').innerText()).toBe(code);
    await page.getByLabel('API key', { exact: true }).fill(canary.value);
    await tab.takeScreenshot('enter-server-2-typed');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    await tab.takeScreenshot('enter-server-3-saved');
    const done = await statusOf(handle);
    expect(done).toMatchObject({
      handle_status: 'done',
      required_credentials: { resend_api_key: 'added' },
      modified_by: 'ana',
    });
    await page.getByRole('link', { name: 'Go to services' }).click();
    await page.getByRole('link', { name: /^Resend/ }).click();
    const seen = JSON.stringify([await tab.traffic(), await page.content(), server.log, done]);
    expect(findCanary(seen, canary)).toEqual([]);
    expect(JSON.stringify(server.log)).not.toContain(handle);
    expect(tab.problems()).toEqual([]);
    expect((await agent.call('get_credential_status', RESEND)).text).not.toContain(canary.word);
  }, 60_000);

  test('another user sees the page of an unknown handle and changes nothing', async () => {
    const { server, statusOf, keyOf, url, code, handle } = await startWithRequest();
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(url);
    await signInWithKey(page, await keyOf('bob'));
    await page.getByRole('heading', { name: 'Not found' }).waitFor();
    await tab.takeScreenshot('enter-server-4-other-user');
    const shown = await page.locator('main').innerText();
    const unknown = await page.goto(`${server.url}/dashboard/enter/${'A'.repeat(22)}`);
    const withoutId = (text: string) => text.replace(/Request \S+/, '');
    expect(unknown?.status()).toBe(404);
    expect(withoutId(await page.locator('main').innerText())).toBe(withoutId(shown));
    expect(shown).not.toContain(code);
    // Sends what the form of the user would send, with the session and the CSRF token of this one.
    await page.evaluate(`
      const form = document.querySelector('form[action$="sign-out"]');
      form.action = ${JSON.stringify(new URL(url).pathname)};
      form.append(Object.assign(document.createElement('input'), { name: 'value.resend_api_key', value: 're_of_bob' }));
      form.submit();
    `);
    await page.waitForURL(url);
    await page.getByRole('heading', { name: 'Not found' }).waitFor();
    expect(await statusOf(handle)).toMatchObject({ handle_status: 'pending' });
  }, 60_000);

  test('a person who is too late sees that the link has expired, and so does the agent', async () => {
    const { agent, keyOf, url, handle } = await startWithRequest();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HANDLE_AGE_MS });
    onTestFinished(() => void vi.useRealTimers());
    const { page } = await browser.open();
    await page.goto(url);
    await signInWithKey(page, await keyOf('ana'));
    await page.getByRole('heading', { name: 'This link has expired' }).waitFor();
    const { structured, text } = await agent.call('get_credential_status', { handle });
    expect(structured).toEqual({ handle_status: 'expired' });
    expect(text).toContain('When the user is ready, call store_credential or update_credentials again');
  }, 60_000);

  test('an agent over stdio beside a server gets its URL, and `keyhold open` signs the person in', async () => {
    const server = await startServeProcess();
    const { home } = server;
    const agent = await connectClient(CLIENT_KINDS[1], home);
    onTestFinished(() => agent.close());
    const canary = newCanary();
    const { structured } = await agent.call('store_credential', RESEND);
    const { url, code, handle } = structured as unknown as Pending;
    expect(new URL(url).origin).toBe(server.url);
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(url);
    expect(new URL(page.url()).pathname).toBe('/dashboard/sign-in');
    expect(await page.getByText('keyhold open').count()).toBe(1);
    await page.goto(`file://${await openFileOf(home)}`);
    await page.waitForURL(`${server.url}/dashboard`);
    await page.goto(url);
    expect(await page.locator('.enter-code').innerText()).toBe(code);
    await page.getByLabel('API key', { exact: true }).fill(canary.value);
    await page.getByLabel('API key', { exact: true }).press('Enter');
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    const done = await agent.call('get_credential_status', { handle });
    expect(done.structured).toMatchObject({ handle_status: 'done', modified_by: 'me' });
    await server.end();
    const seen = [
      await tab.traffic(),
      server.stdout(),
      server.stderr(),
      agent.stderr(),
      JSON.stringify(done),
    ];
    expect(findCanary(seen.join('\n'), canary)).toEqual([]);
    expect(seen.slice(1, 4).join('\n')).not.toContain(handle);
  }, 60_000);
});

/** The path of the file that `keyhold open` prints. */
async function openFileOf(home: string): Promise<string> {
  const child = startProgram(['open', '--print'], { env: { KEYHOLD_HOME: home } });
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  await expect.poll(() => printed, { timeout: 20_000 }).toContain('\n');
  return printed.trim();
}
