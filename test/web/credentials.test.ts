/** The page of a credential: who sees it, what it shows, its actions, and the whole way in a real browser. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectAccessibleInBothThemes } from '../kit/browser/accessibility.ts';
import { CAN_RUN_CHROMIUM, startChromium, type TestBrowser } from '../kit/browser/chromium.ts';
import { type PageServer, startPages } from '../kit/http/page_client.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const VALUE = `lin_api_${'c4n4ry'.repeat(7)}`.slice(0, 48);
const LINEAR = { service_id: 'linear' };

async function withCredential(): Promise<{ server: PageServer; path: string }> {
  const server = await startPages();
  const credentials = { linear_api_key: VALUE };
  const { credential_id } = await server.vault.update(server.caller(), { ...LINEAR, credentials });
  return { server, path: `/dashboard/credentials/${credential_id}` };
}

test('the credential of another user is a page that does not exist, for every action', async () => {
  const { server, path } = await withCredential();
  const other = await server.signedIn({ user: 'bob' });
  for (const page of ['', '/change', '/rotate', '/delete'])
    expect([page, (await other.get(path + page)).status]).toEqual([page, 404]);
  for (const action of ['/test', '/switch', '/protect', '/change', '/rotate', '/delete'])
    expect([action, (await other.post(path + action)).status]).toEqual([action, 404]);
  expect((await other.get('/dashboard/credentials/none')).status).toBe(404);
  expect((await server.vault.status(server.caller(), LINEAR)).status).toBe('active');
});

test('an administrator is not offered to connect a credential of another user, which would connect its own', async () => {
  const { server } = await withCredential();
  const ana = { ...server.caller(), user: 'ana' };
  const spotify = { service_id: 'spotify', credential_type: 'bearer', credential_value: 'token-1' } as const;
  const { credential_id } = await server.vault.store(ana, spotify);
  const path = `/dashboard/credentials/${credential_id}`;
  const CONNECT = 'href="/dashboard/connect/spotify';
  const owner = await server.signedIn({ user: 'ana' });
  expect((await owner.get(path)).text).toContain(CONNECT);
  const admin = await server.signedIn({ scopes: ['credentials:read', 'credentials:write', 'org:admin'] });
  const { status, text } = await admin.get(path);
  expect([status, text.includes('of ana'), text.includes(CONNECT)]).toEqual([200, true, false]);
});

test('a GET changes nothing, and no page shows the value', async () => {
  const { server, path } = await withCredential();
  const browser = await server.signedIn();
  for (const page of ['', '/change', '/rotate', '/delete'])
    expect((await browser.get(path + page)).text).not.toContain('c4n4ry');
  for (const action of ['/test', '/switch', '/protect'])
    expect((await browser.get(path + action)).status).toBe(404);
  expect((await browser.get(path)).text).toContain('https://api.linear.app');
});

test('a key that is not of a person cannot protect a credential, and sees the reason', async () => {
  const { server, path } = await withCredential();
  const browser = await server.signedIn({ scopes: ['credentials:read', 'credentials:write'] });
  await browser.get(path);
  expect((await browser.post(`${path}/protect`, { protected: 'yes' })).location).toBe(path);
  expect((await browser.get(path)).text).toContain('message-error');
  expect((await server.vault.status(server.caller(), LINEAR)).protected).toBe(false);
});

test('a person protects a credential, and what an agent stores then waits on the page of approvals', async () => {
  const { server, path } = await withCredential();
  const browser = await server.signedIn({
    scopes: ['credentials:read', 'credentials:write', 'approvals:decide'],
  });
  await browser.get(path);
  expect((await browser.post(`${path}/protect`, { protected: 'yes' })).location).toBe(path);
  expect((await browser.get(path)).text).toMatch(/message-success.*Protected\. New values from agents wait/s);
  const agent = { ...server.caller(), edge: 'mcp' as const };
  const stored = { ...LINEAR, credentials: { linear_api_key: `lin_api_${'agent1'.repeat(6)}` } };
  expect(await server.vault.update(agent, stored)).toMatchObject({ status: 'pending_approval' });
  const [waiting] = await server.vault.approvals.list({ ...server.caller(), edge: 'cli' });
  expect(waiting).toMatchObject({ kind: 'stored_values', fields: ['linear_api_key'] });
  const { text } = await browser.get('/dashboard/approvals');
  expect(text).toContain(`/dashboard/approvals/${waiting?.id}`);
  expect((await browser.get(path)).text + text).not.toMatch(/agent1|c4n4ry/);
  await browser.get(path);
  await browser.post(`${path}/protect`, { protected: '' });
  expect((await browser.get(path)).text).toContain('No longer protected.');
  expect((await server.vault.status(server.caller(), LINEAR)).protected).toBe(false);
});

test.each([
  { status: 200, result: 'valid', message: 'message-success' },
  { status: 401, result: 'invalid', message: 'message-error' },
  { status: 503, result: 'unknown', message: 'message-notice' },
] as const)(
  'a test to which the service responds with $status shows that the value is $result, and stays on the page',
  async ({ status, result, message }) => {
    const upstream = await startUpstream(['api.github.com'], (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(status === 200 ? { login: 'octo', id: 1 } : { message: VALUE }));
    });
    const server = await startPages({ env: upstreamEnv(temporaryFolder()) });
    const stored = { service_id: 'github', credential_type: 'bearer', credential_value: VALUE } as const;
    const { credential_id } = await server.vault.store(server.caller(), stored);
    const path = `/dashboard/credentials/${credential_id}`;
    const browser = await server.signedIn();
    expect((await browser.get(path)).text).toContain('Not tested since');
    expect((await browser.post(`${path}/test`)).location).toBe(path);
    expect(upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${VALUE}`);
    const { text } = await browser.get(path);
    expect(text).toContain(message);
    expect(text).not.toContain('Not tested since');
    expect(text).not.toContain(VALUE);
    expect((await browser.get(path)).text).not.toContain(message);
    const { last_test } = await server.vault.status(server.caller(), { service_id: 'github' });
    expect(last_test).toMatchObject({ result });
  },
);

test('values are replaced and rotated, and refused ones are not repeated', async () => {
  const { server, path } = await withCredential();
  const browser = await server.signedIn();
  await browser.get(path);
  const refused = await browser.post(`${path}/rotate`, { 'value.linear_api_key': `${VALUE}\nx` });
  expect([refused.status, refused.text.includes('c4n4ry')]).toEqual([400, false]);
  expect((await browser.post(`${path}/rotate`)).text).toContain('is missing');
  expect((await browser.post(`${path}/change`)).status).toBe(400);
  const next = { 'value.linear_api_key': `lin_api_${'b'.repeat(40)}` };
  for (const kind of ['rotate', 'change'])
    expect((await browser.post(`${path}/${kind}`, next)).location).toBe(path);
  expect((await browser.get(path)).text).toContain('Saved.');
});

test('an expiry is set without values, shown as soon as it is near, and removed; a wrong one is refused', async () => {
  const { server, path } = await withCredential();
  const browser = await server.signedIn();
  await browser.get(path);
  const save = async (fields: Record<string, string>) => {
    expect((await browser.post(`${path}/expiry`, fields)).location).toBe(path);
    const { text } = await browser.get(path);
    return [text, (await server.vault.status(server.caller(), LINEAR)).expires_at] as const;
  };
  for (const expires_at of ['', 'soon', '2001-01-01T00:00']) {
    const [text, expiry] = await save({ change: 'set', expires_at });
    expect([expires_at, text.includes('message-error'), expiry]).toEqual([expires_at, true, null]);
  }
  const at = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16);
  const [near, expiry] = await save({ change: 'set', expires_at: at });
  expect([near.includes('The expiry was saved.'), expiry]).toEqual([true, `${at}:00.000Z`]);
  expect(near).toMatch(/badge-warning"><span>Expires <time/);
  const [removed, none] = await save({ change: 'remove' });
  expect([removed.includes('Does not expire'), none]).toEqual([true, null]);
  const other = await server.signedIn({ user: 'bob' });
  expect((await other.post(`${path}/expiry`, { change: 'remove' })).status).toBe(404);
});

describe.skipIf(!CAN_RUN_CHROMIUM)('in Chromium', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  test('a person without JavaScript stores, tests, switches off and deletes a credential', async () => {
    // A service without a test request, so that the test sends nothing to the internet.
    const home = temporaryFolder();
    mkdirSync(join(home, 'services'), { recursive: true });
    writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify(INTRANET));
    const server = await startPages({ home });
    const intranet = { service_id: 'intranet' };
    const { page, traffic } = await browser.open({ javascript: false, phone: true });
    await page.goto(`${server.url}/dashboard/sign-in`);
    await page.fill('input[name=api_key]', await server.key());
    await page.click('main button[type=submit]');
    await page.goto(`${server.url}/dashboard/tools/intranet`);
    await page.fill('[name="value.token"]', VALUE);
    await page.click('text=Save credential');
    expect(await page.textContent('.message-success')).toContain('Saved');
    await page.click('text=Test now');
    expect((await server.vault.status(server.caller(), intranet)).status).toBe('active');
    expect(await page.textContent('.message-notice')).toMatch(/test/i);
    await page.getByRole('button', { name: 'Switch off' }).click();
    expect((await server.vault.status(server.caller(), intranet)).status).toBe('inactive');
    await page.getByRole('link', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete credential' }).click();
    expect(await page.textContent('.message-success')).toContain('deleted');
    expect((await server.vault.status(server.caller(), intranet)).status).toBe('missing');
    expect(await traffic()).not.toContain('c4n4ry');
  });

  test('the pages have no accessibility defects, light and dark', async () => {
    const { server, path } = await withCredential();
    const key = await server.key();
    const { page } = await browser.open();
    await page.goto(`${server.url}/dashboard/sign-in`);
    await page.fill('input[name=api_key]', key);
    await page.click('main button.button-primary');
    for (const shown of ['/dashboard/tools/stripe', '/dashboard/tools/linear', path, `${path}/rotate`]) {
      await page.goto(server.url + shown);
      await expectAccessibleInBothThemes(page);
    }
  });
});
