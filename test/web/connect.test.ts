/** A person connects a service with OAuth in a real browser, at a real authorization server (oidc-provider). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import { CALLBACK_PATH } from '../../src/contract/pages.ts';
import type { OAuthEndpoints } from '../../src/contract/service/authentication.ts';
import { expectAccessible } from '../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type Tab, type TabOptions } from '../kit/browser/chromium.ts';
import { startPages } from '../kit/http/page_client.ts';
import { OIDC_CLIENT, OIDC_HOST, type OidcOptions, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { CLIENT_VALUES, oauthDefinition } from '../oauth/oauth_kit.ts';

const ACME = { service_id: 'acme' };
const PAGE = '/dashboard/connect/acme';

async function setup(options: OidcOptions = {}, oauth: Partial<OAuthEndpoints> = {}) {
  // Of a native client: any port of the loopback address is accepted (RFC 8252, section 7.3).
  const oidc = await startOidcProvider(options);
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(oauthDefinition(oauth)));
  const server = await startPages({ home, env: upstreamEnv(home) });
  const person = (): Caller => ({ ...server.caller(), edge: 'web', is_person: true });
  const status = () => server.vault.status(person(), ACME);
  const storeClient = () => server.vault.update(person(), { ...ACME, credentials: CLIENT_VALUES });
  return { ...server, oidc, person, status, storeClient };
}

type Setup = Awaited<ReturnType<typeof setup>>;

async function openSignedIn(pages: Setup, path: string, options: TabOptions = {}): Promise<Tab> {
  const browser = await startChromium({ hosts: { [OIDC_HOST]: pages.oidc.port } });
  onTestFinished(() => browser.close());
  const tab = await browser.open(options);
  await tab.page.goto(pages.url + path);
  await tab.page.getByLabel('API key').fill(await pages.key());
  await tab.page.getByRole('button', { name: 'Sign in' }).click();
  await tab.page.waitForURL(pages.url + path);
  return tab;
}

describe.skipIf(!CAN_RUN_CHROMIUM)('a person in a browser', () => {
  test('enters the client, permits access at the provider, and comes back to a page without the code', async () => {
    const pages = await setup();
    const tab = await openSignedIn(pages, PAGE);
    const { page } = tab;
    await tab.takeScreenshot('connect-1-client');
    expect(await page.getByText(`${pages.url}${CALLBACK_PATH}`).isVisible()).toBe(true);
    await expectAccessible(page);
    await page.locator('[name="value.client_id"]').fill(OIDC_CLIENT.id);
    await page.locator('[name="value.client_secret"]').fill(OIDC_CLIENT.secret);
    await page.getByRole('button', { name: 'Connect with Acme' }).click();
    await page.waitForURL(/\/dashboard\/credentials\//);
    await tab.takeScreenshot('connect-2-connected');
    expect(await page.getByText('Acme is connected.').isVisible()).toBe(true);
    const { search, hash } = new URL(page.url());
    expect([search, hash]).toEqual(['', '']);
    const history = await tab.history();
    expect(history).not.toMatch(/code=|state=/);
    expect(await pages.status()).toMatchObject({ status: 'active', credential_type: 'oauth2' });
    expect(pages.oidc.granted).toEqual(new Map([['authorization_code', 1]]));
    const callback = tab.urls().find((url) => url.includes(`${CALLBACK_PATH}?`)) ?? '';
    const code = new URL(callback).searchParams.get('code') ?? 'no code';
    const logged = JSON.stringify([pages.log, await pages.vault.listAudit(pages.person())]);
    expect(logged).not.toContain(code);
    // The callback again, as from a copied address: nothing is sent to the provider.
    await page.goto(callback);
    expect(new URL(page.url()).pathname).toBe('/dashboard/oauth/result');
    expect(await page.getByRole('heading', { name: 'Not connected' }).isVisible()).toBe(true);
    expect(pages.oidc.granted).toEqual(new Map([['authorization_code', 1]]));
    await expectAccessible(page);
  }, 60_000);

  test('connects without JavaScript, on a phone in dark, with the link of the page', async () => {
    const pages = await setup();
    await pages.storeClient();
    const tab = await openSignedIn(pages, PAGE, { javascript: false, phone: true, scheme: 'dark' });
    const { page } = tab;
    expect(await page.getByText('The client that you registered at Acme is stored.').isVisible()).toBe(true);
    await tab.takeScreenshot('connect-3-phone');
    await page.getByRole('button', { name: 'Connect with Acme' }).click();
    await page.waitForURL(/\/dashboard\/credentials\//);
    expect(await pages.status()).toMatchObject({ status: 'active' });
  }, 60_000);

  test('who declines at the provider sees that nothing was stored', async () => {
    const pages = await setup({ decide: 'deny' });
    await pages.storeClient();
    const tab = await openSignedIn(pages, PAGE);
    const { page } = tab;
    await page.getByRole('button', { name: 'Connect with Acme' }).click();
    await page.waitForURL(/\/dashboard\/oauth\/result$/);
    await tab.takeScreenshot('connect-4-declined');
    expect(await page.getByText('Access to Acme was declined there. Nothing was stored.').isVisible()).toBe(
      true,
    );
    expect(pages.oidc.granted.size).toBe(0);
    expect((await pages.status()).optional_credentials.access_token).toBe('missing');
  }, 60_000);

  test('completes the handle of an agent with a connection', async () => {
    const pages = await setup();
    const agent = pages.caller();
    const { handle } = await pages.vault.handles.create(agent, ACME);
    const tab = await openSignedIn(pages, `/dashboard/enter/${handle}`);
    const { page } = tab;
    await tab.takeScreenshot('connect-5-handle');
    await expectAccessible(page);
    await page.locator('[name="value.client_id"]').first().fill(OIDC_CLIENT.id);
    await page.locator('[name="value.client_secret"]').first().fill(OIDC_CLIENT.secret);
    await page.getByRole('button', { name: 'Connect with Acme' }).click();
    await page.waitForURL(/\/dashboard\/oauth\/result$/);
    await tab.takeScreenshot('connect-6-result');
    expect(await page.getByRole('heading', { name: 'Connected' }).isVisible()).toBe(true);
    expect(await pages.vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
    expect((await pages.status()).optional_credentials.access_token).toBe('added');
  }, 60_000);

  test('with a device code sees the code, and the page goes on by itself when it was entered', async () => {
    const pages = await setup();
    await pages.storeClient();
    const tab = await openSignedIn(pages, PAGE);
    const { page } = tab;
    await page.getByRole('button', { name: 'Connect with a code' }).click();
    await page.waitForURL(/\/device\//);
    await tab.takeScreenshot('connect-7-device');
    const code = await page.locator('.device-code').innerText();
    expect(code).toMatch(/^[A-Z]{4}-[A-Z]{4}$/);
    await expectAccessible(page);
    await pages.oidc.enterCode('https://auth.acme.test/device', code);
    await page.waitForURL(/\/dashboard\/credentials\//);
    expect(await page.getByText('Acme is connected.').isVisible()).toBe(true);
    expect(await pages.status()).toMatchObject({ status: 'active', credential_type: 'oauth2' });
  }, 60_000);
});
