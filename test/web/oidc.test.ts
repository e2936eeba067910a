/** The sign-in with OpenID Connect: whose session it makes, how long it lasts, and what happens while the provider is down. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isPerson, SIGNED_IN_SCOPES } from '../../src/contract/caller.ts';
import { SIGN_IN_ATTEMPT_AGE_MS, WEB_SESSION_AGE_MS } from '../../src/contract/limits.ts';
import { Secret } from '../../src/contract/secret.ts';
import { issuedUser } from '../../src/http/auth/issued_users.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { OIDC_PATH, startOidcPages } from '../kit/http/oidc_pages.ts';
import { PageClient, startPages } from '../kit/http/page_client.ts';
import { PUBLIC_CLIENT_ID, SIGN_IN_CLIENT, startSignInProvider } from '../kit/servers/sign_in_provider.ts';
import { openTenants } from '../kit/vault/tenants.ts';

const SESSION = 'keyhold_session';
const ATTEMPT = 'keyhold_sign_in';

describe('a sign-in with OpenID Connect', () => {
  test('makes a session of a person with the permissions for its own work, and is in the audit log with its kind', async () => {
    const { server, signIn, provider } = await startOidcPages();
    const browser = server.browser();
    const signed_in = await signIn(browser);
    expect([signed_in.status, signed_in.location]).toEqual([303, '/dashboard']);
    expect((await browser.get('/dashboard')).text).toContain('person-1');
    const session = await server.vault.web_sessions.find(browser.cookies.get(SESSION) ?? '', 'r');
    const user = issuedUser(provider.settings, 'person-1');
    expect(session).toMatchObject({ method: 'oidc', caller: { organization: 'acme', user, edge: 'web' } });
    expect(session && isPerson(session.caller)).toBe(true);
    expect([...(session?.caller.scopes ?? [])]).toEqual([...SIGNED_IN_SCOPES]);
    expect(Date.parse(session?.expires_at ?? '') - Date.parse(session?.created_at ?? '')).toBe(
      WEB_SESSION_AGE_MS,
    );
    const admin = await server.key({ organization: 'acme', user: 'boss', scopes: ['audit:read'] });
    const auditor = await server.browser().signIn(admin);
    const audit = await auditor.get('/dashboard/audit?action=sign_in');
    expect(audit.text.replaceAll(/<[^>]+>/g, '')).toContain('signed in to the pages with OpenID Connect');
  });

  test('sends nothing to the provider before the button is used, and then state, nonce and the hash of a PKCE verifier', async () => {
    const { server, provider, start } = await startOidcPages();
    const browser = server.browser();
    expect((await browser.get('/dashboard/sign-in')).text).toContain('Sign in with Acme SSO');
    expect(provider.paths).toEqual([]);
    const url = new URL(await start(browser));
    expect(url.origin + url.pathname).toBe(`${provider.settings.issuer}/auth`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: SIGN_IN_CLIENT.id,
      response_type: 'code',
      redirect_uri: `${server.url}${OIDC_PATH}/callback`,
      scope: 'openid',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    const other = new URL(await start(browser));
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(other.searchParams.get(name)).not.toBe(url.searchParams.get(name));
  });

  test('keeps the attempt in an encrypted cookie for ten minutes that no script can read, and over https no http site can set', async () => {
    const { server, start } = await startOidcPages();
    const response = await server.browser().post(OIDC_PATH);
    const [line = ''] = response.headers.getSetCookie();
    expect(line).toMatch(/^keyhold_sign_in=[\w-]+; Max-Age=600; Path=\/dashboard; HttpOnly; SameSite=Lax$/);
    const browser = server.browser();
    const { searchParams } = new URL(await start(browser));
    const content = Buffer.from(browser.cookies.get(ATTEMPT) ?? '', 'base64url').toString('latin1');
    for (const name of ['state', 'nonce']) expect(content).not.toContain(searchParams.get(name));
    const secure = await startOidcPages({ server: { public_url: 'https://keyhold.example.com' } });
    const sent = await secure.server.browser().post(OIDC_PATH, {}, { origin: 'https://keyhold.example.com' });
    expect(sent.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Secure-keyhold_sign_in=[\w-]+; .*; HttpOnly; Secure; SameSite=Lax$/),
    ]);
    const callback = new URL(
      new URL(sent.headers.get('refresh')?.slice('0; url='.length) ?? '').searchParams.get('redirect_uri') ??
        '',
    );
    expect(callback.href).toBe(`https://keyhold.example.com${OIDC_PATH}/callback`);
  });

  test('works with a public client', async () => {
    const settings = { client_id: PUBLIC_CLIENT_ID, client_secret: undefined };
    const { server, signIn } = await startOidcPages({ settings });
    expect((await signIn(server.browser())).location).toBe('/dashboard');
  });

  test('with a wrong client secret makes no session, and the log has the cause', async () => {
    const settings = { client_secret: new Secret('wrong-secret') };
    const { server, signIn, provider } = await startOidcPages({ settings });
    expect((await signIn(server.browser())).location).toBe('/dashboard/sign-in?problem=unavailable');
    expect(provider.refused).toEqual(['invalid_client']);
    expect(JSON.stringify(server.log)).not.toContain('wrong-secret');
  });

  test('goes to the requested page of this server', async () => {
    const { server, signIn } = await startOidcPages();
    const next = '/dashboard/tools/linear?name=a%26b';
    const page = await server.browser().get(`/dashboard/sign-in?next=${encodeURIComponent(next)}`);
    expect(page.text.match(/name="next" value="\/dashboard\/tools\/linear\?name=a%26b"/g)).toHaveLength(2);
    expect((await signIn(server.browser(), 'person-1', next)).location).toBe(next);
  });

  test.each(['https://evil.example/', '//evil.example', '/\\evil.example', '/dashboard/..//evil.example'])(
    'goes to the first page instead of %s',
    async (next) => {
      const { server, signIn } = await startOidcPages();
      expect((await signIn(server.browser(), 'person-1', next)).location).toBe('/dashboard');
    },
  );

  test('never continues with a session that the browser had before (session fixation), and ends that session', async () => {
    const { server, signIn } = await startOidcPages();
    const attacker = await server.signedIn({ user: 'eve' });
    const planted = attacker.cookies.get(SESSION) ?? '';
    const victim = server.browser();
    victim.cookies.set(SESSION, planted);
    await signIn(victim);
    expect(victim.cookies.get(SESSION)).not.toBe(planted);
    expect((await attacker.get('/dashboard')).status).toBe(303);
    expect((await victim.get('/dashboard')).text).toContain('person-1');
  });
});

describe('the user of a person who signs in', () => {
  test('is the one that the operator mapped the subject to, with the credentials of that user', async () => {
    const { server, signIn } = await startOidcPages({ settings: { users: new Map([['person-1', 'ana']]) } });
    const ana = await server.vault.api_keys.authenticate(
      await server.key({ organization: 'acme', user: 'ana' }),
      'rest',
      'r',
    );
    const credentials = { linear_api_key: `lin_api_${'a'.repeat(40)}` };
    await server.vault.update(ana, { service_id: 'linear', credentials });
    const [mapped, other] = [server.browser(), server.browser()];
    await signIn(mapped, 'person-1');
    await signIn(other, 'person-2');
    expect((await mapped.get('/dashboard/tools/linear')).text).toContain('Connected');
    expect((await other.get('/dashboard/tools/linear')).text).not.toContain('Connected');
    expect(await userOf(mapped)).toBe('ana');
    expect(await userOf(other)).toMatch(/^oauth\/[0-9a-f]{12}\/person-2$/);

    async function userOf(browser: PageClient): Promise<string | undefined> {
      const token = browser.cookies.get(SESSION) ?? '';
      return (await server.vault.web_sessions.find(token, 'r'))?.caller.user;
    }
  });

  test.each(['ana', 'me', 'boss'])(
    'is never an API-key user or the local one for the subject %s that has the same name',
    async (subject) => {
      const { server, signIn } = await startOidcPages();
      await server.key({ organization: 'acme', user: 'ana' });
      const browser = server.browser();
      await signIn(browser, subject);
      const session = await server.vault.web_sessions.find(browser.cookies.get(SESSION) ?? '', 'r');
      expect(session?.caller.organization).toBe('acme');
      expect(session?.caller.user).toMatch(new RegExp(`^oauth/[0-9a-f]{12}/${subject}$`));
    },
  );

  test.each(['a/b', 'local/me', 'two words', 'x'.repeat(200), '<script>'])(
    'is refused for the subject %s, which no user can have',
    async (subject) => {
      const { server, signIn } = await startOidcPages();
      const browser = server.browser();
      expect((await signIn(browser, subject)).location).toBe('/dashboard/sign-in?problem=not_permitted');
      expect(browser.cookies.has(SESSION)).toBe(false);
    },
  );

  test('is refused if the organization does not exist', async () => {
    const { server, signIn } = await startOidcPages({ has_organization: false });
    const { location } = await signIn(server.browser());
    const page = await server.browser().get(location ?? '');
    expect(page.text).toContain('This account cannot use Keyhold here');
  });
});

describe('a session of OpenID Connect', () => {
  test('ends at the sign-out, and its token works no more', async () => {
    const { server, signIn } = await startOidcPages();
    const browser = server.browser();
    await signIn(browser);
    const token = browser.cookies.get(SESSION) ?? '';
    await browser.get('/dashboard');
    expect((await browser.post('/dashboard/sign-out')).location).toBe('/dashboard/sign-in');
    browser.cookies.set(SESSION, token);
    expect((await browser.get('/dashboard')).status).toBe(303);
  });

  test('ends when its user is removed; the person who signs in again is a new user', async () => {
    const { server, signIn, provider } = await startOidcPages();
    const browser = server.browser();
    await signIn(browser);
    const user = issuedUser(provider.settings, 'person-1') ?? '';
    await server.vault.users.remove(server.caller(), user, 'acme');
    expect((await browser.get('/dashboard')).status).toBe(303);
    const page = await browser.get('/dashboard/sign-in');
    expect(page.text).toContain('You were signed out');
    const old_token = browser.cookies.get(SESSION);
    expect(old_token).toBeUndefined();
    await signIn(browser);
    expect((await browser.get('/dashboard')).status).toBe(200);
  });

  test.each([
    ['maps the subject to another user', { users: new Map([['person-1', 'bob']]) }],
    ['ends the mapping', { users: new Map() }],
    ['names another organization', { organization: 'other' }],
    ['names another issuer', { issuer: 'https://login.example' }],
    ['names no provider', undefined],
  ])('ends when the operator %s', async (_title, changed) => {
    const users = new Map([['person-1', 'ana']]);
    const { server, signIn, provider } = await startOidcPages({ settings: { users } });
    const browser = server.browser();
    await signIn(browser);
    const token = browser.cookies.get(SESSION) ?? '';
    const settings = { users, ...changed };
    const { home } = server;
    const restarted =
      changed === undefined
        ? await startPages({ home })
        : (await startOidcPages({ provider, settings, server: { home }, has_organization: false })).server;
    const returning = restarted.browser();
    returning.cookies.set(SESSION, token);
    expect((await returning.get('/dashboard')).location).toBe('/dashboard/sign-in');
    const unchanged = await startOidcPages({
      provider,
      settings: { users },
      server: { home },
      has_organization: false,
    });
    const same = unchanged.server.browser();
    same.cookies.set(SESSION, token);
    expect((await same.get('/dashboard')).status).toBe(200);
  });

  test('opens no route of the REST API', async () => {
    const { server, signIn } = await startOidcPages({ server: { dialects: DIALECTS } });
    const browser = server.browser();
    await signIn(browser);
    const token = browser.cookies.get(SESSION) ?? '';
    expect(
      (await fetch(`${server.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status,
    ).toBe(401);
  });

  test('ends after twelve hours, and an attempt after ten minutes', async () => {
    const tenants = await openTenants();
    const { vault, clock } = tenants;
    await tenants.newKey({ organization: 'acme', user: 'boss' });
    const identity = { issuer: 'https://login.example', subject: 'p' };
    const person = { identity, organization: 'acme', user: 'oauth/0123456789ab/p' };
    const { token } = await vault.web_sessions.signInWithIdentity(person, 'r');
    const attempt = { state: 's', nonce: 'n', code_verifier: 'v', next: '/dashboard' };
    const sealed = await vault.web_sessions.attempts.seal(attempt);
    clock.advance(SIGN_IN_ATTEMPT_AGE_MS - 1);
    expect(await vault.web_sessions.attempts.open(sealed)).toEqual(attempt);
    clock.advance(1);
    expect(await vault.web_sessions.attempts.open(sealed)).toBeUndefined();
    clock.advance(WEB_SESSION_AGE_MS - SIGN_IN_ATTEMPT_AGE_MS - 1);
    expect((await vault.web_sessions.find(token, 'r'))?.identity).toEqual(identity);
    clock.advance(1);
    expect(await vault.web_sessions.find(token, 'r')).toBeUndefined();
  });
});

describe('without the provider', () => {
  test('the page names the problem, an API key still signs in, many attempts make one request, and it works again later', async () => {
    const { server, provider, signIn } = await startOidcPages();
    provider.setDown(true);
    const browser = server.browser();
    for (let attempt = 0; attempt < 5; attempt++) {
      const { location } = await browser.post(OIDC_PATH, { next: '/dashboard/stacks' });
      expect(location).toBe('/dashboard/sign-in?problem=unavailable&next=%2Fdashboard%2Fstacks');
    }
    expect(provider.paths).toHaveLength(1);
    const page = await browser.get('/dashboard/sign-in?problem=unavailable');
    expect(page.text).toContain('The identity provider does not work at present');
    expect(server.log.filter(({ level }) => level === 'error')).not.toEqual([]);
    await browser.signIn(await server.key());
    provider.setDown(false);
    await sleep(5_100);
    expect((await signIn(server.browser())).location).toBe('/dashboard');
  }, 20_000);

  test('a callback is refused as unavailable, and makes no session', async () => {
    const { server, provider, start } = await startOidcPages();
    const browser = server.browser();
    const { pathname, search } = await provider.approve(await start(browser));
    provider.setDown(true);
    expect((await browser.get(pathname + search)).location).toBe('/dashboard/sign-in?problem=unavailable');
    expect(browser.cookies.size).toBe(0);
  });

  test.each([
    ['the metadata of another issuer', { issuer: 'https://other.example' }],
    ['an authorization endpoint over plain http', { authorization_endpoint: 'http://login.example/auth' }],
    ['an authorization endpoint that is a script', { authorization_endpoint: 'javascript:alert(1)' }],
    ['no authorization endpoint', { authorization_endpoint: undefined }],
    ['a page', '<html></html>'],
    ['a redirect', 302],
    ['a document without end', 'x'.repeat(300_000)],
  ])('that responds with %s, no browser is sent there', async (_title, response) => {
    const fake = createServer((_request, sent) => {
      const metadata = {
        issuer: url,
        authorization_endpoint: `${url}/auth`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/keys`,
      };
      if (typeof response === 'number')
        return void sent.writeHead(response, { location: 'http://127.0.0.1:1/' }).end();
      sent.writeHead(200, { 'content-type': 'application/json' });
      sent.end(typeof response === 'string' ? response : JSON.stringify({ ...metadata, ...response }));
    });
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void fake.close());
    const url = `http://localhost:${(fake.address() as AddressInfo).port}`;
    const { server } = await startOidcPages({ settings: { issuer: url } });
    const sent = await server.browser().post(OIDC_PATH);
    expect([sent.location, sent.headers.get('refresh')]).toEqual([
      '/dashboard/sign-in?problem=unavailable',
      null,
    ]);
  });
});

test('keyhold serve reads the settings, the secret from a file, and signs people in', async () => {
  const provider = await startSignInProvider();
  const env = {
    KEYHOLD_OIDC_ISSUER: provider.settings.issuer,
    KEYHOLD_OIDC_CLIENT_ID: SIGN_IN_CLIENT.id,
    KEYHOLD_OIDC_CLIENT_SECRET: SIGN_IN_CLIENT.secret,
    KEYHOLD_OIDC_ORGANIZATION: 'acme',
    KEYHOLD_OIDC_NAME: 'Acme',
  };
  const server = await startServeProcess({ env });
  const headers = { authorization: `Bearer ${server.admin_key}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ organization: 'acme', user: 'boss' });
  const created = await fetch(`${server.url}/v1/api-keys`, { method: 'POST', headers, body });
  expect(created.status).toBeLessThan(300);
  const browser = new PageClient(server.url);
  const page = await browser.get('/dashboard/sign-in');
  expect(page.text).toContain('Sign in with Acme');
  const sent = await browser.post(OIDC_PATH);
  const callback = await provider.approve(sent.headers.get('refresh')?.slice('0; url='.length) ?? '');
  expect((await browser.get(callback.pathname + callback.search)).location).toBe('/dashboard');
  expect((await browser.get('/dashboard')).text).toContain('person-1');
  expect(server.stderr()).not.toContain(SIGN_IN_CLIENT.secret);
  expect(server.stderr()).not.toContain(callback.searchParams.get('code'));
});
