/** Attacks that every page has to refuse, tried on all routes of the app: CSRF, framing, method override, oversized fields, other hosts. */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { createWebApp } from '../../src/web/app.ts';
import { OIDC_PATH, startOidcPages } from '../kit/http/oidc_pages.ts';
import type { PageClient, PageServer } from '../kit/http/page_client.ts';
import { sendLines, statuses } from '../kit/http/raw_request.ts';

/** The paths of a method, with ids of nothing in place of their parameters. */
async function pathsOf(server: PageServer, method: 'GET' | 'POST'): Promise<readonly string[]> {
  const limits = { requests_per_minute: 0, auth_failures_per_minute: 0 };
  const { app } = await createWebApp(server.parts, limits);
  const paths = app.routes.filter((route) => route.method === method).map(({ path }) => path);
  const concrete = paths.map((path) => path.replaceAll(/:\w+(?:\{[^}]*\})?/g, 'linear'));
  return [...new Set(concrete)].filter((path) => !path.includes('/assets/') && !path.includes('*'));
}

const OTHER_SITES: readonly Readonly<Record<string, string>>[] = [
  { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
  { origin: 'http://127.0.0.1:1' },
  { origin: 'null' },
  { origin: '' },
];

describe('every route', () => {
  let server: PageServer;
  let browser: PageClient;
  let posts: readonly string[];
  let gets: readonly string[];
  // One server for each test: it stops when the test ends.
  const open = async () => {
    ({ server } = await startOidcPages());
    browser = await server.signedIn({ scopes: SCOPES.filter((scope) => scope !== 'values:reveal') });
    posts = await pathsOf(server, 'POST');
    gets = await pathsOf(server, 'GET');
  };

  test('that takes a POST refuses it from another site, and without the CSRF token of the session (CSRF)', async () => {
    await open();
    expect(posts.length).toBeGreaterThan(15);
    const before = await server.vault.listAudit(server.caller());
    for (const path of [...posts, OIDC_PATH]) {
      for (const headers of OTHER_SITES) {
        // A ticket of `keyhold open` is sent by a local file, and is its own proof.
        if (path.endsWith('/ticket') && headers.origin === 'null') continue;
        const { status } = await browser.post(path, {}, headers);
        expect(status, `${path} ${JSON.stringify(headers)}`).toBe(403);
      }
      // The sign-in has no session yet: only the origin protects it.
      if (/\/sign-in/.test(path)) continue;
      for (const csrf_token of ['', 'A'.repeat(43)])
        expect((await browser.post(path, { csrf_token })).status, path).toBe(403);
    }
    const after = await server.vault.listAudit(server.caller());
    expect(after.entries.map(({ position }) => position)).toEqual(
      before.entries.map(({ position }) => position),
    );
    expect((await browser.get('/dashboard')).status).toBe(200);
  }, 60_000);

  test('leads to the sign-in page without a session, and shows nothing', async () => {
    await open();
    for (const path of gets.filter((one) => !one.startsWith('/dashboard/sign-in'))) {
      const { status, location, text } = await server.browser().get(path);
      expect([status, text], path).toEqual([303, '']);
      expect(location, path).toMatch(/^\/dashboard\/sign-in(?:\?next=%2Fdashboard%2F[^&]+)?$/);
    }
  }, 60_000);

  test('forbids frames, foreign scripts and kept copies in each response, also of errors', async () => {
    await open();
    expect(gets.length).toBeGreaterThan(15);
    const sent = [
      ...gets.map((path) => ['GET', path] as const),
      ...posts.map((path) => ['POST', path] as const),
    ].filter(([, path]) => path !== '/dashboard/sign-out');
    for (const [method, path] of sent) {
      const { headers, status } = method === 'GET' ? await browser.get(path) : await browser.post(path);
      const title = `${method} ${path} ${status}`;
      expect(headers.get('x-frame-options'), title).toBe('DENY');
      expect(headers.get('content-security-policy'), title).toMatch(
        /default-src 'none'.*script-src 'self'.*form-action 'self'.*frame-ancestors 'none'.*base-uri 'none'/,
      );
      expect(headers.get('content-security-policy'), title).not.toContain('unsafe');
      expect(headers.get('cache-control'), title).toBe('no-store');
      expect(headers.get('x-content-type-options'), title).toBe('nosniff');
      expect(headers.get('access-control-allow-origin'), title).toBeNull();
    }
  }, 60_000);

  test('does not read another method from a header or a field (method override)', async () => {
    await open();
    const override = { 'x-http-method-override': 'POST', 'x-method-override': 'DELETE' };
    const count = async () => (await server.vault.stacks.list(server.caller())).length;
    const before = await count();
    const query = `stack_name=new&_method=POST&csrf_token=${browser.csrf_token}`;
    expect((await browser.get(`/dashboard/stacks?${query}`, override)).status).toBe(200);
    expect(await count()).toBe(before);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])
      for (const path of ['/dashboard/stacks', '/dashboard/keys', '/dashboard/sign-in'])
        expect(
          (await browser.send(path, { method, headers: { origin: browser.url } })).status,
          method,
        ).toBeGreaterThanOrEqual(400);
  }, 60_000);

  test('refuses a body that is too large, and many fields change nothing', async () => {
    await open();
    const headers = { origin: browser.url, 'content-type': 'application/x-www-form-urlencoded' };
    const large = `csrf_token=${browser.csrf_token}&stack_name=${'x'.repeat(1024 * 1024)}`;
    const many = `csrf_token=${browser.csrf_token}&${'a=1&'.repeat(100_000)}`;
    const long = `csrf_token=${browser.csrf_token}&stack_name=${'x'.repeat(10_000)}`;
    for (const path of posts.filter((one) => !/\/sign-/.test(one)))
      expect((await browser.send(path, { method: 'POST', body: large, headers })).status, path).toBe(413);
    const before = await server.vault.stacks.list(server.caller());
    for (const body of [many, long]) {
      const { status } = await browser.send('/dashboard/stacks', { method: 'POST', body, headers });
      expect([303, 400, 413]).toContain(status);
    }
    expect(await server.vault.stacks.list(server.caller())).toEqual(before);
  }, 60_000);
});

