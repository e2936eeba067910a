/**
 * Journeys of entering values: an agent requests them over MCP, a person types them in a real browser, and the agent sees that
 * they were added. The values are nowhere but in the vault.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CAN_RUN_CHROMIUM, startChromium, type Tab, type TestBrowser } from '../kit/browser/chromium.ts';
import { type Canary, findCanary, findCanaryInFiles, newCanary, processesWithCanary } from '../kit/canary.ts';
import { CLIENT_KINDS, type ConnectedClient, connectClient } from '../kit/mcp/mcp_clients.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

interface Pending {
  readonly url: string;
  readonly code: string;
  readonly handle: string;
}

const RESEND = { service_id: 'resend', credential_type: 'bearer', name: 'work' };
/** Two checks without a pending handle, five seconds each. */
const LISTENER_CLOSES_MS = 25_000;

describe.skipIf(!CAN_RUN_CHROMIUM)('a person and an agent without a server', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  async function startAgent() {
    const home = temporaryFolder();
    const wire = join(temporaryFolder(), 'wire');
    mkdirSync(wire);
    const client = await connectClient(CLIENT_KINDS[0], home, {}, undefined, wire);
    onTestFinished(() => client.close());
    return { client, home, wire };
  }

  async function request(client: ConnectedClient, tool: string, input: Readonly<Record<string, unknown>>) {
    const result = await client.call(tool, input);
    expect(result.structured).toMatchObject({ status: 'pending_user_input' });
    return result.structured as unknown as Pending;
  }

  const valuesOnPage = ({ page }: Tab): Promise<string> =>
    page.evaluate("[...document.querySelectorAll('input, textarea')].map((one) => one.value).join('\\n')");

  /** In the pages, the history, the console, the bytes of MCP, the log, the files and the arguments of processes. */
  async function findEverywhere(
    tab: Tab,
    { client, home, wire }: Awaited<ReturnType<typeof startAgent>>,
    canary: Canary,
  ): Promise<string[]> {
    const seen = [await tab.traffic(), await tab.page.content(), await valuesOnPage(tab), client.stderr()];
    return [
      ...findCanary(seen.join('\n'), canary),
      ...findCanaryInFiles(home, canary),
      ...findCanaryInFiles(wire, canary),
      ...processesWithCanary(canary).map((pid) => `the arguments of process ${pid}`),
    ];
  }

  const isClosed = (url: string) =>
    fetch(url).then(
      () => false,
      () => true,
    );

  test('the person sees the code of the agent and types the value, which is nowhere else; the listener closes', async () => {
    const agent = await startAgent();
    const { client } = agent;
    const canary = newCanary();
    const { url, code, handle } = await request(client, 'store_credential', RESEND);
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(url);
    expect(await page.locator('.enter-code').innerText()).toBe(code);
    const field = page.getByLabel('API key', { exact: true });
    await field.fill(canary.value);
    await tab.takeScreenshot('enter-1-typed');
    expect(await field.getAttribute('type')).toBe('password');
    await page.getByRole('button', { name: 'Show' }).click();
    expect([await field.getAttribute('type'), await field.inputValue()]).toEqual(['text', canary.value]);
    await page.getByRole('button', { name: 'Hide' }).click();
    expect(await field.getAttribute('type')).toBe('password');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    await tab.takeScreenshot('enter-2-saved');
    const done = await client.call('get_credential_status', { handle });
    expect(done.structured).toMatchObject({
      handle_status: 'done',
      status: 'active',
      required_credentials: { resend_api_key: 'added' },
      modified_by: 'me',
    });
    expect(tab.problems()).toEqual([]);
    // A reload, the button back and the link itself show no value and change nothing.
    await page.reload();
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    await page.goBack();
    await page.getByText('used already').waitFor();
    expect(await page.locator('input:not([type=hidden])').count()).toBe(0);
    await page.goto(url);
    await page.getByText('used already').waitFor();
    await tab.takeScreenshot('enter-3-used');
    expect(await findEverywhere(tab, agent, canary)).toEqual([]);
    expect(client.stderr()).not.toContain(handle);
    await expect.poll(() => isClosed(url), { timeout: LISTENER_CLOSES_MS, interval: 500 }).toBe(true);
    // The program that the agent talks to goes on, and opens another page for the next request.
    const next = await request(client, 'store_credential', RESEND);
    await page.goto(next.url);
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe('Replace values for Resend');
  }, 60_000);

  test('the person gives several values and the file of a key, and sees a refused value without the value', async () => {
    const agent = await startAgent();
    const { client } = agent;
    const [refused, passphrase, key] = [newCanary(), newCanary(), newCanary()];
    const { url, code, handle } = await request(client, 'update_credentials', {
      service_id: 'sftp',
      fields: ['host', 'port', 'username', 'private_key_data', 'private_key_passphrase'],
    });
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(url);
    expect(await page.locator('.enter-code').innerText()).toBe(code);
    await page.getByLabel('Host', { exact: true }).fill('files.example.com');
    await page.getByLabel('Port', { exact: false }).fill(refused.word);
    await page.getByLabel('User name').fill('deploy');
    const buffer = Buffer.from(privateKey(key));
    await page.getByLabel('Private key as a file').setInputFiles({
      name: 'id_ed25519',
      mimeType: 'application/octet-stream',
      buffer,
    });
    const typePassphrase = () => page.locator('[name="value.private_key_passphrase"]').fill(passphrase.value);
    await typePassphrase();
    await tab.takeScreenshot('enter-4-several');
    // The browser checks the pattern of the port; the server does too.
    await page.evaluate('document.querySelector("main form").noValidate = true');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').waitFor();
    await tab.takeScreenshot('enter-5-refused');
    for (const canary of [refused, passphrase, key])
      expect(findCanary((await page.content()) + (await valuesOnPage(tab)), canary)).toEqual([]);
    const waiting = await client.call('get_credential_status', { handle });
    expect(waiting.structured).toMatchObject({ handle_status: 'pending' });
    await page.getByLabel('Host', { exact: true }).fill('files.example.com');
    await page.getByLabel('User name').fill('deploy');
    await page
      .getByLabel('Private key as a file')
      .setInputFiles({ name: 'id_ed25519', mimeType: 'text/plain', buffer });
    await typePassphrase();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    const done = await client.call('get_credential_status', { handle });
    expect(done.structured).toMatchObject({
      handle_status: 'done',
      required_credentials: { host: 'added', username: 'added' },
      optional_credentials: { private_key_data: 'added', private_key_passphrase: 'added', port: 'missing' },
    });
    for (const canary of [refused, passphrase, key])
      expect(await findEverywhere(tab, agent, canary)).toEqual([]);
  }, 60_000);

  test('the search finds a value that an agent has sent itself', async () => {
    const agent = await startAgent();
    const canary = newCanary();
    await agent.client.call('store_credential', { ...RESEND, credential_value: canary.value });
    const tab = await browser.open();
    await tab.page.goto(`data:text/html,<p>${canary.word}`);
    const found = await findEverywhere(tab, agent, canary);
    expect(found).toContain('plain of first half');
    expect(found.some((one) => one.includes('/stdin'))).toBe(true);
  });
});

function privateKey({ word }: Canary): string {
  const body = Buffer.from(`openssh-key-v1\0${word}`).toString('base64');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`;
}
