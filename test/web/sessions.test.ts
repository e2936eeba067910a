/** Web sessions: who is signed in, how long, and what a stolen, planted or replayed cookie can do. */
import { describe, expect, test } from 'vitest';
import { SCOPES, type Scope } from '../../src/contract/caller.ts';
import {
  AUTH_FAILURES_PER_MINUTE,
  WEB_SESSION_AGE_MS,
  WEB_SESSIONS_PER_USER_MAX,
} from '../../src/contract/limits.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import type { WebSessions } from '../../src/vault/people/web_sessions.ts';
import { PageClient, startPages } from '../kit/http/page_client.ts';
import { openTenants } from '../kit/vault/tenants.ts';

const SESSION = 'keyhold_session';

describe('a sign-in', () => {
  test('is refused without a valid API key, and is in the audit log either way', async () => {
    const server = await startPages();
    const browser = server.browser();
    const refused = await browser.post('/dashboard/sign-in', {
      api_key: `kh_${'0'.repeat(32)}_${'a'.repeat(43)}`,
    });
    expect(refused.status).toBe(401);
    expect(refused.text).toContain('This is not a valid API key');
    expect(refused.text).not.toContain('a'.repeat(43));
    expect(browser.cookies.size).toBe(0);
    await browser.signIn(await server.key());
    const { entries } = await server.vault.listAudit(server.caller());
    const signed_in = entries
      .filter(({ edge }) => edge === 'web')
      .map(({ action, outcome }) => [action, outcome]);
    expect(signed_in).toEqual([
      ['sign_in', 'allowed'],
      ['authenticate', 'denied'],
    ]);
  });

  test('is limited by failures of one address, while a valid key still works', async () => {
    const limits = { requests_per_minute: 0, auth_failures_per_minute: AUTH_FAILURES_PER_MINUTE };
    const server = await startPages({ settings: { limits } });
    const browser = server.browser();
    const statuses: number[] = [];
    for (let attempt = 0; attempt <= AUTH_FAILURES_PER_MINUTE; attempt++)
      statuses.push((await browser.post('/dashboard/sign-in', { api_key: 'wrong' })).status);
    expect(statuses).toEqual([...Array(AUTH_FAILURES_PER_MINUTE).fill(401), 429]);
    expect((await browser.post('/dashboard/sign-in', { api_key: await server.key() })).status).toBe(303);
  });

  test('is 503 while the store is not available, which is logged and counted', async () => {
    const server = await startPages({ settings: { metrics_open: true } });
    const api_key = await server.key();
    await server.vault.close();
    expect((await server.browser().post('/dashboard/sign-in', { api_key })).status).toBe(503);
    expect(server.log.filter(({ level }) => level === 'error')).toMatchObject([
      { message: 'request failed', fields: { code: 'UNAVAILABLE' } },
    ]);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('keyhold_errors_total{code="UNAVAILABLE"} 1\n');
  });

  test('never continues with a token that the browser had before (session fixation), and ends that session', async () => {
    const server = await startPages();
    const attacker = await server.signedIn({ user: 'eve' });
    const planted = attacker.cookies.get(SESSION) ?? '';
    const victim = server.browser();
    victim.cookies.set(SESSION, planted);
    await victim.signIn(await server.key({ user: 'ana' }));
    expect(victim.cookies.get(SESSION)).not.toBe(planted);
    expect((await victim.get('/dashboard')).text).toContain('ana');
    expect((await attacker.get('/dashboard')).location).toBe('/dashboard/sign-in');
    const invented = server.browser();
    invented.cookies.set(SESSION, 'A'.repeat(43));
    await invented.signIn(await server.key({ user: 'ana' }));
    expect(invented.cookies.get(SESSION)).not.toBe('A'.repeat(43));
  });

  test('over plain http is refused unless browser and server are on one machine', async () => {
    const server = await startPages({ settings: { allowed_hosts: ['keyhold.example.com'] } });
    const api_key = await server.key();
    const forwarded = server.browser();
    for (const name of ['x-forwarded-for', 'x-forwarded-host', 'forwarded']) {
      forwarded.headers = { [name]: '203.0.113.7' };
      expect((await forwarded.get('/dashboard/sign-in')).status, name).toBe(403);
      const refused = await forwarded.post('/dashboard/sign-in', { api_key });
      expect([refused.status, refused.headers.getSetCookie()], name).toEqual([403, []]);
    }
    expect((await server.browser().get('/dashboard/sign-in')).status).toBe(200);
  });

  test.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/dashboard/..//evil.example',
    '/dashboard\\@evil.example',
    '/dashboard/\n/evil.example',
    'javascript:alert(1)',
    '/v1/stacks',
    '/dashboardx',
    '/dashboard/sign-out',
    `/dashboard/${'x'.repeat(600)}`,
  ])('goes to the first page instead of %s', async (next) => {
    const server = await startPages();
    const browser = server.browser();
    const page = await browser.get(`/dashboard/sign-in?next=${encodeURIComponent(next)}`);
    expect(page.text).toContain('name="next" value="/dashboard"');
    const signed_in = await browser.post('/dashboard/sign-in', { api_key: await server.key(), next });
    expect(signed_in.location).toBe('/dashboard');
  });

  test('goes to the page that was requested', async () => {
    const server = await startPages();
    const browser = server.browser();
    const { location } = await browser.get('/dashboard/tools/linear?name=a%26b');
    expect(location).toBe('/dashboard/sign-in?next=%2Fdashboard%2Ftools%2Flinear%3Fname%3Da%2526b');
    const page = await browser.get(location ?? '');
    expect(page.text).toContain('name="next" value="/dashboard/tools/linear?name=a%26b"');
  });
});

