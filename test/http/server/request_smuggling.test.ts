/** Request smuggling: a request that two HTTP parsers could read differently is rejected, and nothing after it is processed. */
import { describe, expect, test } from 'vitest';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { headerOf, openSocket, readAll, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

const SMUGGLED = 'GET /toy/fail/CONFLICT HTTP/1.1\r\nHost: localhost\r\n';
/** Headers added to a valid PUT, and the bytes between them and the smuggled request. */
const AMBIGUOUS: Readonly<Record<string, readonly [headers: string, body: string]>> = {
  'a length and then chunked': ['Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
  'chunked and then a length': ['Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'],
  'two lengths': ['Content-Length: 2\r\nContent-Length: 200', '{}'],
  'the same length twice': ['Content-Length: 2\r\nContent-Length: 2', '{}'],
  'a list of lengths': ['Content-Length: 2, 2', '{}'],
  'a length with a sign': ['Content-Length: +2', '{}'],
  'a negative length': ['Content-Length: -2', '{}'],
  'a length in hexadecimal': ['Content-Length: 0x2', '{}'],
  'two numbers as the length': ['Content-Length: 2 2', '{}'],
  'a length beyond 64 bits': ['Content-Length: 99999999999999999999999', '{}'],
  'a blank before the colon of the length': ['Content-Length : 2', '{}'],
  'a blank before the colon of the coding': ['Transfer-Encoding : chunked', '0\r\n\r\n'],
  'an unknown coding': ['Transfer-Encoding: xchunked', '0\r\n\r\n'],
  'a vertical tab in the coding': ['Transfer-Encoding: \u000bchunked', '0\r\n\r\n'],
  'identity alone': ['Transfer-Encoding: identity', '0\r\n\r\n'],
  'chunked and then identity': ['Transfer-Encoding: chunked, identity', '0\r\n\r\n'],
  'identity and then chunked': ['Transfer-Encoding: identity, chunked', '2\r\n{}\r\n0\r\n\r\n'],
  'gzip and then chunked': ['Transfer-Encoding: gzip, chunked', '2\r\n{}\r\n0\r\n\r\n'],
  'two codings in two headers': ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'],
  'a folded header': ['X-Fold: a\r\n b\r\nContent-Length: 2', '{}'],
  'a folded coding': ['Transfer-Encoding:\r\n chunked', '0\r\n\r\n'],
  'a bare line feed': ['X-A: b\nContent-Length: 2', '{}'],
  'a bare carriage return': ['X-A: b\rContent-Length: 2', '{}'],
  'a NUL in a header': ['X-A: b\0c\r\nContent-Length: 2', '{}'],
  'a hexadecimal chunk size with a prefix': ['Transfer-Encoding: chunked', '0x2\r\n{}\r\n0\r\n\r\n'],
  'a chunk size with a sign': ['Transfer-Encoding: chunked', '+2\r\n{}\r\n0\r\n\r\n'],
  'a chunk size with a blank': ['Transfer-Encoding: chunked', '2 \r\n{}\r\n0\r\n\r\n'],
  'chunks with bare line feeds': ['Transfer-Encoding: chunked', '2\n{}\n0\n\n'],
  'a chunk longer than its size': ['Transfer-Encoding: chunked', '2\r\n{}xx0\r\n\r\n'],
  'a chunk size beyond 64 bits': ['Transfer-Encoding: chunked', 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n'],
  'a line feed in a chunk extension': ['Transfer-Encoding: chunked', '2;a\nb\r\n{}\r\n0\r\n\r\n'],
  'a length in the trailer': ['Transfer-Encoding: chunked', '2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n'],
};

async function exchange(server: TestHttpServer, bytes: string): Promise<{ text: string; closed: boolean }> {
  const socket = await openSocket(server.url);
  const response = readAll(socket, 400);
  socket.write(Buffer.from(bytes, 'latin1'));
  const text = await response;
  return { text, closed: socket.destroyed || socket.readableEnded };
}

describe('an ambiguous request', () => {
  test.each(Object.entries(AMBIGUOUS))(
    'a request with %s gets 400 and its connection is closed',
    async (_what, [headers, body]) => {
      const server = await startHttpServer({ dialects: [testDialect] });
      const key = `X-API-Key: ${await server.key()}\r\n`;
      const put = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}Content-Type: application/json\r\n`;
      const { text, closed } = await exchange(server, `${put}${headers}\r\n\r\n${body}${SMUGGLED}${key}\r\n`);
      expect(statuses(text)).toEqual([400]);
      expect(headerOf(text, 'X-Request-ID')).toMatch(/^[0-9A-Z]{26}$/);
      expect(text).not.toContain('CONFLICT');
      expect(server.log.some(({ fields }) => fields.route === '/toy/fail/:code')).toBe(false);
      expect(closed).toBe(true);
    },
  );

  test.each([
    ['HTTP/0.9', 'GET /toy/items/1\r\n\r\n', [400]],
    ['an unknown version', 'GET /toy/items/1 HTTP/1.2\r\nHost: localhost\r\n\r\n', [400]],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['an unknown method', 'STORE /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['bare line feeds', 'GET /toy/items/1 HTTP/1.1\nHost: localhost\n\n', [400]],
    ['a control character in its target', 'GET /toy/items/\u0001 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a target that is not a path', 'GET toy/items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a backslash in its target', 'GET /toy\\items\\1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003', [400]],
    ['oversized headers', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, [431]],
    ['too many headers', `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: yyy\r\n'.repeat(5_000)}\r\n`, [431]],
    ['an oversized target', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, [431]],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n', [405]],
    ['TRACE', 'TRACE /healthz HTTP/1.1\r\nHost: localhost\r\nX-API-Key: hunter2\r\n\r\n', [405]],
    ['an unsupported Expect', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n', [417]],
  ] as const)('a request with %s is rejected with a request id', async (_what, bytes, expected) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const { text } = await exchange(server, bytes);
    expect(statuses(text)).toEqual(expected);
    expect(headerOf(text, 'X-Request-ID')).toMatch(/^[0-9A-Z]{26}$/);
    expect(text).not.toContain('hunter2');
  });

  test('a body that no route reads is not taken for the next request', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = `X-API-Key: ${await server.key()}\r\n`;
    const inner = `${SMUGGLED}${key}\r\n`;
    const outer = `GET /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}Content-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, outer + inner)).text)).toEqual([200]);
    const unread = `PUT /toy/nothing HTTP/1.1\r\nHost: localhost\r\n${key}Content-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, unread + inner)).text)).toEqual([404]);
    const without_key = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, without_key + inner)).text)).toEqual([401]);
  });

  test('a request with Upgrade gets an HTTP/1.1 response', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    for (const protocol of ['websocket', 'h2c', 'TLS/1.0']) {
      const lines = [
        'GET /healthz HTTP/1.1',
        'Host: localhost',
        'Connection: Upgrade',
        `Upgrade: ${protocol}`,
      ];
      expect(statuses((await exchange(server, `${lines.join('\r\n')}\r\n\r\n`)).text)).toEqual([200]);
    }
  });
});

test('pipelined requests get their responses in order', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const key = `X-API-Key: ${await server.key()}\r\n`;
  const get = (id: number) => `GET /toy/items/${id} HTTP/1.1\r\nHost: localhost\r\n${key}\r\n`;
  const { text } = await exchange(server, Array.from({ length: 20 }, (_, id) => get(id)).join(''));
  expect([...text.matchAll(/"id":"(\d+)"/g)].map(([, id]) => Number(id))).toEqual([...Array(20).keys()]);
});
