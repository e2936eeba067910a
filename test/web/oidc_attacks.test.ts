/** Attacks on the sign-in with OpenID Connect: forged and replayed callbacks, and ID tokens with one property that is wrong. */
import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { OIDC_PATH, type OidcPages, startOidcPages } from '../kit/http/oidc_pages.ts';
import type { PageClient, PageResponse } from '../kit/http/page_client.ts';
import { type Claims, SIGN_IN_CLIENT, type SignIdToken } from '../kit/servers/sign_in_provider.ts';

const SESSION = 'keyhold_session';
const ATTEMPT = 'keyhold_sign_in';
const REFUSED = '/dashboard/sign-in?problem=refused';

function expectNoSession({ location, headers }: PageResponse, browser: PageClient): void {
  expect(location).toBe(REFUSED);
  expect(browser.cookies.has(SESSION)).toBe(false);
  expect(headers.getSetCookie().join()).not.toContain(`${SESSION}=`);
}

async function denials({ server }: OidcPages): Promise<number> {
  const filter = { action: 'authenticate', outcome: 'denied' } as const;
  return (await server.vault.listAudit(server.caller(), filter)).entries.length;
}

describe('a callback', () => {
  test.each<[title: string, change: (callback: URL) => void]>([
    ['with another state', ({ searchParams }) => searchParams.set('state', 'A'.repeat(43))],
    ['without a state', ({ searchParams }) => searchParams.delete('state')],
    ['with two states', ({ searchParams }) => searchParams.append('state', 'A'.repeat(43))],
    ['of another issuer (mix-up)', ({ searchParams }) => searchParams.set('iss', 'https://evil.example')],
    ['without the issuer that the provider always sends', ({ searchParams }) => searchParams.delete('iss')],
    ['with another code', ({ searchParams }) => searchParams.set('code', 'A'.repeat(43))],
    ['without a code', ({ searchParams }) => searchParams.delete('code')],
    ['with an ID token in place of the code', ({ searchParams }) => searchParams.set('id_token', 'a.b.c')],
    ['with an error and another state', (url) => (url.search = '?error=access_denied&state=x')],
    ['without parameters', (url) => (url.search = '')],
  ])('%s is refused, and the refusal is in the audit log', async (_title, change) => {
    const pages = await startOidcPages();
    const browser = pages.server.browser();
    const callback = await pages.provider.approve(await pages.start(browser));
    change(callback);
    expectNoSession(await browser.get(callback.pathname + callback.search), browser);
    await expect.poll(() => denials(pages)).toBe(1);
    expect((await browser.get(REFUSED)).text).toContain('The sign-in was not valid');
  });

  test('that another person started is refused, in a browser without a sign-in and in one with its own (login CSRF)', async () => {
    const { server, provider, start } = await startOidcPages();
    const attacker = server.browser();
    const { pathname, search } = await provider.approve(await start(attacker), 'eve');
    const victim = server.browser();
    expectNoSession(await victim.get(pathname + search), victim);
    await start(victim);
    expectNoSession(await victim.get(pathname + search), victim);
  });

  test('works once: not again in the browser, and not with the cookie of the first', async () => {
    const { server, provider, start } = await startOidcPages();
    const browser = server.browser();
    const { pathname, search } = await provider.approve(await start(browser));
    const attempt = browser.cookies.get(ATTEMPT) ?? '';
    expect((await browser.get(pathname + search)).location).toBe('/dashboard');
    expect(browser.cookies.has(ATTEMPT)).toBe(false);
    const second = server.browser();
    expectNoSession(await second.get(pathname + search), second);
    second.cookies.set(ATTEMPT, attempt);
    expectNoSession(await second.get(pathname + search), second);
    expect([provider.granted(), provider.refused]).toEqual([1, ['invalid_grant']]);
  });

  test('with a cookie that was changed, cut, or is of another vault is refused', async () => {
    const { server, provider, start } = await startOidcPages();
    const other = await startOidcPages();
    const foreign = other.server.browser();
    await other.start(foreign);
    const changes = [
      (cookie: string) => (cookie.startsWith('A') ? 'B' : 'A') + cookie.slice(1),
      (cookie: string) => cookie.slice(0, 20),
      (cookie: string) => cookie.slice(0, -2),
      () => foreign.cookies.get(ATTEMPT) ?? '',
      () => 'x',
    ];
    for (const change of changes) {
      const browser = server.browser();
      const { pathname, search } = await provider.approve(await start(browser));
      browser.cookies.set(ATTEMPT, change(browser.cookies.get(ATTEMPT) ?? ''));
      expectNoSession(await browser.get(pathname + search), browser);
    }
  });

  test('of a person who cancels goes to the sign-in page with that reason, and shows no text of the provider', async () => {
    const { server, provider, start } = await startOidcPages();
    const browser = server.browser();
    const callback = await provider.decline(await start(browser));
    callback.searchParams.set('error_description', 'call +1 555 <b>now</b>');
    const { location } = await browser.get(callback.pathname + callback.search);
    expect(location).toBe('/dashboard/sign-in?problem=declined');
    const page = await browser.get(location ?? '');
    expect(page.text).toContain('The sign-in was cancelled');
    expect(page.text).not.toContain('555');
    const other = await browser.get('/dashboard/sign-in?problem=%3Cscript%3Ealert(1)%3C/script%3E');
    expect([other.status, other.text.includes('alert(1)'), other.text.includes('message-')]).toEqual([
      200,
      false,
      false,
    ]);
  });

  test('and its start are refused over plain http that others can read, and the start for another site', async () => {
    const { server, provider, start } = await startOidcPages();
    const browser = server.browser();
    const { pathname, search } = await provider.approve(await start(browser));
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    expect((await browser.get(pathname + search, forwarded)).status).toBe(403);
    expect((await browser.post(OIDC_PATH, {}, forwarded)).status).toBe(403);
    expect((await browser.post(OIDC_PATH, {}, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await browser.post(OIDC_PATH, {}, { origin: 'null' })).status).toBe(403);
    expect((await browser.get(OIDC_PATH)).status).toBe(303);
  });

  test('that fails is counted for its address like a wrong API key', async () => {
    const limits = { requests_per_minute: 0, auth_failures_per_minute: 3 };
    const { server } = await startOidcPages({ server: { settings: { limits } } });
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++)
      statuses.push((await server.browser().get(`${OIDC_PATH}/callback?code=x&state=y`)).status);
    expect(statuses).toEqual([303, 303, 303, 429]);
  });
});

