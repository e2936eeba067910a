/** Without a server, an agent over stdio gets a page from which a person connects; the callback has a fixed port. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { CAN_RUN_CHROMIUM, startChromium } from '../kit/browser/chromium.ts';
import { CLIENT_KINDS, connectClient } from '../kit/mcp/mcp_clients.ts';
import { OIDC_CLIENT, OIDC_HOST, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { freePort } from '../kit/servers/ports.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { oauthDefinition, openOAuthVault } from '../oauth/oauth_kit.ts';

const CLOSES_WITHIN_MS = 20_000;

describe.skipIf(!CAN_RUN_CHROMIUM)('a person at the page of an agent over stdio', () => {
  test('connects, and the port of the callback is free again afterwards', async () => {
    const oidc = await startOidcProvider();
    const home = temporaryFolder();
    const port = await freePort();
    const { vault, caller } = await openOAuthVault(oauthDefinition(), undefined, home);
    const env = { ...upstreamEnv(home), KEYHOLD_PORT: String(port) };
    const client = await connectClient(CLIENT_KINDS[2], home, env);
    onTestFinished(() => client.close());
    const requested = await client.call('update_credentials', { service_id: 'acme' });
    const { url, handle } = requested.structured as { url: string; handle: string };
    const browser = await startChromium({ hosts: { [OIDC_HOST]: oidc.port } });
    onTestFinished(() => browser.close());
    const { page, ...tab } = await browser.open();
    await page.goto(url);
    const callback = `http://127.0.0.1:${port}/dashboard/oauth/callback`;
    expect(await page.getByText(callback).isVisible()).toBe(true);
    await page.locator('[name="value.client_id"]').first().fill(OIDC_CLIENT.id);
    await page.locator('[name="value.client_secret"]').first().fill(OIDC_CLIENT.secret);
    await page.getByRole('button', { name: 'Connect with Acme' }).click();
    await page.waitForURL(`http://127.0.0.1:${port}/dashboard/oauth/result`);
    await tab.takeScreenshot('connect-local-result');
    expect(await page.getByRole('heading', { name: 'Connected' }).isVisible()).toBe(true);
    expect(await tab.history()).not.toMatch(/code=|state=/);
    const status = await client.call('get_credential_status', { handle });
    expect(status.text).toContain('added');
    expect(await vault.status(caller(), { service_id: 'acme' })).toMatchObject({
      status: 'active',
      credential_type: 'oauth2',
    });
    expect(client.stderr()).not.toContain(OIDC_CLIENT.secret);
    // Only the pages of handles and callbacks are served there.
    expect((await fetch(`http://127.0.0.1:${port}/dashboard`)).status).toBe(404);
    await expect.poll(() => isClosed(callback), { timeout: CLOSES_WITHIN_MS, interval: 500 }).toBe(true);
  }, 90_000);
});

function isClosed(url: string): Promise<boolean> {
  return fetch(url).then(
    () => false,
    () => true,
  );
}
