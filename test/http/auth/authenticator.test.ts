/** Authentication: a request is authenticated by the one key that it presents, and by nothing else. */
import { describe, expect, test } from 'vitest';
import { type Caller, localCaller } from '../../../src/contract/caller.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import { readPresentedKey } from '../../../src/http/auth/authenticator.ts';
import { DIALECTS } from '../../../src/rest/dialects.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

const PATH = '/toy/items/1';
const HEADERS = [
  ['Authorization', 'Bearer '],
  ['X-API-Key', ''],
  ['danube-api-key', ''],
] as const;
const KEY_LIFETIME_MS = 3_600_000;

describe('an API key', () => {
  test.each(HEADERS)('a key in %s authenticates', async (name, before) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = await server.key({ user: 'ana' });
    const response = await fetch(server.url + PATH, { headers: { [name]: before + key } });
    expect([response.status, await response.json()]).toMatchObject([200, { user: 'ana' }]);
  });

  test('the same key in several headers authenticates', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = await server.key();
    const headers = Object.fromEntries(HEADERS.map(([name, before]) => [name, before + key]));
    expect((await fetch(server.url + PATH, { headers })).status).toBe(200);
  });

  test('a key that is revoked, rotated or expired stops working at once', async () => {
    let offset_ms = 0;
    const vault_now = () => new Date(Date.now() + offset_ms);
    const server = await startHttpServer({ dialects: [testDialect], vault_now });
    const { vault } = server;
    const revoked = await vault.api_keys.create(server.caller(), {});
    const rotated = await vault.api_keys.create(server.caller(), {});
    const status = async (key: string) => (await server.request(PATH, { key })).status;
    expect([await status(revoked.key), await status(rotated.key)]).toEqual([200, 200]);
    await vault.api_keys.revoke(server.caller(), revoked.id);
    const fresh = await vault.api_keys.rotate(server.caller(), rotated.id);
    expect([await status(revoked.key), await status(rotated.key), await status(fresh.key)]).toEqual([
      401, 401, 200,
    ]);
    const short = await server.key({ expires_at: new Date(Date.now() + KEY_LIFETIME_MS).toISOString() });
    expect(await status(short)).toBe(200);
    offset_ms = KEY_LIFETIME_MS;
    expect(await status(short)).toBe(401);
  });
});

