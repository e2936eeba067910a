/** Texts that are HTML, in each text of a definition and in every name: no page contains them as markup, and no script of them runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { CAN_RUN_CHROMIUM, startChromium, type TestBrowser } from '../kit/browser/chromium.ts';
import { startPages } from '../kit/http/page_client.ts';
import { approveDefinitions, temporaryFolder } from '../kit/vault/temp_vault.ts';

/** Closes an attribute and an element, and sets `window.injected` if one of its parts becomes markup. */
const HTML = '"\'><img src=x onerror=window.injected=1><script>window.injected=1</script>';

const DEFINITION = {
  slug: 'evil',
  name: `Evil ${HTML}`,
  description: `Described ${HTML}`,
  category: 'other',
  fields: [
    {
      field_id: 'token',
      name: `Token ${HTML}`,
      description: `Field ${HTML}`,
      example: HTML,
      required: true,
      secret: true,
      max_length: 100,
    },
  ],
  value_field: { bearer: 'token' },
  credential_types: ['bearer'],
  hosts: ['evil.example.com'],
  injection: { in: 'header', headers: { Authorization: 'Bearer {token}' } },
};

describe.skipIf(!CAN_RUN_CHROMIUM)('a text that is HTML', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  test('in a definition, a stack, a credential, a key, a reason or a client name is shown as text, and no script runs', async () => {
    const home = temporaryFolder();
    mkdirSync(join(home, 'services'), { recursive: true });
    writeFileSync(join(home, 'services', 'evil.json'), JSON.stringify(DEFINITION));
    const server = await startPages({ home });
    const { vault } = server;
    await approveDefinitions(vault);
    const caller = { ...server.caller(), claimed_client: HTML };
    const stack = await vault.stacks.create(caller, { stack_name: HTML });
    const credentials = { token: 'value-of-the-test' };
    await vault.update(caller, { service_id: 'evil', credentials, name: HTML });
    await vault.update(caller, { service_id: 'evil', credentials, stack_id: stack.stack_id });
    await server.key({ name: HTML });
    const requested = { service_id: 'github', reason: HTML };
    await vault.approvals.access.request({ ...caller, edge: 'mcp' }, requested);
    const key = await server.key({ scopes: SCOPES.filter((scope) => scope !== 'values:reveal') });
    const { page } = await browser.open();
    await page.goto(server.url);
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForURL(/\/dashboard$/);
    const waiting = new Set(['/dashboard', '/dashboard/tools/evil']);
    const seen = new Set<string>();
    let shown = 0;
    for (const path of waiting) {
      if (seen.size >= 60) break;
      seen.add(path);
      await page.goto(server.url + path);
      expect(await page.evaluate('window.injected'), path).toBeUndefined();
      expect(
        await page.evaluate("document.querySelectorAll('img[src=x], [onerror], script:not([src])').length"),
        path,
      ).toBe(0);
      const text = await page.evaluate<string>('document.body.innerText');
      if (text.includes('onerror=window.injected=1')) shown += 1;
      const links = await page.evaluate<string[]>(
        "[...document.querySelectorAll('a[href^=\"/dashboard\"]')].map((link) => link.getAttribute('href'))",
      );
      for (const link of links)
        if (/evil|credentials|stacks|keys|audit|approvals/.test(link))
          waiting.add(link.split('#')[0] ?? link);
    }
    expect(seen.size).toBeGreaterThan(10);
    expect(shown).toBeGreaterThan(5);
  }, 120_000);
});
