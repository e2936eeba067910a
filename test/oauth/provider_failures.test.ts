/** Refreshes of access tokens at providers that are down, slow, or respond as they should not. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { errorOf as rejection } from '../kit/outcome.ts';
import type { Handler } from '../kit/upstream/upstream.ts';
import { json, setup, tokens, WITHOUT_TOKEN } from './token_endpoint.ts';

const FAILURES: readonly (readonly [string, Handler])[] = [
  ['is down', (_request, response) => void response.destroy()],
  ['responds with 503', (_request, response) => void json(response, 503, { error: 'invalid_grant' })],
  ['limits requests', (_request, response) => void json(response, 429, { error: 'invalid_grant' })],
  [
    'responds with HTML',
    (_request, response) =>
      void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>refresh-token-0</h1>'),
  ],
  [
    'responds with a body that is too large',
    (_request, response) => void json(response, 200, { access_token: 'a'.repeat(300_000) }),
  ],
  [
    'redirects',
    (_request, response) => void response.writeHead(302, { location: 'https://api.acme.test/' }).end(),
  ],
  [
    'responds with a body that does not end',
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"access_token":"');
      const more = () => void (response.writable && response.write('a'.repeat(16_384), more));
      more();
    },
  ],
  [
    'responds with a body that is much larger than it was sent',
    (_request, response) => {
      const body = gzipSync(JSON.stringify({ access_token: 'a'.repeat(200_000) }));
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
    },
  ],
  [
    'ends the body too early',
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"access_token":"a"}');
      setTimeout(() => response.destroy(), 50);
    },
  ],
  ['returns an array', (_request, response) => void json(response, 200, [{ access_token: 'a' }])],
  ['returns null', (_request, response) => void json(response, 200, null)],
  ['returns an empty access token', (_request, response) => void json(response, 200, { access_token: '' })],
  ['returns a number as token', (_request, response) => void json(response, 200, { access_token: 5 })],
  [
    'returns a refresh token that cannot be sent',
    (_request, response) => json(response, 200, { access_token: 'a', refresh_token: 'b\n' }),
  ],
  [
    'returns a token that is too long to be stored',
    (_request, response) => json(response, 200, { access_token: 'a'.repeat(10_000) }),
  ],
  ['returns no token', (_request, response) => void json(response, 200, { ok: true })],
  [
    'returns a token that cannot be sent',
    (_request, response) => json(response, 200, { access_token: 'a\r\nx-injected: 1', token_type: 'bearer' }),
  ],
  [
    'returns an error with another meaning',
    (_request, response) => void json(response, 400, { error: '<b>' }),
  ],
];

test.each(FAILURES)(
  'keeps the credential and sends no further request for a while if the provider %s',
  async (_name, handler) => {
    const { get, vault, caller, provider, status, received, audit } = await setup(handler, {
      ends_in_ms: null,
      values: WITHOUT_TOKEN,
    });
    const first = await rejection(get());
    expect(first).toMatchObject({ code: 'UPSTREAM', retry: true });
    const second = await rejection(get());
    expect(second).toMatchObject({ code: 'UPSTREAM', retry: true });
    expect(provider.requests).toHaveLength(1);
    expect(received).toEqual([]);
    expect((await status()).status).toBe('active');
    expect((await vault.status(caller(), { service_id: 'acme' })).modified_by).toBe('me');
    const written = JSON.stringify([first, first.message, second.message, await audit()]);
    for (const value of ['refresh-token-0', 'access-token-0', 'client-secret-7c1', 'x-injected'])
      expect(written).not.toContain(value);
  },
);

/** Types that RFC 6749 does not have, and what they mean for the stored token. */
const UNUSUAL: readonly (readonly [string, object, boolean])[] = [
  ['a text as lifetime', { expires_in: '3600' }, true],
  ['a lifetime beyond all dates', { expires_in: 1e300 }, false],
  ['a lifetime in milliseconds that is a timestamp', { expires_in: 1_800_000_000_000 }, false],
  ['no lifetime', { expires_in: null }, false],
  ['a negative lifetime', { expires_in: -5 }, false],
  ['a list as lifetime', { expires_in: [] }, false],
  ['an object as refresh token', { refresh_token: { a: 1 } }, true],
  ['an empty refresh token', { refresh_token: '' }, true],
  ['a number as token type', { token_type: 7 }, true],
  ['a list as scope', { scope: ['a', 'b'] }, true],
  ['an ID token of another issuer', { id_token: 'e30.e30.e30' }, true],
];

test.each(UNUSUAL)('a response with %s is used', async (_name, more, has_end) => {
  const { get, vault, caller, forms, received } = await setup(tokens(more));
  expect([await get(), await get()]).toEqual([200, 200]);
  expect(received).toEqual(['access-token-1', 'access-token-1']);
  expect(forms()).toHaveLength(1);
  const { token } = await vault.uses.find(caller(), { service_id: 'acme' });
  expect(token?.expires_at === null).toBe(!has_end);
});

test('no further request is sent before the time of Retry-After, however long the pause would be without it', async () => {
  const { get, vault, caller, provider } = await setup(
    (_request, response) => json(response, 429, {}, { 'retry-after': '120' }),
    { ends_in_ms: null, values: WITHOUT_TOKEN },
  );
  for (let use = 1; use <= 2; use++) {
    const error = await rejection(get());
    expect(error).toMatchObject({ code: 'UPSTREAM', retry: true });
    expect(error.retry_after).toBeGreaterThan(100);
    expect(error.retry_after).toBeLessThanOrEqual(120);
  }
  expect(provider.requests).toHaveLength(1);
  await vault.update(caller(), { service_id: 'acme', credentials: { access_token: 'access-token-new' } });
  expect(await get()).toBe(200);
});
