/** Rate limits: requests per API key, failed authentications per client address. */
import { describe, expect, test } from 'vitest';
import { clientAddress } from '../../../src/http/auth/rate_limits.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { testDialect } from '../test_dialect.ts';

const PATH = '/toy/items/1';
const limits = (requests_per_minute: number, auth_failures_per_minute = 0) => ({
  limits: { requests_per_minute, auth_failures_per_minute },
});
const rateLimitHeaders = ({ headers }: Response) =>
  ['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}`));

describe('requests with one key', () => {
  test('requests past the limit are 429 in the format of the dialect', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(3) });
    const key = await server.key();
    const send = () => server.request(PATH, { key });
    const reset = Math.ceil(Date.now() / 1000) + 60;
    for (const remaining of ['2', '1', '0']) {
      const response = await send();
      const [limit, left, until] = rateLimitHeaders(response);
      expect([response.status, limit, left]).toEqual([200, '3', remaining]);
      expect(Math.abs(Number(until) - reset)).toBeLessThanOrEqual(2);
    }
    const response = await send();
    expect([response.status, rateLimitHeaders(response).slice(0, 2)]).toEqual([429, ['3', '0']]);
    const wait_seconds = Number(response.headers.get('retry-after'));
    expect(wait_seconds).toBeGreaterThan(50);
    expect(wait_seconds).toBeLessThanOrEqual(60);
    expect(await response.json()).toEqual({
      toy: 'RATE_LIMITED',
      message: `Too many requests with this API key. Try again in ${wait_seconds} seconds.`,
    });
  });

  test('all requests with a key count, whatever their status and header', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(4) });
    const key = await server.key();
    const left = async (path: string, init: RequestInit = {}) =>
      rateLimitHeaders(await fetch(server.url + path, { headers: { 'x-api-key': key }, ...init }))[1];
    expect(await left('/toy/nothing')).toBe('3');
    expect(await left(PATH, { headers: { 'danube-api-key': key }, method: 'DELETE' })).toBe('2');
    expect(await left('/toy/fail/INTERNAL', { headers: { authorization: `Bearer ${key}` } })).toBe('1');
    const put = { method: 'PUT', body: 'x', headers: { 'x-api-key': key, 'content-type': 'text/plain' } };
    expect(await left(PATH, put)).toBe('0');
    expect((await server.request(PATH, { key })).status).toBe(429);
  });

  test('each key has a separate limit, even keys of the same user', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(1) });
    const [one, other] = [await server.key(), await server.key()];
    expect((await server.request(PATH, { key: one })).status).toBe(200);
    expect((await server.request(PATH, { key: one })).status).toBe(429);
    expect((await server.request(PATH, { key: other })).status).toBe(200);
  });

  test('concurrent requests do not exceed the limit', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(5) });
    const key = await server.key();
    const responses = await Promise.all(Array.from({ length: 50 }, () => server.request(PATH, { key })));
    expect(responses.filter(({ status }) => status === 200).length).toBe(5);
    expect(responses.filter(({ status }) => status === 429).length).toBe(45);
  });

  test('a limit of 0 means unlimited, without X-RateLimit headers', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0) });
    const responses = await Promise.all(Array.from({ length: 100 }, () => server.request(PATH)));
    expect(responses.every(({ status }) => status === 200)).toBe(true);
    expect(responses.flatMap(rateLimitHeaders).every((header) => header === null)).toBe(true);
  });
});

