/** Journeys of a person through the pages in a real browser: sign in, search, sign out, and accessibility of every page. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessibleInBothThemes } from '../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type Tab, type TestBrowser } from '../kit/browser/chromium.ts';
import { type PageServer, startPages } from '../kit/http/page_client.ts';

/** With the scopes that the pages of the navigation take. */
const SCOPES = ['credentials:read', 'credentials:write', 'stacks:write', 'keys:write', 'audit:read'] as const;

describe.skipIf(!CAN_RUN_CHROMIUM)('a person at the pages', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  async function serverWithKey(): Promise<{ readonly server: PageServer; readonly key: string }> {
    const server = await startPages();
    const { vault, caller } = server;
    const credentials = { linear_api_key: `lin_api_${'a'.repeat(40)}` };
    await vault.update(caller(), { service_id: 'linear', credentials });
    return { server, key: await server.key({ scopes: [...SCOPES] }) };
  }

  async function signIn({ page }: Tab, url: string, key: string): Promise<void> {
    await page.goto(url);
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(/\/dashboard$/);
  }

  const linksOf = ({ page }: Tab): Promise<string[]> =>
    page.evaluate("[...document.querySelectorAll('nav[aria-label=Main] a')].map((link) => link.href)");

  test('signs in with a key, which is in no URL and no page, searches, and signs out; the back button then shows nothing', async () => {
    const { server, key } = await serverWithKey();
    const tab = await browser.open();
    const { page } = tab;
    await signIn(tab, server.url, key);
    await page.getByRole('searchbox').fill('linear');
    await page.waitForURL(/q=linear/);
    expect(await page.locator('.row').count()).toBe(1);
    expect(await page.getByText('Stripe', { exact: true }).count()).toBe(0);
    await page.locator('details.account summary').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/sign-in/);
    await page.goBack();
    await page.waitForURL(/sign-in/);
    expect(await page.getByText('Linear').count()).toBe(0);
    expect(tab.urls().join('\n')).not.toContain(key);
    expect(await tab.traffic()).not.toContain(key);
    expect(await page.content()).not.toContain(key);
  });

  test('has no finding of axe-core on any page of the navigation, light and dark', async () => {
    const { server, key } = await serverWithKey();
    const tab = await browser.open();
    await tab.page.goto(server.url);
    await expectAccessibleInBothThemes(tab.page);
    await signIn(tab, server.url, key);
    const links = await linksOf(tab);
    expect(links.length).toBeGreaterThanOrEqual(2);
    for (const link of links) {
      await tab.page.goto(link);
      await expectAccessibleInBothThemes(tab.page);
    }
  }, 60_000);

  test('reads every page of the navigation on a phone and without scripts, and no page is wider than the screen', async () => {
    const { server, key } = await serverWithKey();
    const phone = await browser.open({ phone: true });
    await signIn(phone, server.url, key);
    const links = await linksOf(phone);
    for (const link of links) {
      await phone.page.goto(link);
      expect([link, await phone.page.evaluate('document.documentElement.scrollWidth')]).toEqual([link, 390]);
    }
    const plain = await browser.open({ javascript: false });
    await signIn(plain, server.url, key);
    await plain.page.getByRole('searchbox').fill('linear');
    await plain.page.getByRole('button', { name: 'Search' }).click();
    expect(await plain.page.locator('.row').count()).toBe(1);
    for (const link of links) {
      await plain.page.goto(link);
      expect([link, await plain.page.locator('h1').count()]).toEqual([link, 1]);
    }
    await plain.page.getByRole('button', { name: 'Verify the log' }).click();
    expect(await plain.page.getByText('The audit log is intact').count()).toBe(1);
  }, 60_000);
});
