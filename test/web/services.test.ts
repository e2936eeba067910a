/** The list of services: what is connected and needs attention, stacks, search, and hostile names. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { POPULAR_SERVICES } from '../../src/web/pages/services/catalogue.tsx';
import { startPages } from '../kit/http/page_client.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const LINEAR = { service_id: 'linear', credentials: { linear_api_key: `lin_api_${'a'.repeat(40)}` } };
const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`;

test('a user without credentials sees what to do next, and one with credentials sees them first', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  const first = (await browser.get('/dashboard')).text;
  expect(first).toContain('Get started');
  expect(first).toContain(`${server.url}/mcp`);
  expect(first).toContain('href="/dashboard/tools/linear"');
  expect(first).not.toContain('Connected <span');
  const { credential_id } = await server.vault.update(server.caller(), LINEAR);
  const second = (await browser.get('/dashboard')).text;
  expect(second).not.toContain('Get started');
  expect(second).not.toContain('Needs attention');
  expect(second.indexOf(`/dashboard/credentials/${credential_id}"`)).toBeLessThan(second.indexOf('Popular'));
  expect(second).not.toContain('/dashboard/tools/linear"');
  expect(second).not.toContain('aaaa');
});

test('every popular service is in the catalogue, and all services are on the pages of the catalogue', async () => {
  const server = await startPages();
  const { services } = server.vault;
  expect(POPULAR_SERVICES.filter((slug) => services.find(slug)?.slug !== slug)).toEqual([]);
  const browser = await server.signedIn();
  const listed = new Set<string>();
  for (let path: string | undefined = '/dashboard?page=1'; path !== undefined; ) {
    const { text } = await browser.get(path);
    for (const [, slug = ''] of text.matchAll(/href="\/dashboard\/tools\/(\w+)"/g)) listed.add(slug);
    path = /href="([^"]+)">Next/.exec(text)?.[1]?.replaceAll('&amp;', '&');
  }
  expect([...listed].sort()).toEqual(services.list().map(({ slug }) => slug));
  for (const page of ['0', '99999', '-1', 'x', '%00'])
    expect((await browser.get(`/dashboard?page=${page}`)).status).toBe(200);
});

test('a search finds services by name without scripts, and shows what does not match in no result', async () => {
  const browser = await (await startPages()).signedIn();
  const { text } = await browser.get('/dashboard?q=linear');
  expect(text).toContain('/dashboard/tools/linear"');
  expect(text).not.toContain('/dashboard/tools/stripe"');
  const none = (await browser.get('/dashboard?q=qqqqzzzz')).text;
  expect(none).toContain('No service matches');
});

test('what needs attention is listed: credentials that expire soon or are incomplete, and requests', async () => {
  let days = 0;
  const server = await startPages({ now: () => new Date(Date.now() + days * 86_400_000) });
  const expires_at = new Date(Date.now() + 20 * 86_400_000).toISOString();
  await server.vault.update(server.caller(), { ...LINEAR, expires_at });
  const datadog = { service_id: 'datadog', credentials: { datadog_api_key: 'a'.repeat(32) } };
  await server.vault.update(server.caller(), datadog);
  const browser = await server.signedIn({ scopes: ['credentials:read', 'approvals:decide'] });
  const attention = async () =>
    /Needs attention.*?<\/section>/s.exec((await browser.get('/dashboard')).text)?.[0] ?? '';
  expect(await attention()).toContain('A required field is missing.');
  expect(await attention()).not.toContain('Linear');
  days = 7;
  expect(await attention()).toMatch(/Linear.*Rotate it in time.*Expires <time/s);
  expect(await attention()).not.toContain('for your decision');
  const access = { service_id: 'stripe', reason: 'Refunds' };
  await server.vault.approvals.access.request({ ...server.caller(), edge: 'mcp' }, access);
  expect(await attention()).toContain('A request waits for your decision');
  const program = await server.signedIn({ scopes: ['credentials:read'] });
  expect((await program.get('/dashboard')).text).not.toContain('for your decision');
});

test('credentials that are not used are listed with the reason: expired, rejected, to connect again and to review', async () => {
  const home = temporaryFolder();
  const define = (hosts: readonly string[]) => {
    mkdirSync(join(home, 'services'), { recursive: true });
    writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify({ ...INTRANET, hosts }));
  };
  define(['intranet.example.com']);
  const before = await openTestVault(home);
  await before.vault.update(before.caller(), {
    service_id: 'intranet',
    credentials: { token: 'tok-0123456789' },
  });
  define(['intranet.example.com', 'another.example.com']);
  const server = await startPages({ home });
  const { vault } = server;
  const caller = server.caller();
  const store = (service_id: string) =>
    vault.store(caller, { service_id, credential_type: 'bearer', credential_value: 'token-12345' });
  const usable = (service_id: string) => vault.uses.find(caller, { service_id });
  const expires_at = new Date(Date.now() + 1_000).toISOString();
  await vault.update(caller, { ...LINEAR, expires_at });
  await store('github');
  await vault.uses.findings.reject(caller, await usable('github'), 401);
  await store('spotify');
  const spotify = await usable('spotify');
  const token_request = {
    kind: 'http',
    method: 'POST',
    origin: 'https://accounts.spotify.com',
    path: '/api/token',
    hash: '',
    summary: '',
  } as const;
  const begun = await vault.uses.tokens.begin(caller, spotify, token_request, '192.0.2.1');
  if (begun.state !== 'opened') throw new Error(`the refresh is ${begun.state}`);
  await vault.uses.tokens.requireReconnect(caller, spotify, begun.refresh);
  await vi.waitFor(
    async () => expect((await vault.status(caller, { service_id: 'linear' })).status).toBe('expired'),
    5_000,
  );
  const browser = await server.signedIn({ scopes: ['credentials:read'] });
  const { text } = await browser.get('/dashboard');
  const [section = ''] = /Needs attention.*?<\/section>/s.exec(text) ?? [];
  expect(section).toContain('<span class="count">4</span>');
  for (const [name, reason, state] of [
    ['Linear', 'It has expired and is not used.', 'Expired'],
    ['GitHub', 'The service refused the stored values.', 'Rejected'],
    ['Spotify', 'The provider refused to refresh the access token.', 'Connect again'],
    ['Intranet', 'It would be sent to another destination.', 'Needs review'],
  ] as const) {
    const row = section.split('<li>').find((one) => one.includes(reason)) ?? '';
    expect([name, row.includes(name), row.includes(state)]).toEqual([name, true, true]);
  }
});

test('the stack of the query is shown and gets the credential, and an invisible one does not exist', async () => {
  const server = await startPages();
  const owner = await server.signedIn({ user: 'ann' });
  expect((await owner.get('/dashboard')).text).not.toContain('class="popup"');
  await owner.get('/dashboard/stacks');
  const path = (await owner.post('/dashboard/stacks', { stack_name: HOSTILE })).location ?? '';
  const stack = path.split('/').at(-1) ?? '';
  const own = (await owner.get('/dashboard')).text;
  expect(own).toContain(`href="/dashboard?stack=${stack}"`);
  expect(own).not.toContain('<script>alert');
  expect((await owner.get(`/dashboard?stack=${stack}`)).text).toContain(
    `href="/dashboard/tools/linear?stack=${stack}"`,
  );
  const stored = { 'value.linear_api_key': `lin_api_${'a'.repeat(40)}` };
  expect((await owner.post('/dashboard/tools/linear', { ...stored, stack: 'unknown' })).status).toBe(400);
  const { location } = await owner.post('/dashboard/tools/linear', { ...stored, stack });
  expect((await owner.get(`/dashboard?stack=${stack}`)).text).toContain(`${location}"`);
  expect((await owner.get('/dashboard')).text).not.toContain(`${location}"`);
  const other = await server.signedIn({ user: 'bob' });
  for (const unknown of [stack, 'nothing', HOSTILE])
    expect((await other.get(`/dashboard?stack=${encodeURIComponent(unknown)}`)).status).toBe(404);
  expect((await other.post('/dashboard/tools/linear', { ...stored, stack })).status).toBe(400);
  await owner.post(`${path}/share`, { user: 'bob', role: 'use' });
  const seen = (await other.get(`/dashboard?stack=${stack}`)).text;
  expect([seen.includes(`${location}"`), seen.includes('of ann')]).toEqual([true, true]);
  const limited = await server.signedIn({ user: 'ann', stack_id: stack });
  expect((await limited.get('/dashboard')).text).toContain(`${location}"`);
  expect((await limited.get('/dashboard?stack=default')).status).toBe(404);
});

test('names of services, credentials, users and searches are text, never HTML', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  const hostile = { ...INTRANET, name: HOSTILE, description: HOSTILE, category: 'other' };
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify(hostile));
  const server = await startPages({ home });
  const credentials = { token: 'abcdefgh' };
  await server.vault.update(server.caller(), { service_id: 'intranet', credentials, name: HOSTILE });
  const browser = await server.signedIn();
  const pages = [
    await browser.get('/dashboard'),
    await browser.get(`/dashboard?q=${encodeURIComponent(HOSTILE)}`),
    await browser.get(`/dashboard/${encodeURIComponent(HOSTILE)}`),
    await server.browser().get(`/dashboard/sign-in?next=${encodeURIComponent(`/dashboard/${HOSTILE}`)}`),
  ];
  expect(pages[0]?.text).toContain('&quot;&gt;&lt;script&gt;alert(1)');
  for (const { text } of pages) {
    expect(text).not.toContain('<script>alert');
    expect(text).not.toContain('<img');
  }
});

test('a key that may not read credentials sees the reason, not services', async () => {
  const browser = await (await startPages()).signedIn({ scopes: ['audit:read'] });
  const { status, text } = await browser.get('/dashboard');
  expect([status, text.includes('credentials:read')]).toEqual([403, true]);
});
