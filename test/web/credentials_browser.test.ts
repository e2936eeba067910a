/** A person stores, changes and deletes a credential in a real browser. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessible } from '../kit/browser/accessibility.ts';
import {
  CAN_RUN_CHROMIUM,
  startChromium,
  type TabOptions,
  type TestBrowser,
} from '../kit/browser/chromium.ts';
import { findCanary, newCanary } from '../kit/canary.ts';
import { startPages } from '../kit/http/page_client.ts';

describe.skipIf(!CAN_RUN_CHROMIUM)('the pages of credentials in a browser', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  test.each<TabOptions>([{}, { scheme: 'dark' }, { phone: true }, { javascript: false }])(
    'a person stores a credential by typing, switches it off and deletes it: %j',
    async (options) => {
      const server = await startPages();
      const key = await server.key({ scopes: ['credentials:read', 'credentials:write', 'approvals:decide'] });
      const tab = await browser.open(options);
      const { page } = tab;
      const scripted = options.javascript !== false;
      await page.goto(`${server.url}/dashboard`);
      await page.getByLabel('API key').fill(key);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('link', { name: /^Linear/ }).click();
      if (scripted) await expectAccessible(page);
      const canary = newCanary();
      await page.getByLabel('API key').fill(`lin_api_${canary.word}`);
      await page.getByRole('button', { name: 'Save credential' }).click();
      await page.getByText('Agents can now use Linear').waitFor();
      if (scripted) await expectAccessible(page);
      await page.getByRole('button', { name: 'Switch off' }).click();
      await page.getByText('No agent can use it until you switch it on.').waitFor();
      await page.getByRole('link', { name: 'Delete' }).click();
      await page.getByRole('button', { name: 'Delete credential' }).click();
      await page.getByText('The credential was deleted.').waitFor();
      expect(findCanary(await tab.traffic(), canary)).toEqual([]);
      expect(tab.urls().filter((url) => url.includes(key) || url.includes(canary.word))).toEqual([]);
      await page.goBack();
      await page.goBack();
      expect(findCanary(await page.content(), canary)).toEqual([]);
    },
  );
});