describe('a slow body', () => {
  test('a request is 401 if its key is revoked or expires while the body arrives', async () => {
    let offset_ms = 0;
    let begun = 0;
    const server = await startHttpServer({
      dialects: [testDialect],
      vault_now: () => new Date(Date.now() + offset_ms),
      settings: { authenticators: [async () => void begun++] },
    });
    const { api_keys } = server.vault;
    const soon = new Date(Date.now() + KEY_LIFETIME_MS).toISOString();
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const keys = {
      kept: await api_keys.create(server.caller(), {}),
      revoked: await api_keys.create(server.caller(), {}),
      rotated: await api_keys.create(server.caller(), {}),
      expired: await api_keys.create(server.caller(), { expires_at: soon }),
    };
    const body = '{"name":"slow"}';
    const ends = Object.values(keys).flatMap(({ key }) =>
      [`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked'].map(async (framing) => {
        const socket = await openSocket(server.url);
        const response = readAll(socket, 3_000);
        const head = `PUT ${PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n`;
        const is_chunked = framing.startsWith('T');
        socket.write(`${head}Content-Type: application/json\r\n${framing}\r\n\r\n`);
        socket.write(is_chunked ? `${body.length.toString(16)}\r\n${body}\r\n` : body.slice(0, -1));
        await finished;
        socket.write(is_chunked ? '0\r\n\r\n' : body.slice(-1));
        return statuses(await response);
      }),
    );
    await expect.poll(() => begun).toBe(ends.length);
    await api_keys.revoke(server.caller(), keys.revoked.id);
    await api_keys.rotate(server.caller(), keys.rotated.id);
    offset_ms = KEY_LIFETIME_MS;
    finish();
    expect(await Promise.all(ends)).toEqual([[200], [200], ...Array(6).fill([401])]);
  });
});

describe('a request without exactly one valid key', () => {
  test('a request without exactly one valid key is always the same 401 with WWW-Authenticate', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = await server.key();
    const other = await server.key();
    const attempts: Record<string, string>[] = [
      {},
      { authorization: '' },
      { authorization: 'Bearer' },
      { authorization: 'Bearer ' },
      { authorization: key },
      { authorization: `Basic ${Buffer.from(`x:${key}`).toString('base64')}` },
      { authorization: `Bearer ${key} ${key}` },
      { authorization: `Bearer ${key},` },
      { authorization: `Bearer "${key}"` },
      { authorization: `Bearer ${key.slice(0, -1)}` },
      { authorization: `Bearer ${key}x` },
      { authorization: `Bearer ${key.toUpperCase()}` },
      { authorization: `Bearer kh_${'0'.repeat(32)}_${'A'.repeat(43)}` },
      { 'x-api-key': '' },
      { 'x-api-key': `Bearer ${key}` },
      { 'danube-api-key': '' },
      { 'x-api-key': key, 'danube-api-key': '' },
      { 'x-api-key': key, 'danube-api-key': other },
      { authorization: `Bearer ${key}`, 'x-api-key': other },
      { authorization: `Bearer ${key}`, 'x-api-key': '' },
      { authorization: '', 'x-api-key': key },
      { authorization: 'Basic eDp5', 'x-api-key': key },
      { cookie: `authorization=${key}; x-api-key=${key}` },
      { 'proxy-authorization': `Bearer ${key}` },
      { 'x-forwarded-user': 'me', 'x-organization': 'local', 'x-forwarded-for': '127.0.0.1' },
      { 'x-api-key': "' OR '1'='1" },
    ];
    for (const headers of attempts) {
      const response = await fetch(`${server.url}${PATH}?api_key=${key}&access_token=${key}`, { headers });
      expect([headers, response.status]).toEqual([headers, 401]);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer(?: error="invalid_token")?$/);
      const { toy: code, message } = (await response.json()) as { toy: string; message: string };
      expect([code, message]).toEqual([
        'UNAUTHENTICATED',
        expect.stringContaining('A valid API key is needed'),
      ]);
    }
  });

  test('a request with a key header twice is 401, even with equal values', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = await server.key();
    for (const [name, before] of HEADERS) {
      const line = `${name}: ${before}${key}`;
      const response = await sendLines(server.url, [
        `GET ${PATH} HTTP/1.1`,
        'Host: localhost',
        line,
        line,
        'Connection: close',
      ]);
      expect([name, statuses(response)]).toEqual([name, [401]]);
    }
  });

  test('a request without a key cannot distinguish existing and unknown routes', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    for (const path of [PATH, '/toy/nothing', '/toy'])
      expect((await fetch(server.url + path)).status).toBe(401);
    expect((await fetch(server.url + PATH, { method: 'PATCH' })).status).toBe(401);
  });

  test('the body of a request without a key is not read', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const socket = await openSocket(server.url);
    const response = readAll(socket);
    socket.write(
      `PUT ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n`,
    );
    expect(statuses(await response)).toEqual([401]);
  });
});

describe('additional authenticators', () => {
  const caller = (user: string, request_id: string): Caller => ({ ...localCaller('mcp', request_id), user });

  test('an additional authenticator is tried first, and only for bearer tokens', async () => {
    const seen: string[] = [];
    const server = await startHttpServer({
      dialects: [testDialect],
      settings: {
        authenticators: [
          async (token, edge, request_id) => {
            seen.push(`${edge} ${token}`);
            return token === 'aaa.bbb.ccc' ? caller('jwt', request_id) : undefined;
          },
        ],
      },
    });
    const key = await server.key();
    const response = await server.request(PATH, { key: 'aaa.bbb.ccc' });
    expect(await response.json()).toMatchObject({ user: 'jwt' });
    expect((await server.request(PATH, { key })).status).toBe(200);
    expect((await fetch(server.url + PATH, { headers: { 'x-api-key': 'aaa.bbb.ccc' } })).status).toBe(401);
    expect(seen).toEqual(['rest aaa.bbb.ccc', `rest ${key}`]);
  });

  test('an additional authenticator that rejects is not skipped', async () => {
    const server = await startHttpServer({
      dialects: [testDialect],
      settings: {
        authenticators: [
          async (token) => {
            if (token === 'expired') throw new VaultError('UNAUTHENTICATED', 'The token has expired.');
            throw new Error('the issuer cannot be reached');
          },
        ],
      },
    });
    expect((await server.request(PATH, { key: 'expired' })).status).toBe(401);
    expect((await server.request(PATH, { key: 'any' })).status).toBe(500);
    expect((await server.request(PATH, { key: await server.key() })).status).toBe(500);
  });
});

describe('readPresentedKey', () => {
  const from = (headers: Readonly<Record<string, string>>) => readPresentedKey((name) => headers[name]);

  test('readPresentedKey accepts RFC 6750 tokens, with the scheme in any case', () => {
    expect(from({ authorization: 'bEaReR  abc.d-e_f~g+h/i==' })).toEqual({
      text: 'abc.d-e_f~g+h/i==',
      is_bearer: true,
    });
    expect(from({ 'x-api-key': 'abc' })).toEqual({ text: 'abc', is_bearer: false });
  });

  test.each(['a b', 'a,b', 'a\tb', 'ä', '', '=', 'a=b', 'x'.repeat(8_193)])(
    'readPresentedKey rejects %j',
    (text) => {
      expect(from({ 'x-api-key': text })).toBeUndefined();
      expect(from({ authorization: `Bearer ${text}` })).toBeUndefined();
    },
  );
});

describe('WWW-Authenticate', () => {
  const challengeOf = async (server: TestHttpServer, path: string, headers: Record<string, string>) => {
    const response = await fetch(server.url + path, { headers });
    return [response.status, response.headers.get('www-authenticate')];
  };

  test('a 401 names invalid_token for a bearer token, and no error without one', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const { key, id } = await server.vault.api_keys.create(server.caller(), {});
    await server.vault.api_keys.revoke(server.caller(), id);
    for (const token of ['wrong', key, 'eyJhbGciOiJFUzI1NiJ9.eyJ4Ijox.AAAA']) {
      const challenge = await challengeOf(server, PATH, { authorization: `bearer ${token}` });
      expect(challenge).toEqual([401, 'Bearer error="invalid_token"']);
    }
    const others: Record<string, string>[] = [{}, { authorization: 'Basic eDp5' }, { 'x-api-key': 'wrong' }];
    for (const headers of others) expect(await challengeOf(server, PATH, headers)).toEqual([401, 'Bearer']);
  });

  test('a 403 names insufficient_scope and the scope that is missing if a token can have it', async () => {
    const server = await startHttpServer({ dialects: DIALECTS });
    const authorization = `Bearer ${await server.key({ scopes: ['audit:read'] })}`;
    expect(await challengeOf(server, '/v1/credentials', { authorization })).toEqual([
      403,
      'Bearer error="insufficient_scope", scope="credentials:read"',
    ]);
  });

  test('a 403 has no challenge if no token would help', async () => {
    const server = await startHttpServer({ dialects: DIALECTS });
    const authorization = `Bearer ${await server.key()}`;
    expect(await challengeOf(server, '/v1/audit', { authorization })).toEqual([403, null]);
    expect(await challengeOf(server, '/metrics', { authorization })).toEqual([403, null]);
    const headers = { authorization, origin: 'https://other.example' };
    expect(await challengeOf(server, '/v1/audit', headers)).toEqual([403, null]);
  });
});