const now = () => Math.floor(Date.now() / 1000);
const otherKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

const CHANGES: Readonly<Record<string, (claims: Claims, sign: SignIdToken) => string | Promise<string>>> = {
  'another nonce': (claims, sign) => sign({ ...claims, nonce: 'A'.repeat(43) }),
  'no nonce': (claims, sign) => sign({ ...claims, nonce: undefined }),
  'another issuer': (claims, sign) => sign({ ...claims, iss: 'https://evil.example' }),
  'no issuer': (claims, sign) => sign({ ...claims, iss: undefined }),
  'another audience': (claims, sign) => sign({ ...claims, aud: 'another-client' }),
  'no audience': (claims, sign) => sign({ ...claims, aud: undefined }),
  'several audiences and no authorized party': (claims, sign) =>
    sign({ ...claims, aud: [SIGN_IN_CLIENT.id, 'another-client'] }),
  'another authorized party': (claims, sign) =>
    sign({ ...claims, aud: [SIGN_IN_CLIENT.id, 'another-client'], azp: 'another-client' }),
  'an expiry in the past': (claims, sign) => sign({ ...claims, iat: now() - 700, exp: now() - 100 }),
  'no expiry': (claims, sign) => sign({ ...claims, exp: undefined }),
  'a time before which it is not valid': (claims, sign) => sign({ ...claims, nbf: now() + 600 }),
  'no subject': (claims, sign) => sign({ ...claims, sub: undefined }),
  'an empty subject': (claims, sign) => sign({ ...claims, sub: '' }),
  'the signature of another key': (claims) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(otherKey),
  'a key that the provider does not publish': (claims, sign) => sign(claims, { kid: 'k2' }),
  'no signature': (claims) => `${base64url({ alg: 'none' })}.${base64url(claims)}.`,
  'an HMAC with the client secret': (claims) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SIGN_IN_CLIENT.secret)),
  'claims that were changed after it was signed': async (claims, sign) => {
    const [header, , signature] = (await sign(claims)).split('.');
    return `${header}.${base64url({ ...claims, sub: 'ana' })}.${signature}`;
  },
  'a text that is not a JWT': () => 'not-a-token',
};

describe('an ID token', () => {
  test('that is signed again without a change is accepted', async () => {
    const pages = await startOidcPages({ changeIdToken: (claims, sign) => sign(claims) });
    expect((await pages.signIn(pages.server.browser())).location).toBe('/dashboard');
  });

  test.each(Object.keys(CHANGES))('with %s is refused', async (title) => {
    const changeIdToken = CHANGES[title];
    const pages = await startOidcPages(changeIdToken === undefined ? {} : { changeIdToken });
    const browser = pages.server.browser();
    const response = await pages.signIn(browser);
    expect(response.location).toMatch(/\?problem=(?:refused|not_permitted)$/);
    expect(browser.cookies.has(SESSION)).toBe(false);
    expect(pages.provider.granted()).toBe(1);
  });

  test('that is missing is refused', async () => {
    const pages = await startOidcPages({ changeIdToken: () => '' });
    const browser = pages.server.browser();
    expectNoSession(await pages.signIn(browser), browser);
  });
});
