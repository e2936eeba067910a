/**
 * `npx tsx test/demo/screenshots.ts [FOLDER]`, after a build: pictures of the pages of a vault with invented data, by default
 * into docs/images. Needs the Debian package `chromium`. Sends nothing to another machine.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContextOptions, chromium } from 'playwright-core';
import { type OpenedVault, openVault } from '../../src/index.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/keyhold.js', import.meta.url));
const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs/images', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'keyhold-screenshots-'));
const QUALITY_PERCENT = 82;
const DAY_MS = 86_400_000;

/** Each picture: its name, the page, and how it is shown. */
const PICTURES: readonly (readonly [name: string, page: string, options?: BrowserContextOptions])[] = [
  ['services', '/dashboard'],
  ['services-dark', '/dashboard', { colorScheme: 'dark' }],
  ['services-phone', '/dashboard', { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2 }],
  ['connect-service', '/dashboard/tools/stripe'],
  ['connect-oauth', '/dashboard/connect/slack'],
  ['credential', 'LINEAR'],
  ['approval', 'APPROVAL'],
  ['api-keys', '/dashboard/keys', { colorScheme: 'dark' }],
  ['audit-log', '/dashboard/audit'],
];

async function fill(vault: OpenedVault): Promise<void> {
  const definitions = new Map((await vault.listServiceDefinitions()).map((one) => [one.slug, one]));
  const after = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();
  const store = async (
    slug: string,
    more: { name?: string; expires_at?: string; stack_id?: string } = {},
  ) => {
    const service = definitions.get(slug);
    const needed = service?.fields.filter(
      ({ field_id, required }) => required || service.requires?.[0]?.includes(field_id),
    );
    const credentials = Object.fromEntries(
      (needed ?? []).map(({ field_id, choices, example }) => [
        field_id,
        choices?.[0]?.value ?? example ?? 'invented-value-0001',
      ]),
    );
    await vault.updateCredentials({ service_id: slug, credentials, ...more });
  };
  for (const slug of ['postgresql', 'notion', 'slack', 'openai', 'github', 'linear']) await store(slug);
  await store('linear', { name: 'work', expires_at: after(60) });
  await store('stripe', { name: 'test mode', expires_at: after(9) });
  const { stack_id } = await vault.createStack({ stack_name: 'Production' });
  await store('sendgrid', { stack_id });
  await vault.setUsePolicy({ service_id: 'github', use_policy: { approve: 'writes' } });
  await vault.createKey({ name: 'Claude on the laptop' });
  await vault.createKey({
    name: 'CI deploy',
    scopes: ['credentials:read', 'credentials:use'],
    allowed_services: ['github', 'linear'],
    expires_at: after(6),
  });
  // Waits for a person, so nothing is sent.
  await vault
    .callService({
      service_id: 'github',
      method: 'POST',
      path: '/repos/acme/app/issues',
      body: { title: 'The checkout fails for carts without a coupon', labels: ['bug'] },
      reason: 'File the defect that the user has reported',
    })
    .catch(() => undefined);
}

async function takePictures(url: string): Promise<void> {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  try {
    const session = await browser.newContext();
    const page = await session.newPage();
    await page.goto(`${url}/dashboard/sign-in`);
    await page.fill('input[name=api_key]', readFileSync(join(home, 'keys', 'admin.key'), 'utf8').trim());
    await page.click('main button[type=submit]');
    const linkOf = async (path: string, selector: string) => {
      await page.goto(url + path);
      return (await page.locator(selector).first().getAttribute('href')) ?? '';
    };
    const links = new Map([
      ['LINEAR', await linkOf('/dashboard/tools/linear', 'a[href*="/credentials/"]')],
      ['APPROVAL', await linkOf('/dashboard/approvals', 'a[href*="/approvals/"]')],
    ]);
    const storageState = await session.storageState();
    for (const [name, path, options] of PICTURES) {
      const context = await browser.newContext({
        storageState,
        viewport: { width: 1200, height: 860 },
        ...options,
      });
      const tab = await context.newPage();
      await tab.goto(url + (links.get(path) ?? path));
      await tab.screenshot({ path: join(folder, `${name}.jpg`), type: 'jpeg', quality: QUALITY_PERCENT });
      await context.close();
    }
  } finally {
    await browser.close();
  }
}

mkdirSync(folder, { recursive: true });
try {
  const env = { PATH: process.env.PATH, KEYHOLD_HOME: home, KEYHOLD_PORT: '0', KEYHOLD_RATE_LIMIT: '0' };
  const server = spawn(process.execPath, [PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = await server.stdout.setEncoding('utf8').take(1).toArray();
    // After the server has made the first key.
    const vault = await openVault({ home });
    await fill(vault);
    await vault.close();
    await takePictures(String(line).trim().split(' ').at(-1) ?? '');
  } finally {
    server.kill();
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
