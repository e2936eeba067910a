/** Requests to the pages: CSRF, other sites, headers, methods, and texts that are not HTML. */
import { describe, expect, test } from 'vitest';
import { loadAssets } from '../../src/web/browser_files.ts';
import { type PageServer, startPages } from '../kit/http/page_client.ts';
import { sendLines, statuses } from '../kit/http/raw_request.ts';

const SIZE_MAX_BYTES = 40 * 1024;

async function signedInPair(): Promise<readonly [PageServer, Awaited<ReturnType<PageServer['signedIn']>>]> {
  const server = await startPages();
  return [server, await server.signedIn()];
}

describe('a POST', () => {
  test.each([
    ['without a CSRF token', { csrf_token: '' }, {}],
    ['with a wrong CSRF token', { csrf_token: 'A'.repeat(43) }, {}],
    ['of another site', {}, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['of another port', {}, { origin: 'http://127.0.0.1:1' }],
    ['of a sandboxed page', {}, { origin: 'null' }],
    ['without Origin', {}, { origin: '' }],
    ['of another site without Origin', {}, { origin: '', 'sec-fetch-site': 'cross-site' }],
    ['of another site of the domain', {}, { 'sec-fetch-site': 'same-site' }],
    ['that a person made without a page', {}, { 'sec-fetch-site': 'none' }],
  ])('%s is refused', async (_title, fields, headers) => {
    const [, browser] = await signedInPair();
    expect((await browser.post('/dashboard/sign-out', fields, headers)).status).toBe(403);
    expect((await browser.get('/dashboard')).status).toBe(200);
  });

  test('with the CSRF token of another session is refused', async () => {
    const [server, browser] = await signedInPair();
    const other = await server.signedIn();
    expect(other.csrf_token).not.toBe(browser.csrf_token);
    const fields = { csrf_token: other.csrf_token ?? '' };
    expect((await browser.post('/dashboard/sign-out', fields)).status).toBe(403);
  });

  test('without a session goes to the sign-in page', async () => {
    const server = await startPages();
    const response = await server.browser().post('/dashboard');
    expect([response.status, response.location]).toEqual([303, '/dashboard/sign-in']);
  });

  test.each([
    ['application/json', '{"csrf_token":"x"}', 415],
    ['text/plain', 'csrf_token=x', 415],
    ['multipart/form-data; boundary=x', 'not multipart', 400],
    ['application/x-www-form-urlencoded', `a=${'x'.repeat(1024 * 1024)}`, 413],
  ])(
    'with a body of the type %s that pages do not read gets a page with the status',
    async (type, body, status) => {
      const [, browser] = await signedInPair();
      const headers = { origin: browser.url, 'content-type': type };
      const response = await browser.send('/dashboard/sign-out', { method: 'POST', body, headers });
      expect([response.status, response.headers.get('content-type')]).toEqual([
        status,
        'text/html; charset=utf-8',
      ]);
      expect(response.text).toContain('<main');
    },
  );

  test('with a file that is not text gets a page that names the reason', async () => {
    const [, browser] = await signedInPair();
    const body = new FormData();
    body.set('file', new Blob([Buffer.from([0xff, 0xfe, 0x00])]), 'key.p12');
    const response = await browser.send('/dashboard/sign-out', {
      method: 'POST',
      body,
      headers: { origin: browser.url },
    });
    expect([response.status, response.text.includes('is not text')]).toEqual([400, true]);
  });
});

describe('every response', () => {
  test('has headers against framing, injected code and kept pages', async () => {
    const server = await startPages();
    const browser = await server.signedIn();
    const pages = [
      await browser.get('/dashboard'),
      await browser.get('/dashboard/no-such-page'),
      await browser.post('/dashboard/sign-out', { csrf_token: 'x' }),
      await server.browser().get('/dashboard/sign-in'),
      await server.browser().get('/dashboard'),
      await server.browser().post('/dashboard/sign-in', { api_key: 'wrong' }),
      await server
        .browser()
        .get('/dashboard', { host: 'evil.example' })
        .catch(() => undefined),
    ].filter((page) => page !== undefined);
    for (const { headers, status } of pages) {
      expect(headers.get('content-security-policy'), String(status)).toBe(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      );
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('same-origin');
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  test('has no inline script, style or handler, which the policy would block', async () => {
    const browser = await (await startPages()).signedIn();
    for (const path of ['/dashboard', '/dashboard/no-such-page']) {
      const { text } = await browser.get(path);
      expect(text).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/i);
      expect(text.match(/<script[^>]*>[^<]/)).toBeNull();
    }
  });
});

describe('a GET', () => {
  test('of / goes to the pages', async () => {
    const response = await (await startPages()).browser().get('/');
    expect([response.status, response.location]).toEqual([303, './dashboard']);
  });

  test('and HEAD change nothing: a page has no audit entry, and HEAD has no body', async () => {
    const [server, browser] = await signedInPair();
    const count = async () => (await server.vault.listAudit(server.caller())).entries.length;
    const before = await count();
    expect((await browser.get('/dashboard')).status).toBe(200);
    const head = await browser.send('/dashboard', { method: 'HEAD' });
    expect([head.status, head.text, head.location]).toEqual([200, '', null]);
    expect((await browser.send('/dashboard/sign-out', { method: 'HEAD' })).status).toBe(404);
    expect((await browser.get('/dashboard')).status).toBe(200);
    expect(await count()).toBe(before);
  });

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('is not replaced by %s, which is 405', async (method) => {
    const [, browser] = await signedInPair();
    expect((await browser.send('/dashboard', { method, headers: { origin: browser.url } })).status).toBe(405);
  });

  test('under another host name is refused (DNS rebinding)', async () => {
    const server = await startPages();
    const text = await sendLines(server.url, [
      'GET /dashboard/sign-in HTTP/1.1',
      'Host: evil.example',
      'Connection: close',
    ]);
    expect([statuses(text), text.includes('<main')]).toEqual([[403], true]);
  });

  test('of an unknown page is 404 with the request id and the way back', async () => {
    const [, browser] = await signedInPair();
    const { status, text, headers } = await browser.get('/dashboard/no-such-page');
    expect(status).toBe(404);
    expect(text).toContain(headers.get('x-request-id') ?? '?');
    expect(text).toContain('href="/dashboard"');
  });
});

describe('the stylesheet and the script', () => {
  test('are kept by browsers, have a hash of their content in the name, and are under 40 KB together', async () => {
    const browser = (await startPages()).browser();
    const { style, script } = await loadAssets();
    const { text } = await browser.get('/dashboard/sign-in');
    for (const { path, type, content } of [style, script]) {
      expect(text).toContain(`"${path}"`);
      expect(path).toMatch(/-[0-9a-f]{12}\.(?:css|js)$/);
      const response = await browser.get(path);
      expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect(response.text).toBe(Buffer.from(content).toString());
    }
    expect(style.content.length + script.content.length).toBeLessThan(SIZE_MAX_BYTES);
    expect((await browser.get('/dashboard/assets/style-000000000000.css')).status).toBe(303);
  });
});
