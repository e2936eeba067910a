/** The HTTP application adds request id, security headers, error format and one log line to every route. */
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE, type ErrorCode } from '../../src/contract/errors.ts';
import type { Mount } from '../../src/http/mount.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { testDialect } from './test_dialect.ts';

const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

describe('every response', () => {
  test.each(['/toy/items/1', '/toy/nothing', '/nowhere', '/healthz', '/toy/fail/INTERNAL', '/toy/fail/oops'])(
    'the response to %s has a new request id and the security headers',
    async (path) => {
      const server = await startHttpServer({ dialects: [testDialect] });
      const responses = [await server.request(path), await fetch(server.url + path)];
      const ids = responses.map(({ headers }) => headers.get('x-request-id'));
      for (const id of ids) expect(id).toMatch(ULID);
      expect(new Set(ids).size).toBe(2);
      for (const { headers } of responses) {
        expect(Object.fromEntries(headers)).toMatchObject({
          'x-content-type-options': 'nosniff',
          'cache-control': 'no-store',
          'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
          'x-frame-options': 'DENY',
          'referrer-policy': 'no-referrer',
        });
        expect(headers.has('strict-transport-security')).toBe(false);
        expect(headers.has('access-control-allow-origin')).toBe(false);
      }
    },
  );

  test('a response does not reuse the request id that the client sent', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request('/toy/items/1', { headers: { 'x-request-id': 'mine' } });
    expect(response.headers.get('x-request-id')).toMatch(ULID);
  });

  test('a response has Strict-Transport-Security if the public URL is https', async () => {
    const server = await startHttpServer({ public_url: 'https://vault.example.com' });
    const response = await fetch(`${server.url}/healthz`);
    expect(response.headers.get('strict-transport-security')).toContain('max-age');
  });

  test('a response keeps the content security policy that a page has set', async () => {
    const page: Mount = {
      name: 'page',
      path: '/page',
      edge: 'web',
      access: 'open',
      handler: () => new Response('<p>', { headers: { 'Content-Security-Policy': "script-src 'self'" } }),
    };
    const server = await startHttpServer({ mounts: [page] });
    const response = await fetch(`${server.url}/page`);
    expect(response.headers.get('content-security-policy')).toBe("script-src 'self'");
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });
});

describe('errors', () => {
  test.each(Object.keys(ERROR_TABLE) as ErrorCode[])('%s has the format of its dialect', async (code) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request(`/toy/fail/${code}`);
    expect(response.status).toBe(ERROR_TABLE[code].http_status);
    expect(await response.json()).toEqual({ toy: code, message: `This is ${code}.` });
  });

  test('an unknown error becomes INTERNAL, and its cause is logged with the request id', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request('/toy/fail/hunter2');
    const request_id = response.headers.get('x-request-id');
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({
      toy: 'INTERNAL',
      message: `Something failed inside Keyhold. Its log has the cause under request id ${request_id}.`,
    });
    const failed = server.log.find(({ message }) => message === 'request failed');
    expect(failed).toMatchObject({
      level: 'error',
      fields: { request_id, code: 'INTERNAL', route: '/toy/fail/:code' },
    });
    expect(JSON.stringify(failed)).toContain('TypeError');
    expect(JSON.stringify(server.log)).not.toContain('hunter2');
  });

  test('input that fails validation gets the error of the dialect, with the target and without the input', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const wrong = await server.request('/toy/items/1', { method: 'PUT', body: '{"note":["hunter2"]}' });
    expect(wrong.status).toBe(422);
    expect(await wrong.json()).toEqual({ toy: 'invalid', target: 'body', paths: ['name', 'note'] });
    const query = await server.request('/toy/items/1?page=hunter2');
    expect(await query.json()).toEqual({ toy: 'invalid', target: 'query', paths: ['page'] });
  });

  test('a missing body fails validation', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request('/toy/items/1', { method: 'PUT' });
    expect([response.status, await response.json()]).toEqual([
      422,
      { toy: 'invalid', target: 'body', paths: ['name'] },
    ]);
  });
});