describe('the cookie of a session', () => {
  test('is for pages only, is not for scripts, and over https has a name that http cannot set', async () => {
    const http = await startPages();
    const plain = await http.browser().post('/dashboard/sign-in', { api_key: await http.key() });
    expect(plain.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^keyhold_session=[\w-]{43}; Max-Age=43200; Path=\/dashboard; HttpOnly; SameSite=Lax$/,
      ),
    ]);
    const https = await startPages({ public_url: 'https://keyhold.example.com/vault' });
    const secure = await https
      .browser()
      .post('/dashboard/sign-in', { api_key: await https.key() }, { origin: 'https://keyhold.example.com' });
    expect(secure.location).toBe('/vault/dashboard');
    expect(secure.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Secure-keyhold_session=[\w-]{43}; Max-Age=43200; Path=\/vault\/dashboard; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ]);
  });

  test('opens no route of the REST API and is not an API key', async () => {
    const server = await startPages({ dialects: DIALECTS });
    const browser = await server.signedIn({ scopes: ['credentials:read', 'org:admin'] });
    for (const path of ['/v1/me', '/v1/stacks/default/servers', '/v1/audit'])
      expect((await browser.get(path)).status, path).toBe(401);
    const token = browser.cookies.get(SESSION) ?? '';
    const bearer = await fetch(`${server.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
    expect(bearer.status).toBe(401);
  });

  test('opens no page with the API key of a program in its stead', async () => {
    const server = await startPages();
    const response = await server.request('/dashboard', { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/dashboard/sign-in']);
  });
});

describe('a session', () => {
  test('ends at the sign-out, and its token works no more', async () => {
    const server = await startPages();
    const browser = await server.signedIn();
    const token = browser.cookies.get(SESSION) ?? '';
    const signed_out = await browser.post('/dashboard/sign-out');
    expect([signed_out.status, signed_out.location]).toEqual([303, '/dashboard/sign-in']);
    expect(browser.cookies.size).toBe(0);
    browser.cookies.set(SESSION, token);
    expect((await browser.get('/dashboard')).status).toBe(303);
    const { entries } = await server.vault.listAudit(server.caller(), { action: 'sign_out' });
    expect(entries).toHaveLength(1);
  });

  test('does not end by a request of another site, or without its CSRF token', async () => {
    const server = await startPages();
    const browser = await server.signedIn();
    expect((await browser.post('/dashboard/sign-out', { csrf_token: 'x' })).status).toBe(403);
    expect((await browser.post('/dashboard/sign-out', {}, { origin: 'https://evil.example' })).status).toBe(
      403,
    );
    expect((await browser.get('/dashboard/sign-out')).status).toBe(404);
    expect((await browser.get('/dashboard')).status).toBe(200);
  });

  test('ends at once when its API key is revoked, rotated or has expired', async () => {
    const tenants = await openTenants();
    const { vault, clock } = tenants;
    const sessions = vault.web_sessions;
    const sign_in = async (input: object) => {
      const key = await tenants.newKey({ organization: 'acme', user: 'ann', ...input });
      return { key, token: (await sessions.signInWithKey(key.key, 'r1')).token };
    };
    const [revoked, rotated, expiring] = [
      await sign_in({}),
      await sign_in({}),
      await sign_in({ expires_at: clock.in(60_000) }),
    ];
    const admin = await tenants.admin('acme');
    const found = async () =>
      Promise.all(
        [revoked, rotated, expiring].map(
          async ({ token }) => (await sessions.find(token, 'r2')) !== undefined,
        ),
      );
    expect(await found()).toEqual([true, true, true]);
    await vault.api_keys.revoke(admin, revoked.key.id);
    expect(await found()).toEqual([false, true, true]);
    await vault.api_keys.rotate(admin, rotated.key.id);
    expect(await found()).toEqual([false, false, true]);
    clock.advance(60_001);
    expect(await found()).toEqual([false, false, false]);
  });

  test('has the permissions that its API key has, and ends after twelve hours', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({
      organization: 'acme',
      user: 'ann',
      scopes: ['credentials:read'],
    });
    const { token } = await tenants.vault.web_sessions.signInWithKey(key, 'r1');
    const session = await tenants.vault.web_sessions.find(token, 'r2');
    expect(session?.caller).toMatchObject({ organization: 'acme', user: 'ann', edge: 'web', api_key_id: id });
    expect([...(session?.caller.scopes ?? [])]).toEqual(['credentials:read']);
    tenants.clock.advance(WEB_SESSION_AGE_MS);
    expect(await tenants.vault.web_sessions.find(token, 'r3')).toBeUndefined();
  });

  test('is of a person only if its API key has the scope approvals:decide', async () => {
    const tenants = await openTenants();
    const is_person = async (scopes: Scope[]) => {
      const { key } = await tenants.newKey({ user: 'ann', scopes });
      return (await tenants.vault.web_sessions.signInWithKey(key, 'r')).session.caller.is_person;
    };
    const admin = SCOPES.filter((scope) => scope !== 'approvals:decide');
    expect([await is_person([...admin]), await is_person(['approvals:decide'])]).toEqual([undefined, true]);
  });

  test('is found by another process, which shares no memory', async () => {
    const first = await openTenants();
    const { key } = await first.newKey({ user: 'ann' });
    const { token } = await first.vault.web_sessions.signInWithKey(key, 'r1');
    const second = await openTenants(first.home, first.clock);
    expect((await second.vault.web_sessions.find(token, 'r2'))?.caller.user).toBe('ann');
  });

  test('a user has a limited number of sessions: a further one ends the oldest, and expired ones are removed', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ user: 'ann' });
    const sessions: WebSessions = tenants.vault.web_sessions;
    const tokens: string[] = [];
    for (let count = 0; count <= WEB_SESSIONS_PER_USER_MAX; count++)
      tokens.push((await sessions.signInWithKey(key, 'r')).token);
    const found = await Promise.all(
      tokens.map(async (token) => (await sessions.find(token, 'r')) !== undefined),
    );
    expect(found).toEqual([false, ...Array(WEB_SESSIONS_PER_USER_MAX).fill(true)]);
  });
});

test('the audit log stays verifiable after sign-ins and sign-outs', async () => {
  const server = await startPages();
  const browser = await server.signedIn();
  await browser.post('/dashboard/sign-out');
  await new PageClient(server.url).signIn(await server.key());
  expect(await server.vault.verifyAudit(server.caller())).toMatchObject({ ok: true, findings: [] });
});
