/** Attacks on the pages of a connection: forged and replayed callbacks, sessions of others, CSRF, and addresses of other sites. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import { CALLBACK_PATH } from '../../src/contract/pages.ts';
import { startPages } from '../kit/http/page_client.ts';
import { startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { CLIENT_VALUES, oauthDefinition } from '../oauth/oauth_kit.ts';

const ACME = { service_id: 'acme' };
const PAGE = '/dashboard/connect/acme';
const RESULT = '/dashboard/oauth/result';

async function setup() {
  const oidc = await startOidcProvider();
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(oauthDefinition()));
  const server = await startPages({ home, env: upstreamEnv(home) });
  const person = (): Caller => ({ ...server.caller(), edge: 'web', is_person: true });
  await server.vault.update(person(), { ...ACME, credentials: CLIENT_VALUES });
  const browser = await server.signedIn();
  /** Starts a connection on the page, and permits access at the provider. Returns the path of the callback. */
  const approve = async () => {
    await browser.get(PAGE);
    const { text, headers } = await browser.post(PAGE);
    const [, url = ''] = /^\d+; url=(https:\S+)$/.exec(headers.get('refresh') ?? '') ?? [];
    expect(text).toContain(url.replaceAll('&', '&amp;'));
    const { pathname, search } = await oidc.approve(url);
    return pathname + search;
  };
  const token = async () => (await server.vault.status(person(), ACME)).optional_credentials.access_token;
  return { ...server, oidc, browser, approve, token };
}

describe('a callback', () => {
  test('with a forged, a missing or a repeated state sends nothing and stores nothing', async () => {
    const { browser, approve, token, oidc } = await setup();
    const callback = await approve();
    const state = new URLSearchParams(callback.split('?')[1]).get('state') ?? '';
    for (const query of [
      `?code=x&state=${'A'.repeat(43)}`,
      '?code=x',
      `?code=x&state=${state}&state=${state}`,
      '',
    ]) {
      const response = await browser.get(CALLBACK_PATH + query);
      expect([response.status, response.location], query).toEqual([303, RESULT]);
      expect((await browser.get(RESULT)).text, query).toContain('Not connected');
    }
    expect([oidc.granted.size, oidc.refused.size, await token()]).toEqual([0, 0, 'missing']);
    expect((await browser.get(callback)).status).toBe(303);
    expect(await token()).toBe('added');
  }, 60_000);

  test('in the session of another user ends nothing, and the user who started it still connects', async () => {
    const { browser, signedIn, approve, token, oidc } = await setup();
    const callback = await approve();
    const other = await signedIn({ user: 'eve' });
    expect((await other.get(callback)).location).toBe(RESULT);
    expect((await other.get(RESULT)).text).toContain('Not connected');
    expect([oidc.granted.size, await token()]).toEqual([0, 'missing']);
    await browser.get(callback);
    expect(await token()).toBe('added');
  }, 60_000);

  test('without a session goes to the sign-in, which does not have the code or the state in its address', async () => {
    const { approve, token, url } = await setup();
    const callback = await approve();
    const response = await fetch(url + callback, { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/dashboard/sign-in']);
    expect(await token()).toBe('missing');
  }, 60_000);

  test('counts once, and its repetition shows that it has ended without a request to the provider', async () => {
    const { browser, approve, token, oidc } = await setup();
    const callback = await approve();
    const first = await browser.get(callback);
    expect(first.location).toMatch(/^\/dashboard\/credentials\/[\w-]+$/);
    expect((await browser.get(callback)).location).toBe(RESULT);
    expect([oidc.granted.get('authorization_code'), oidc.refused.size]).toEqual([1, 0]);
    expect(await token()).toBe('added');
  }, 60_000);

  test('as HEAD or POST changes nothing', async () => {
    const { browser, approve, token } = await setup();
    const callback = await approve();
    expect((await browser.send(callback, { method: 'HEAD' })).status).toBe(405);
    expect((await browser.post(callback)).status).toBe(404);
    expect(await token()).toBe('missing');
  }, 60_000);

  test('goes on to a page of this server only, whatever its parameters', async () => {
    const { browser, approve } = await setup();
    const callback = await approve();
    const more = '&next=https://evil.example&redirect_uri=https://evil.example&return_to=//evil.example';
    const { location } = await browser.get(callback + more);
    expect(location).toMatch(/^\/dashboard\/(?:credentials\/[\w-]+|oauth\/result)$/);
  }, 60_000);
});

describe('the page of a connection', () => {
  test('starts nothing for a POST of another site or with the CSRF token of another session', async () => {
    const { browser, signedIn } = await setup();
    await browser.get(PAGE);
    const other = await signedIn({ user: 'eve' });
    await other.get('/dashboard/stacks');
    const evil = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    expect((await browser.post(PAGE, {}, evil)).status).toBe(403);
    expect((await browser.post(PAGE, { csrf_token: other.csrf_token ?? '' })).status).toBe(403);
    const refused = await browser.post(PAGE, { csrf_token: '' });
    expect([refused.status, refused.headers.get('refresh')]).toEqual([403, null]);
  }, 60_000);

  test('escapes the name and the stack of its address, and repeats no value that was sent', async () => {
    const { browser } = await setup();
    const hostile = '"><script>alert(1)</script>';
    for (const field of ['name', 'stack']) {
      const { text } = await browser.get(`${PAGE}?${field}=${encodeURIComponent(hostile)}`);
      expect(text, field).not.toContain('<script>alert');
    }
    const sent = await browser.post(`${PAGE}?name=other`, { 'value.client_secret': 'canary-of-the-secret' });
    expect([sent.status, sent.headers.get('refresh')]).toEqual([400, null]);
    expect(sent.text).not.toContain('canary-of-the-secret');
  }, 60_000);

  test('shows the code of a device to the user who requested it only', async () => {
    const { browser, signedIn } = await setup();
    await browser.get(PAGE);
    const { location } = await browser.post(PAGE, { grant: 'device_code' });
    const own = await browser.get(String(location));
    expect(own.text).toMatch(/[A-Z]{4}-[A-Z]{4}/);
    expect(Number(own.headers.get('refresh'))).toBeGreaterThan(0);
    const other = await signedIn({ user: 'eve' });
    const stolen = await other.get(String(location));
    expect([stolen.status, /[A-Z]{4}-[A-Z]{4}/.test(stolen.text)]).toEqual([404, false]);
  }, 60_000);
});
