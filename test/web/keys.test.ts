/** The pages of API keys: who may, what a key is limited to, and that it is shown once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../src/contract/api_key.ts';
import { CAN_RUN_CHROMIUM, startChromium, type TestBrowser } from '../kit/browser/chromium.ts';
import { startPages } from '../kit/http/page_client.ts';

const PATH = '/dashboard/keys';
const SCOPES: CreateKeyInput['scopes'] = ['credentials:read', 'credentials:use', 'keys:write'];
const KEY = /kh_[0-9a-f]{32}_[\w-]+/;
const HOSTILE = `"><script>alert(1)</script>'&`;
const CHOICES = { expires: '90', scope: 'credentials:read', uses: 'all' };

test('a session without keys:write sees why and what to do, and changes nothing', async () => {
  const server = await startPages();
  const browser = await server.signedIn({ scopes: ['credentials:read'] });
  for (const path of [PATH, `${PATH}/new`]) {
    const { status, text } = await browser.get(path);
    expect([path, status]).toEqual([path, 200]);
    expect(text).toContain('<code>keys:write</code>');
    expect(text).toContain('keyhold keys create');
    expect(text).not.toContain('kh_');
  }
  const { keys } = await server.vault.api_keys.list(server.caller());
  expect((await browser.post(`${PATH}/new`, CHOICES)).status).toBe(403);
  expect((await browser.get(`${PATH}/${keys[0]?.id}/revoke`)).status).toBe(403);
  for (const action of ['rotate', 'revoke'])
    expect((await browser.post(`${PATH}/${keys[0]?.id}/${action}`)).status).not.toBe(200);
  expect(await server.vault.api_keys.list(server.caller())).toMatchObject({ keys: [{ id: keys[0]?.id }] });
});

test('a choice that the page does not offer, a missing token and a wider key are refused, and nothing is created', async () => {
  const server = await startPages();
  const browser = await server.signedIn({ user: 'ana', scopes: SCOPES });
  await browser.get(`${PATH}/new`);
  const count = async () => (await server.vault.api_keys.list(server.caller())).keys.length;
  const before = await count();
  const refused = [
    [{ ...CHOICES, scope: 'everything' }, 400, 'Choose the expiry'],
    [{ ...CHOICES, expires: '100000' }, 400, 'Choose the expiry'],
    [{ ...CHOICES, uses: 'none' }, 400, 'Choose the expiry'],
    [{ expires: '90', uses: 'all' }, 400, 'at least one scope'],
    [{ ...CHOICES, scope: 'org:admin' }, 403, 'scopes that its creator lacks'],
    [{ ...CHOICES, scope: 'approvals:decide' }, 403, 'scopes that its creator lacks'],
    [{ ...CHOICES, user: 'bob' }, 403, 'org:admin'],
    [{ ...CHOICES, csrf_token: 'wrong' }, 403, 'another session'],
  ] as const;
  for (const [sent, status, message] of refused) {
    const response = await browser.post(`${PATH}/new`, sent);
    expect([sent, response.status, response.text.includes(message)]).toEqual([sent, status, true]);
    expect(response.text).not.toMatch(KEY);
  }
  expect(await count()).toBe(before);
  const page = (await browser.get(`${PATH}/new`)).text;
  expect(page).not.toContain('value="org:admin"');
  expect(page).not.toContain('name="user"');
});

test('the keys of other users are not listed, rotated or revoked, except by an administrator', async () => {
  const server = await startPages();
  const bob = await server.signedIn({ user: 'bob', name: 'of-bob', scopes: SCOPES });
  const ana = await server.signedIn({ user: 'ana', name: HOSTILE, scopes: SCOPES });
  const own = (await ana.get(PATH)).text;
  expect(own).toContain('This sign-in');
  expect(own).not.toContain('of-bob');
  expect(own).not.toContain('<script>alert');
  const { keys } = await server.vault.api_keys.list(server.caller());
  const id = keys.find(({ user }) => user === 'bob')?.id;
  for (const action of ['rotate', 'revoke']) {
    expect((await ana.get(`${PATH}/${id}/${action}`)).status).toBe(404);
    expect((await ana.post(`${PATH}/${id}/${action}`)).status).toBe(404);
    expect((await ana.get(`${PATH}/none/${action}`)).status).toBe(404);
  }
  expect((await bob.get(PATH)).status).toBe(200);
  const admin = await server.signedIn({ scopes: ['credentials:read', 'keys:write', 'org:admin'] });
  expect((await admin.get(PATH)).text).toContain('of-bob');
  await admin.post(`${PATH}/${id}/revoke`);
  expect((await bob.get(PATH)).location).toBe('/dashboard/sign-in?next=%2Fdashboard%2Fkeys');
});

test('a new key has the chosen name, scopes, expiry and restrictions, and is shown by no later page', async () => {
  const server = await startPages();
  const credentials = { linear_api_key: `lin_api_${'a'.repeat(40)}` };
  await server.vault.update(server.caller(), { service_id: 'linear', credentials });
  const browser = await server.signedIn({ scopes: SCOPES });
  expect((await browser.get(`${PATH}/new`)).text).toContain('value="linear"');
  const made = await browser.post(`${PATH}/new`, {
    name: 'CI',
    expires: '30',
    scope: 'credentials:use',
    stack: 'default',
    service: 'linear',
    uses: 'read',
  });
  const [key = ''] = KEY.exec(made.text) ?? [];
  expect([made.status, made.location, made.headers.get('cache-control')]).toEqual([200, null, 'no-store']);
  expect(made.text).toContain(`data-copy="${key}"`);
  expect(made.headers.getSetCookie().join()).not.toContain('flash');
  const info = (await server.vault.api_keys.list(server.caller())).keys.find(({ name }) => name === 'CI');
  expect(info).toMatchObject({
    scopes: ['credentials:use'],
    stack_id: 'default',
    allowed_services: ['linear'],
    use_policy: { methods: ['GET', 'HEAD', 'OPTIONS'] },
  });
  expect(await server.vault.api_keys.authenticate(key, 'rest', 'r')).toMatchObject({ user: 'me' });
  for (const path of [PATH, `${PATH}/new`, `${PATH}/${info?.id}/rotate`])
    expect((await browser.get(path)).text).not.toContain(key);
  expect((await browser.get(PATH)).text).toContain('methods GET, HEAD, OPTIONS');
  const rotated = await browser.post(`${PATH}/${info?.id}/rotate`);
  const [next = ''] = KEY.exec(rotated.text) ?? [];
  expect([next === key, next.slice(0, 36)]).toEqual([false, key.slice(0, 36)]);
  await expect(server.vault.api_keys.authenticate(key, 'rest', 'r')).rejects.toThrow('valid API key');
  expect((await browser.post(`${PATH}/${info?.id}/revoke`)).location).toBe(PATH);
  expect((await browser.get(PATH)).text).toContain('The key was revoked.');
  await expect(server.vault.api_keys.authenticate(next, 'rest', 'r')).rejects.toThrow('valid API key');
  expect(JSON.stringify(server.log)).not.toContain(key.slice(36));
});

describe.skipIf(!CAN_RUN_CHROMIUM)('in Chromium', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  test.each([{ javascript: false, phone: true }, {}])(
    'a person creates and revokes a key, which is in no URL, no history and no later page: %j',
    async (options) => {
      const server = await startPages();
      const tab = await browser.open(options);
      const { page } = tab;
      await page.goto(`${server.url}/dashboard/sign-in`);
      await page.fill('input[name=api_key]', await server.key({ scopes: SCOPES }));
      await page.click('main button[type=submit]');
      await page.getByRole('link', { name: 'API keys' }).click();
      await page.getByRole('link', { name: 'Create a key' }).click();
      await page.getByLabel('Name').fill('Laptop');
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByText('Copy the key now').waitFor();
      const key = (await page.textContent('main .code code')) ?? '';
      expect(key).toMatch(KEY);
      expect(page.url()).not.toContain(key);
      await page.getByRole('link', { name: 'I have saved it' }).click();
      await page.getByRole('link', { name: 'Revoke Laptop' }).waitFor();
      expect(await page.content()).not.toContain(key);
      await page.getByRole('link', { name: 'Revoke Laptop' }).click();
      await page.getByRole('button', { name: 'Revoke key' }).click();
      await page.getByText('The key was revoked.').waitFor();
      expect(await page.getByRole('link', { name: 'Revoke Laptop' }).count()).toBe(0);
      expect(tab.urls().join('\n')).not.toContain(key);
      await page.goBack();
      expect(await page.content()).not.toContain(key);
    },
  );

  test('a reload of the page that shows a new or a rotated key shows the list, and repeats nothing', async () => {
    const server = await startPages();
    const { page } = await browser.open({});
    await page.goto(`${server.url}/dashboard/sign-in`);
    await page.fill('input[name=api_key]', await server.key({ scopes: SCOPES }));
    await page.click('main button[type=submit]');
    await page.goto(`${server.url}${PATH}/new`);
    await page.getByLabel('Name').fill('Laptop');
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('Copy the key now').waitFor();
    await page.reload();
    await page.getByRole('link', { name: 'Rotate Laptop' }).waitFor();
    expect(await page.getByRole('link', { name: 'Rotate Laptop' }).count()).toBe(1);
    await page.getByRole('link', { name: 'Rotate Laptop' }).click();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('Copy the key now').waitFor();
    const key = (await page.textContent('main .code code')) ?? '';
    await page.reload();
    await page.getByRole('link', { name: 'Rotate Laptop' }).waitFor();
    expect(await server.vault.api_keys.authenticate(key, 'rest', 'r')).toMatchObject({ user: 'me' });
  });
});