describe('requests without a valid key', () => {
  const wrong = (server: TestHttpServer, headers: Record<string, string> = { 'x-api-key': 'wrong' }) =>
    fetch(server.url + PATH, { headers });

  test('failures past the limit are 429, while a valid key still works', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 3) });
    const key = await server.key();
    expect((await wrong(server)).status).toBe(401);
    expect((await wrong(server, {})).status).toBe(401);
    expect((await wrong(server, { authorization: 'Basic x' })).status).toBe(401);
    const response = await wrong(server);
    expect([response.status, response.headers.has('www-authenticate')]).toEqual([429, false]);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(await response.json()).toMatchObject({ toy: 'RATE_LIMITED' });
    // A valid key works however many failures its address has: keys cannot be guessed.
    expect((await server.request(PATH, { key })).status).toBe(200);
    expect((await wrong(server)).status).toBe(429);
  });

  test('a revoked key counts as a failure', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 2) });
    const { key, id } = await server.vault.api_keys.create(server.caller(), {});
    expect((await server.request(PATH, { key })).status).toBe(200);
    for (let attempt = 0; attempt < 5; attempt++) await wrong(server);
    expect((await wrong(server)).status).toBe(429);
    expect((await server.request(PATH, { key })).status).toBe(200);
    await server.vault.api_keys.revoke(server.caller(), id);
    expect((await server.request(PATH, { key })).status).toBe(429);
  });

  test('a flood of failures does not delay other clients', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 10) });
    const key = await server.key();
    expect((await server.request(PATH, { key })).status).toBe(200);
    const flood = Array.from({ length: 1_000 }, (_, at) => wrong(server, { 'x-api-key': `guess-${at}` }));
    const good = await Promise.all(Array.from({ length: 20 }, () => server.request(PATH, { key })));
    expect(good.every(({ status }) => status === 200)).toBe(true);
    const refused = (await Promise.all(flood)).map(({ status }) => status);
    expect(refused.every((status) => status === 401 || status === 429)).toBe(true);
    expect(refused.filter((status) => status === 401).length).toBeLessThan(100);
  });

  test('errors of requests with a valid key do not count as failures', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 1) });
    for (const path of ['/toy/nothing', '/toy/fail/FORBIDDEN', '/toy/fail/INTERNAL'])
      await server.request(path);
    expect((await server.request(PATH, { key: await server.key() })).status).toBe(200);
  });

  test('behind a proxy, failures count for the address in the last hop of X-Forwarded-For', async () => {
    const settings = { ...limits(0, 1), behind_proxy: true };
    const server = await startHttpServer({ dialects: [testDialect], settings });
    const from = async (forwarded_for: string) =>
      (await wrong(server, { 'x-api-key': 'wrong', 'x-forwarded-for': forwarded_for })).status;
    expect(await from('203.0.113.7')).toBe(401);
    expect(await from('203.0.113.8')).toBe(401);
    expect(await from('203.0.113.7')).toBe(429);
    // The client may have written the entries further left.
    expect(await from('198.51.100.1, 203.0.113.7')).toBe(429);
  });

  test('without a proxy, failures count for the address of the connection and X-Forwarded-For is ignored', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 1) });
    const from = async (forwarded_for: string) =>
      (await wrong(server, { 'x-api-key': 'wrong', 'x-forwarded-for': forwarded_for })).status;
    expect(await from('203.0.113.7')).toBe(401);
    expect(await from('203.0.113.8')).toBe(429);
  });
});

describe('clientAddress', () => {
  test('clientAddress maps the addresses of one IPv6 /64 to the same network', () => {
    const of = (address: string) => clientAddress(address, null);
    expect(of('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::');
    expect(of('2001:db8:1:2::ffff')).toBe(of('2001:0db8:0001:0002:ffff::1'));
    expect(of('2001:db8:1:3::1')).not.toBe(of('2001:db8:1:2::1'));
    expect(of('::1')).toBe('0:0:0:0::');
    expect(of('fe80::1%eth0')).toBe('fe80:0:0:0::');
  });

  test('clientAddress maps an IPv4-mapped IPv6 address to the IPv4 address', () => {
    expect(clientAddress('::ffff:203.0.113.7', null)).toBe('203.0.113.7');
    expect(clientAddress('::FFFF:203.0.113.7', null)).toBe('203.0.113.7');
  });

  test('clientAddress ignores an entry of X-Forwarded-For that is not an address', () => {
    expect(clientAddress('10.0.0.1', 'unknown')).toBe('10.0.0.1');
    expect(clientAddress('10.0.0.1', '203.0.113.7, ')).toBe('10.0.0.1');
    expect(clientAddress('10.0.0.1', ' 1.2.3.4 , 203.0.113.7 ')).toBe('203.0.113.7');
    expect(clientAddress(undefined, null)).toBe('');
  });
});