describe('a request with another host name', () => {
  test.each([
    ['Host: evil.example'],
    ['Host: 127.0.0.1.evil.example'],
    ['Host: evil.example', 'X-Forwarded-Host: 127.0.0.1'],
    ['Host: evil.example@127.0.0.1'],
    ['Host: 127.0.0.1', 'Host: evil.example'],
    ['Host: '],
  ])('%s gets no page, and no link or redirect to that host', async (...hosts) => {
    const { server } = await startOidcPages();
    for (const path of ['/', '/dashboard', '/dashboard/sign-in']) {
      const lines = [`GET ${path} HTTP/1.1`, ...hosts, 'Connection: close'];
      const text = await sendLines(server.url, lines);
      expect(
        statuses(text).every((status) => status >= 400),
        `${path} ${statuses(text)}`,
      ).toBe(true);
      expect(text).not.toMatch(/location:.*evil/i);
      expect(text).not.toContain('evil.example');
    }
  });

  test('in X-Forwarded-Host, X-Original-URL or Forwarded changes no page and no redirect', async () => {
    const { server } = await startOidcPages();
    const browser = await server.signedIn();
    const poisoned = {
      'x-forwarded-host': 'evil.example',
      'x-original-url': '/dashboard/keys',
      forwarded: 'host=evil.example',
      'x-forwarded-proto': 'https',
    };
    const page = await browser.get('/dashboard', poisoned);
    expect(page.text).not.toContain('evil.example');
    const { location } = await server.browser().get('/dashboard/stacks', poisoned);
    expect(location).toBe('/dashboard/sign-in?next=%2Fdashboard%2Fstacks');
  });
});
