/** The kit for browsers itself, with pages that have known defects. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessible, expectAccessibleInBothThemes } from '../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type TestBrowser } from '../kit/browser/chromium.ts';

const HEAD = '<!doctype html><html lang="en"><head><title>A page</title></head>';
const GOOD = `${HEAD}<body><main><h1>Heading</h1><p id="who">static</p><script>who.textContent='script'</script></main></body></html>`;
const DEFECT = `${HEAD}<body><main><h1>Heading</h1><input type="text"></main></body></html>`;
const DARK_STYLE =
  '<style>@media (prefers-color-scheme: dark) { p { color: #222; background: #111 } }</style>';
const DARK_DEFECT = `${HEAD}<body>${DARK_STYLE}<main><h1>Heading</h1><p>Text</p></main></body></html>`;

describe.skipIf(!CAN_RUN_CHROMIUM)('the kit for browsers', () => {
  let browser: TestBrowser;
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      if (request.url === '/strict') response.setHeader('content-security-policy', "default-src 'none'");
      const defects = new Map([
        ['/defect', DEFECT],
        ['/dark-defect', DARK_DEFECT],
      ]);
      response.end(defects.get(request.url ?? '') ?? GOOD);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await startChromium();
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });

  test('finds a field without a label', async () => {
    const { page } = await browser.open();
    await page.goto(`${url}/defect`);
    await expect(expectAccessible(page)).rejects.toThrow('label');
  });

  test('finds a contrast that is too low in the dark theme only', async () => {
    const { page } = await browser.open();
    await page.goto(`${url}/dark-defect`);
    await expectAccessible(page);
    await expect(expectAccessibleInBothThemes(page)).rejects.toThrow('contrast');
  });

  test('checks a page whose content security policy forbids all scripts', async () => {
    const { page } = await browser.open();
    await page.goto(`${url}/strict`);
    expect(await page.textContent('#who')).toBe('static');
    await expectAccessible(page);
  });

  test('shows a page without JavaScript, dark, and as wide as a phone', async () => {
    const { page } = await browser.open({ javascript: false, scheme: 'dark', phone: true });
    await page.goto(url);
    expect(await page.textContent('#who')).toBe('static');
    expect(page.viewportSize()?.width).toBe(390);
    const scripted = await browser.open({ scheme: 'dark' });
    await scripted.page.goto(url);
    expect(await scripted.page.textContent('#who')).toBe('script');
    expect(await scripted.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")).toBe(true);
  });

  test('records the URLs, the headers and the bodies that a tab has loaded', async () => {
    const tab = await browser.open();
    await tab.page.goto(`${url}/some/path`);
    expect(tab.urls()[0]).toBe(`${url}/some/path`);
    expect(await tab.traffic()).toMatch(/GET http.* 200 .*"content-type":"text\/html".*<h1>Heading<\/h1>/);
  });

  test('keeps the cookies of two tabs apart, unless they share a profile', async () => {
    const first = await browser.open();
    await first.profile.addCookies([{ name: 'a', value: '1', url }]);
    const second = await browser.open();
    const shared = await browser.open({ profile: first.profile });
    expect((await second.profile.cookies()).length).toBe(0);
    expect((await shared.profile.cookies()).length).toBe(1);
  });
});
