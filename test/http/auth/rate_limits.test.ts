/** Rate limits: requests per API key, failed authentications per client address. */
import { describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import { localCaller } from '../../../src/contract/caller.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import { RATE_LIMIT_KEYS_MAX, RATE_LIMIT_SHARES } from '../../../src/contract/limits.ts';
import { clientAddress, RateLimiter, RequestLimits } from '../../../src/http/auth/rate_limits.ts';
import { DIALECTS } from '../../../src/rest/dialects.ts';
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

  test.each([
    ['UNAVAILABLE', new VaultError('UNAVAILABLE', 'The database cannot be reached.'), 503],
    ['LOCKED', new VaultError('LOCKED', 'The key service refuses.'), 423],
    ['WRONG_KEY', new VaultError('WRONG_KEY', 'The root key is of another vault.'), 503],
    ['CORRUPT', new VaultError('CORRUPT', 'A record is damaged.'), 500],
    ['INTERNAL', new TypeError('a defect'), 500],
  ])(
    'an authentication that fails with %s is no failure of the client, and each one is logged with its cause',
    async (code, error, status) => {
      const reject = async () => {
        throw error;
      };
      const settings = { ...limits(0, 2), authenticators: [reject] };
      const server = await startHttpServer({ dialects: [testDialect], settings });
      for (let at = 0; at < 4; at++)
        expect((await wrong(server, { authorization: 'Bearer any' })).status).toBe(status);
      const errors = server.log.filter(({ level }) => level === 'error');
      expect(errors.map(({ message, fields }) => [message, fields.code])).toEqual(
        Array.from({ length: 4 }, () => ['request failed', code]),
      );
    },
  );

  test('requests with a valid key while the store is not available are 503 and never 429', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 2) });
    const key = await server.key();
    expect((await server.request(PATH, { key })).status).toBe(200);
    await server.vault.close();
    for (let at = 0; at < 5; at++) expect((await server.request(PATH, { key })).status).toBe(503);
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
    // A proxy may add the port, which differs with each connection.
    expect(await from('203.0.113.9:50001')).toBe(401);
    expect(await from('203.0.113.9:50002')).toBe(429);
    expect(await from('203.0.113.10:50001')).toBe(401);
    expect(await from('[2001:db8::1]:50001')).toBe(401);
    expect(await from('"[2001:db8::1]:50002"')).toBe(429);
  });

  test('without a proxy, failures count for the address of the connection and X-Forwarded-For is ignored', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(0, 1) });
    const from = async (forwarded_for: string) =>
      (await wrong(server, { 'x-api-key': 'wrong', 'x-forwarded-for': forwarded_for })).status;
    expect(await from('203.0.113.7')).toBe(401);
    expect(await from('203.0.113.8')).toBe(429);
  });
});

describe('requests of one user and one organization', () => {
  const { user, organization } = RATE_LIMIT_SHARES;

  test('further keys of a user do not raise the limit of the user', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(2) });
    const statuses: number[] = [];
    for (let at = 0; at < user + 3; at++) {
      const key = await server.key({ user: 'ana' });
      for (let count = 0; count < 2; count++) statuses.push((await server.request(PATH, { key })).status);
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(2 * user);
    expect(statuses.slice(2 * user)).toEqual(Array(6).fill(429));
    const other = await server.key({ user: 'ben' });
    expect((await server.request(PATH, { key: other })).status).toBe(200);
  });

  test('the 429 past the limit of a user states the reason and when to try again', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(1) });
    let response: Response | undefined;
    for (let at = 0; at <= user; at++)
      response = await server.request(PATH, { key: await server.key({ user: 'ana' }) });
    expect(response?.status).toBe(429);
    expect(Number(response?.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(await response?.text()).toContain('the keys of this user');
  });

  test('further users of an organization do not raise the limit of the organization', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: limits(1) });
    const statuses: number[] = [];
    for (let at = 0; at < organization + 3; at++) {
      const key = await server.key({ organization: 'acme', user: `user${at}` });
      statuses.push((await server.request(PATH, { key })).status);
    }
    expect(statuses).toEqual([...Array(organization).fill(200), 429, 429, 429]);
    const elsewhere = await server.key({ organization: 'initech', user: 'ana' });
    expect((await server.request(PATH, { key: elsewhere })).status).toBe(200);
  });
});

