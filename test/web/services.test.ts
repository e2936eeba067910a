/** The list of services: search, what is connected, and hostile names. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPages } from '../kit/http/page_client.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`;

test('a user without credentials sees what to do next and all services, and one with credentials sees them first', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  const first = (await browser.get('/dashboard')).text;
  expect(first).toContain('Get started');
  expect(first).toContain('href="/dashboard/tools/linear"');
  expect(first).not.toContain('Connected <span');
  const credentials = { linear_api_key: `lin_api_${'a'.repeat(40)}` };
  await server.vault.update(server.caller(), { service_id: 'linear', credentials });
  const second = (await browser.get('/dashboard')).text;
  expect(second).not.toContain('Get started');
  expect(second.indexOf('/dashboard/tools/linear')).toBeLessThan(second.indexOf('Available'));
  expect(second.match(/\/dashboard\/tools\/linear"/g)).toHaveLength(1);
  expect(second).not.toContain('aaaa');
});

test('a search finds services by name without scripts, and shows what does not match in no result', async () => {
  const browser = await (await startPages()).signedIn();
  const { text } = await browser.get('/dashboard?q=linear');
  expect(text).toContain('/dashboard/tools/linear"');
  expect(text).not.toContain('/dashboard/tools/stripe"');
  const none = (await browser.get('/dashboard?q=qqqqzzzz')).text;
  expect(none).toContain('<div class="no-match" data-filter-empty="">');
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