describe('paths', () => {
  test('an unknown path is 404 in the format of the dialect with its prefix', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request('/toy/hunter2');
    expect(response.status).toBe(404);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({ toy: 'NOT_FOUND' });
    expect(body).not.toContain('hunter2');
    const unmatched = await fetch(`${server.url}/hunter2`);
    expect(unmatched.status).toBe(404);
    expect(await unmatched.json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  test.each(['/toys', '/toyitems/1', '/TOY/items/1', '//toy/items/1', '/toy'])(
    '%s does not belong to the dialect at /toy/',
    async (path) => {
      const server = await startHttpServer({ dialects: [testDialect] });
      expect((await server.request(path)).status).toBe(404);
    },
  );

  test.each(['POST', 'DELETE', 'PATCH', 'OPTIONS'])(
    'a path that does not take %s is 405 and lists the methods that it takes',
    async (method) => {
      const server = await startHttpServer({ dialects: [testDialect] });
      const response = await server.request('/toy/items/1', { method });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('GET, PUT');
      expect(await response.json()).toMatchObject({ toy: 'INVALID_INPUT' });
    },
  );

  test('a path that takes GET takes HEAD and sends no body', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await server.request('/toy/items/1', { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(response.headers.get('x-request-id')).toMatch(ULID);
  });

  test('the server does not start if a route of a dialect is outside its prefixes', async () => {
    const stray = { ...testDialect, prefixes: ['/other'] };
    await expect(startHttpServer({ dialects: [stray] })).rejects.toThrow('not below a prefix of toy');
  });

  test('a path belongs to the dialect with the longest prefix', async () => {
    const inner = { ...testDialect, name: 'inner', prefixes: ['/toy/items'], register: () => undefined };
    const named = { ...inner, error: () => ({ status: 404, body: { from: 'inner' } }) };
    const server = await startHttpServer({ dialects: [testDialect, named] });
    expect(await (await server.request('/toy/items')).json()).toEqual({ from: 'inner' });
    expect(await (await server.request('/toy/other')).json()).toMatchObject({ toy: 'NOT_FOUND' });
  });
});

describe('the request log', () => {
  test('a request has one log line with route, status and key id', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const { id, key } = await server.vault.api_keys.create(server.caller(), {});
    const response = await server.request('/toy/items/1?page=2', { key });
    expect(server.log).toEqual([
      {
        level: 'info',
        message: 'request',
        fields: {
          request_id: response.headers.get('x-request-id'),
          area: 'toy',
          method: 'GET',
          route: '/toy/items/:item_id',
          status: 200,
          ms: expect.any(Number),
          code: undefined,
          key_id: id,
        },
      },
    ]);
  });

  test('the log contains no path, query, header, key or body of a request', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const nasty = 'hunter2\r\n{"level":"fatal"}\u001b[31m\u0000\u2028';
    const in_url = encodeURIComponent(nasty);
    const clean = 'hunter2';
    for (const path of [
      `/toy/items/${in_url}`,
      `/toy/${in_url}`,
      `/${in_url}`,
      `/toy/items/1?page=${in_url}&${in_url}`,
    ]) {
      await server.request(path);
      await server.request(path, { method: 'DELETE' });
      await server.request(path, { method: 'PUT', body: JSON.stringify({ [nasty]: nasty }) });
      await server.request(path, {
        key: clean,
        headers: { 'user-agent': clean, referer: clean, cookie: clean },
      });
      await server.request(path, {
        method: 'POST',
        body: nasty,
        headers: { 'content-type': `text/${clean}` },
      });
    }
    expect(server.log.length).toBeGreaterThanOrEqual(20);
    expect(JSON.stringify(server.log)).not.toContain('hunter2');
    expect(JSON.stringify(server.log)).not.toContain('fatal');
  });
});

describe('mounts', () => {
  const echo: Mount = {
    name: 'echo',
    path: '/echo',
    edge: 'mcp',
    access: 'key',
    handler: (_request, { body, caller, request_id }) =>
      Response.json({ body, user: caller.user, edge: caller.edge, request_id }),
  };

  test('a mount receives the caller and the body', async () => {
    const server = await startHttpServer({ mounts: [echo] });
    const response = await server.request('/echo', { method: 'POST', body: '{"a":1}' });
    const request_id = response.headers.get('x-request-id');
    expect(await response.json()).toEqual({ body: '{"a":1}', user: 'me', edge: 'mcp', request_id });
    expect((await server.request('/echo', { method: 'GET' })).status).toBe(200);
    expect((await server.request('/echo/below')).status).toBe(404);
  });

  test('a mount that needs a key is not reached without one, by any spelling of its path', async () => {
    const server = await startHttpServer({ mounts: [{ ...echo, path: '/echo/*' }], dialects: [testDialect] });
    for (const path of [
      '/echo',
      '/echo/',
      '/echo/x',
      '/%65cho',
      '/x/../echo',
      '/%2565cho',
      '//echo',
      '/echo%2Fx',
      '/toy/../echo',
    ]) {
      const { status } = await fetch(server.url + path);
      expect([path, [401, 404].includes(status)]).toEqual([path, true]);
    }
  });

  test('an open mount accepts only the media types that it lists', async () => {
    const open: Mount = {
      name: 'form',
      path: '/form',
      edge: 'web',
      access: 'open',
      content_types: ['application/x-www-form-urlencoded'],
      handler: (_request, { body }) => new Response(body),
    };
    const server = await startHttpServer({ mounts: [open] });
    const form = new URLSearchParams({ a: '1' });
    expect(await (await fetch(`${server.url}/form`, { method: 'POST', body: form })).text()).toBe('a=1');
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
    expect((await fetch(`${server.url}/form`, json)).status).toBe(415);
  });

  test('a mount formats its errors and its WWW-Authenticate', async () => {
    const own: Mount = {
      ...echo,
      error: ({ code }, status) => ({ status: status ?? 401, body: { jsonrpc: code } }),
      challenge: () => ({ resource_metadata: 'https://x/y' }),
    };
    const server = await startHttpServer({ mounts: [own] });
    const response = await fetch(`${server.url}/echo`);
    expect(response.headers.get('www-authenticate')).toBe('Bearer resource_metadata="https://x/y"');
    expect([response.status, await response.json()]).toEqual([401, { jsonrpc: 'UNAUTHENTICATED' }]);
  });

  test('a mount may return a response with immutable headers', async () => {
    const elsewhere = await startHttpServer();
    const passing: Mount = { ...echo, handler: () => fetch(`${elsewhere.url}/healthz`) };
    const server = await startHttpServer({ mounts: [passing] });
    const response = await server.request('/echo');
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    expect(response.headers.get('x-request-id')).toBe(server.log.at(-1)?.fields.request_id);
  });

  test('a mount that throws gets INTERNAL', async () => {
    const failing: Mount = {
      ...echo,
      handler: () => {
        throw new Error('hunter2');
      },
    };
    const server = await startHttpServer({ mounts: [failing] });
    const response = await server.request('/echo');
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('hunter2');
  });
});
