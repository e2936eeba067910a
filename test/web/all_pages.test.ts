/** Every page of the web app, found by its routes and reached by links, with long texts and much data, on a phone and with axe-core. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWebApp } from '../../src/web/app.ts';
import { expectAccessibleInBothThemes } from '../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type Tab, type TestBrowser } from '../kit/browser/chromium.ts';
import { signInWithKey } from '../kit/browser/sign_in.ts';
import { type PageServer, startPages } from '../kit/http/page_client.ts';
import { ACME } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const LONG_NAME = 'Donaudampfschifffahrtsgesellschaftskapitaen'.repeat(2);
const LONG_TEXT = `${LONG_NAME} ${'with a long description '.repeat(8)}`.trim();
const STACKS = 30;
const UPDATES = 150;
const SCOPES = [
  'credentials:read',
  'credentials:write',
  'credentials:use',
  'stacks:write',
  'keys:write',
  'audit:read',
  'approvals:decide',
] as const;

describe.skipIf(!CAN_RUN_CHROMIUM)('every page', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  test('is reached by links, and with long texts is as wide as a phone, accessible, and without an error', async () => {
    const home = temporaryFolder();
    defineLongService(home);
    const server = await startPages({ home });
    const handle_url = await fill(server);
    const key = await server.key({ scopes: [...SCOPES], name: LONG_NAME.slice(0, 60) });
    const routes = await routesOf(server);
    expect(routes.size).toBeGreaterThan(12);
    const tab = await browser.open({ phone: true });
    await tab.page.goto(server.url);
    await signInWithKey(tab.page, key);
    const { visited, too_wide } = await visit(tab, server, [handle_url], routes);
    expect(too_wide).toEqual([]);
    expect(tab.problems()).toEqual([]);
    expect([...routes.keys()].filter((path) => !visited.has(path)).sort()).toEqual([...NOT_LINKED].sort());
  }, 300_000);
});

/** Before the sign-in, after a POST or a callback, and of a stack that is shared with a user. */
const NOT_LINKED = [
  '/dashboard/sign-in',
  '/dashboard/approvals/:approval_id/revoke',
  '/dashboard/connect/:service_id/device/:device_id',
  '/dashboard/oauth/callback',
  '/dashboard/oauth/result',
  '/dashboard/stacks/:stack_id/unshare',
  '/dashboard/enter/:handle/end',
];

/** The paths of all pages, each with a pattern for addresses. */
async function routesOf({ parts }: PageServer): Promise<Map<string, RegExp>> {
  const { app } = await createWebApp(parts, { requests_per_minute: 0, auth_failures_per_minute: 0 });
  const paths = app.routes.filter(({ method, path }) => method === 'GET' && !path.includes('/assets/'));
  return new Map(paths.map(({ path }) => [path, new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`)]));
}

/** Follows links until no route is left that a link leads to, and checks one page of each route. */
async function visit(
  { page }: Tab,
  { url }: PageServer,
  more: readonly string[],
  routes: ReadonlyMap<string, RegExp>,
) {
  const visited = new Set<string>();
  const too_wide: string[] = [];
  const links = ['/dashboard', '/dashboard/tools/long', ...more];
  for (let link = links.shift(); link !== undefined; link = links.shift()) {
    const { pathname } = new URL(link, url);
    // A path without a parameter is more exact than one with a parameter.
    const matching = [...routes].filter(([, pattern]) => pattern.test(pathname)).map(([path]) => path);
    const [route] = matching.sort((one, other) => one.split(':').length - other.split(':').length);
    if (route === undefined || visited.has(route)) continue;
    visited.add(route);
    await page.goto(new URL(link, url).href);
    const width = await page.evaluate('document.documentElement.scrollWidth');
    if (width !== 390) too_wide.push(`${link}: ${width}`);
    await expectAccessibleInBothThemes(page);
    const found = await page.evaluate<string[]>(
      `[...document.querySelectorAll('a[href^="/dashboard"]')].map((one) => one.getAttribute('href'))`,
    );
    links.push(...found);
  }
  return { visited, too_wide };
}

function defineLongService(home: string): void {
  const fields = ACME.fields.map((field) => ({ ...field, name: LONG_NAME, description: LONG_TEXT }));
  const definition = { ...ACME, slug: 'long', name: LONG_NAME.slice(0, 60), description: LONG_TEXT, fields };
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'long.json'), JSON.stringify(definition));
}

/** Many stacks, credentials, approvals and audit entries. Returns the address of a handle. */
async function fill({ vault, caller, url }: PageServer): Promise<string> {
  for (let stack = 0; stack < STACKS; stack++)
    await vault.stacks.create(caller(), { stack_name: `${stack} ${LONG_NAME.slice(0, 60)}` });
  const name = LONG_NAME.slice(0, 60);
  for (let update = 0; update < UPDATES; update++)
    await vault.update(caller(), { service_id: 'long', name, credentials: { acme_key: `value ${update}` } });
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  const credentials = { linear_api_key: 'lin_api_x' };
  await vault.update(caller(), { service_id: 'linear', credentials, expires_at });
  await vault.approvals.access.request(caller(), { service_id: 'github', reason: LONG_TEXT.slice(0, 200) });
  const { handle } = await vault.handles.create(
    { ...caller(), edge: 'mcp', claimed_client: LONG_NAME },
    { service_id: 'long', name },
  );
  return `${url}/dashboard/enter/${handle}`;
}
