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

  test('declines the request of an agent beside the connection', async () => {
    const pages = await setup();
    const agent = pages.caller();
    const { handle } = await pages.vault.handles.create(agent, ACME);
    const { page } = await openSignedIn(pages, `/dashboard/enter/${handle}`);
    await page.getByRole('button', { name: 'Decline' }).click();
    await page.getByRole('heading', { name: 'Declined' }).waitFor();
    expect(await pages.vault.handles.status(agent, handle)).toMatchObject({ state: 'declined' });
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

describe('a callback', () => {
  const CALLBACK = `${CALLBACK_PATH}?code=c0de-of-the-test&state=${'s'.repeat(43)}&iss=https%3A%2F%2Fauth.acme.test`;

  test('with an unknown state, or with that of another user, sends and stores nothing, and its parameters leave the address', async () => {
    const pages = await setup();
    await pages.storeClient();
    const { authorization_url } = await pages.parts.connections.start(
      pages.person(),
      ACME,
      `${pages.url}${CALLBACK_PATH}`,
    );
    const callback = await pages.oidc.approve(authorization_url);
    const other = await pages.signedIn({ user: 'other' });
    const own = await pages.signedIn();
    for (const [browser, path] of [
      [own, CALLBACK],
      [own, CALLBACK_PATH],
      [other, callback.pathname + callback.search],
    ] as const) {
      const refused = await browser.get(path);
      expect([refused.status, refused.location]).toEqual([303, '/dashboard/oauth/result']);
      expect((await browser.get('/dashboard/oauth/result')).text).toContain('Not connected');
    }
    expect(pages.oidc.granted.size).toBe(0);
    expect((await pages.status()).optional_credentials.access_token).toBe('missing');
    // The person's own callback still works.
    const connected = await own.get(callback.pathname + callback.search);
    expect(connected.location).toMatch(/^\/dashboard\/credentials\/[\w-]+$/);
  }, 60_000);

  test('without a session goes to the sign-in page, without the code in its address', async () => {
    const pages = await setup();
    const refused = await pages.browser().get(CALLBACK);
    expect([refused.status, refused.location]).toEqual([303, '/dashboard/sign-in']);
  });

  test('as HEAD changes nothing', async () => {
    const pages = await setup();
    const browser = await pages.signedIn();
    expect((await browser.send(CALLBACK, { method: 'HEAD' })).status).toBe(405);
  });
});

describe('a connection', () => {
  test('of another site, or without the CSRF token, is not started', async () => {
    const pages = await setup();
    await pages.storeClient();
    const browser = await pages.signedIn();
    await browser.get(PAGE);
    const started = async (headers: Record<string, string>, fields: Record<string, string> = {}) =>
      (await browser.post(PAGE, { grant: 'authorization_code', ...fields }, headers)).status;
    expect(await started({ origin: 'https://evil.test' })).toBe(403);
    expect(await started({}, { csrf_token: 'x'.repeat(43) })).toBe(403);
    const { entries } = await pages.vault.listAudit(pages.person(), { action: 'start_connection' });
    expect(entries).toEqual([]);
  });

  test('stores no other field than those of the client', async () => {
    const pages = await setup();
    const browser = await pages.signedIn();
    await browser.get(PAGE);
    const refused = await browser.post(PAGE, {
      'value.client_id': OIDC_CLIENT.id,
      'value.access_token': 'a token of the person',
    });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('This page stores only the fields that a connection needs.');
    expect((await pages.status()).status).toBe('missing');
  });

  test('is not offered for a service without OAuth', async () => {
    const pages = await setup();
    const browser = await pages.signedIn();
    const refused = await browser.get('/dashboard/connect/openai');
    expect(refused.status).toBe(400);
  });
});
