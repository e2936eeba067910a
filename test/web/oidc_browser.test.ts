/** The sign-in with OpenID Connect in a real browser, at a provider on another site: with and without scripts, on a phone and in dark. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessible } from '../kit/browser/accessibility.ts';
import {
  CAN_RUN_CHROMIUM,
  startChromium,
  type Tab,
  type TabOptions,
  type TestBrowser,
} from '../kit/browser/chromium.ts';
import { startOidcPages } from '../kit/http/oidc_pages.ts';
import { SIGN_IN_CLIENT } from '../kit/servers/sign_in_provider.ts';

describe.skipIf(!CAN_RUN_CHROMIUM)('a person at the sign-in page', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  /** Presses the button and signs in at the provider. */
  async function signIn({ page }: Tab): Promise<void> {
    await page.getByRole('button', { name: 'Sign in with Acme SSO' }).click();
    await page.getByRole('heading', { name: 'Acme SSO', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Continue' }).click();
  }

  test.each<[title: string, options: TabOptions]>([
    ['with scripts', {}],
    ['without scripts', { javascript: false }],
    ['on a phone in dark', { phone: true, scheme: 'dark' }],
  ])(
    'signs in at the provider, arrives at the requested page, and signs out: %s',
    async (_title, options) => {
      const { server } = await startOidcPages();
      const tab = await browser.open(options);
      const { page } = tab;
      await page.goto(`${server.url}/dashboard/tools/linear`);
      await signIn(tab);
      await page.waitForURL(`${server.url}/dashboard/tools/linear`);
      await page.locator('details.account summary').click();
      expect(await page.locator('.menu-text').textContent()).toMatch(
        /^Signed in as oauth\/[0-9a-f]{12}\/person-1 of acme$/,
      );
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in to Keyhold' }).waitFor();
      await page.goto(`${server.url}/dashboard`);
      expect(page.url()).toBe(`${server.url}/dashboard/sign-in`);
      expect(await tab.traffic()).not.toContain(SIGN_IN_CLIENT.secret);
    },
    60_000,
  );

  test('leaves no code and no state in the address bar or the history, and the back button repeats nothing', async () => {
    const { server, provider } = await startOidcPages();
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(`${server.url}/dashboard`);
    await signIn(tab);
    await page.waitForURL(`${server.url}/dashboard`);
    for (let steps = 0; steps < 3; steps++) {
      await page.goBack();
      expect(page.url()).not.toMatch(/[?&](?:code|state)=.*callback|callback.*[?&](?:code|state)=/);
    }
    expect(provider.granted()).toBe(1);
  }, 60_000);

  test('who cancels, or finds the provider down, reads why and can use an API key', async () => {
    const { server, provider } = await startOidcPages();
    const tab = await browser.open();
    const { page } = tab;
    await page.goto(`${server.url}/dashboard`);
    await page.getByRole('button', { name: 'Sign in with Acme SSO' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('The sign-in was cancelled').waitFor();
    await expectAccessible(page);
    const down = await startOidcPages({ settings: { issuer: 'http://localhost:1' } });
    await page.goto(`${down.server.url}/dashboard`);
    await page.getByRole('button', { name: 'Sign in with Acme SSO' }).click();
    await page.getByText('The identity provider does not work at present').waitFor();
    await page.getByLabel('API key').fill(await down.server.key());
    await page.getByRole('button', { name: 'Sign in with a key' }).click();
    await page.waitForURL(`${down.server.url}/dashboard`);
    expect(provider.granted()).toBe(0);
  }, 60_000);

  test.each<[title: string, options: TabOptions]>([
    ['light', {}],
    ['dark', { scheme: 'dark' }],
    ['phone', { phone: true }],
  ])(
    'finds pages without a finding of axe-core, and none is wider than the screen: %s',
    async (title, options) => {
      const { server } = await startOidcPages();
      const { page } = await browser.open(options);
      // Without the header, the browser stays on the page that leads to the provider.
      await page.route('**/sign-in/oidc', async (route) => {
        const response = await route.fetch();
        const { refresh: _, ...headers } = response.headers();
        await route.fulfill({ response, headers });
      });
      await page.goto(`${server.url}/dashboard`);
      const expectGood = async (name: string) => {
        await expectAccessible(page);
        const width = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
        expect(width, name).toBeLessThanOrEqual(0);
        const folder = process.env.SCREENSHOTS;
        if (folder !== undefined) await page.screenshot({ path: `${folder}/oidc-${name}-${title}.png` });
      };
      await expectGood('sign-in');
      await page.getByRole('button', { name: 'Sign in with Acme SSO' }).click();
      await page.getByRole('link', { name: 'Continue to Acme SSO' }).waitFor();
      await expectGood('continue');
    },
    60_000,
  );
});