describe('reads of the whole audit log', () => {
  test('searches and verifications have a smaller limit per organization, and pages without a filter have none', async () => {
    const server = await startHttpServer({ dialects: DIALECTS, settings: limits(6) });
    const statusOf = async (path: string, input: CreateKeyInput = {}) =>
      (await server.request(path, { key: await server.key({ scopes: ['audit:read'], ...input }) })).status;
    expect(await statusOf('/v1/audit/verify')).toBe(200);
    expect(await statusOf('/v1/audit?user=ana')).toBe(200);
    expect(await statusOf('/v1/audit?since=2026-01-01')).toBe(200);
    expect(await statusOf('/v1/audit/verify')).toBe(429);
    expect(await statusOf('/v1/audit?user=ana')).toBe(429);
    expect(await statusOf('/v1/audit?limit=10')).toBe(200);
    const elsewhere = { organization: 'acme', user: 'ana' };
    expect(await statusOf('/v1/audit/verify', elsewhere)).toBe(200);
  });

  test('requests without the scope do not use up the limit', async () => {
    const server = await startHttpServer({ dialects: DIALECTS, settings: limits(6) });
    for (let at = 0; at < 5; at++) expect((await server.request('/v1/audit/verify')).status).toBe(403);
    const key = await server.key({ scopes: ['audit:read'] });
    expect((await server.request('/v1/audit/verify', { key })).status).toBe(200);
  });

  test('refused requests with keys for a part of the organization do not use up the limit', async () => {
    const server = await startHttpServer({ dialects: DIALECTS, settings: limits(6) });
    const restrictions: CreateKeyInput[] = [
      { stack_id: 'default' },
      { allowed_services: ['openai'] },
      { allowed_tools: ['list_services'] },
    ];
    for (const restriction of restrictions) {
      const key = await server.key({ scopes: ['audit:read', 'credentials:read'], ...restriction });
      for (let at = 0; at < 3; at++)
        expect((await server.request('/v1/audit/verify', { key })).status).toBe(403);
    }
    const key = await server.key({ scopes: ['audit:read'] });
    expect((await server.request('/v1/audit/verify', { key })).status).toBe(200);
  });

  test('verifications of one organization run one after the other', async () => {
    const requests = new RequestLimits(0);
    const caller = { ...localCaller('rest', 'r') };
    const running: string[] = [];
    const read = (name: string) => async () => {
      running.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      running.push(`${name} ends`);
    };
    const other = { ...caller, organization: 'acme' };
    await Promise.all([
      requests.runAuditRead(caller, read('one')),
      requests.runAuditRead(caller, read('two')),
      requests.runAuditRead(other, read('other')),
    ]);
    expect(running.indexOf('two begins')).toBeGreaterThan(running.indexOf('one ends'));
    expect(running.indexOf('other begins')).toBeLessThan(running.indexOf('one ends'));
  });
});

describe('RateLimiter', () => {
  test('RateLimiter counts a bounded number of keys, and forgets the oldest first', () => {
    const limiter = new RateLimiter(1, 'Too many.');
    limiter.count('first');
    expect(() => limiter.count('first')).toThrow('Too many.');
    for (let at = 0; at < RATE_LIMIT_KEYS_MAX - 1; at++) limiter.count(`invented ${at}`);
    expect(() => limiter.count('first')).toThrow('Too many.');
    limiter.count('one more');
    limiter.count('first');
  });
});

describe('clientAddress', () => {
  test('clientAddress maps a socket address to an IPv4 address or an IPv6 network', () => {
    expect(clientAddress('192.0.2.1', null)).toBe('192.0.2.1');
    expect(clientAddress('::ffff:203.0.113.7', null)).toBe('203.0.113.7');
    expect(clientAddress('2001:db8:1:2:3:4:5:6', null)).toBe('2001:db8:1:2::');
    expect(clientAddress(undefined, null)).toBe('');
  });

  test.each([
    ['203.0.113.7:4711', '203.0.113.7'],
    ['198.51.100.1, 203.0.113.7:4711', '203.0.113.7'],
    ['[2001:db8:1:2::5]:443', '2001:db8:1:2::'],
    ['"[2001:db8:1:2::5]:443"', '2001:db8:1:2::'],
    ['2001:db8:1:2::5', '2001:db8:1:2::'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['fe80::1%eth0', 'fe80:0:0:0::%eth0'],
  ])('clientAddress reads the last hop of X-Forwarded-For in every form: %s', (header, address) => {
    expect(clientAddress('10.0.0.1', header)).toBe(address);
  });

  test('clientAddress ignores an entry of X-Forwarded-For that is not an address', () => {
    for (const header of ['unknown', '_hidden', '203.0.113.7, ', '203.0.113.7, unknown:80', ''])
      expect(clientAddress('10.0.0.1', header)).toBe('10.0.0.1');
    expect(clientAddress('10.0.0.1', ' 1.2.3.4 , 203.0.113.7 ')).toBe('203.0.113.7');
  });
});
