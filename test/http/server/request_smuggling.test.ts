/** Requests of which two programs on the way could have two opinions: each is refused, and nothing after it is served. */
import { describe, expect, test } from 'vitest';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { headerOf, openSocket, readAll, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

const SMUGGLED = 'GET /toy/fail/CONFLICT HTTP/1.1\r\nHost: localhost\r\n';
/** Headers that are added to a good PUT, and what follows them before the smuggled request. */
const AMBIGUOUS: Readonly<Record<string, readonly [headers: string, body: string]>> = {
  'length and chunks': ['Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
  'chunks and length': ['Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'],
  'two lengths': ['Content-Length: 2\r\nContent-Length: 200', '{}'],
  'the same length twice': ['Content-Length: 2\r\nContent-Length: 2', '{}'],
  'a list of lengths': ['Content-Length: 2, 2', '{}'],
  'a length with a sign': ['Content-Length: +2', '{}'],
  'a negative length': ['Content-Length: -2', '{}'],
  'a length in hexadecimal': ['Content-Length: 0x2', '{}'],
  'two numbers for a length': ['Content-Length: 2 2', '{}'],
  'a length past all numbers': ['Content-Length: 99999999999999999999999', '{}'],
  'a blank before the colon of the length': ['Content-Length : 2', '{}'],
  'a blank before the colon of the coding': ['Transfer-Encoding : chunked', '0\r\n\r\n'],
  'a coding that is none': ['Transfer-Encoding: xchunked', '0\r\n\r\n'],
  'a vertical tab in the coding': ['Transfer-Encoding: \u000bchunked', '0\r\n\r\n'],
  'identity alone': ['Transfer-Encoding: identity', '0\r\n\r\n'],
  'chunked and then identity': ['Transfer-Encoding: chunked, identity', '0\r\n\r\n'],
  'identity and then chunked': ['Transfer-Encoding: identity, chunked', '2\r\n{}\r\n0\r\n\r\n'],
  'gzip and then chunked': ['Transfer-Encoding: gzip, chunked', '2\r\n{}\r\n0\r\n\r\n'],
  'two codings in two headers': ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'],
  'a folded header': ['X-Fold: a\r\n b\r\nContent-Length: 2', '{}'],
  'a folded coding': ['Transfer-Encoding:\r\n chunked', '0\r\n\r\n'],
  'a line feed alone': ['X-A: b\nContent-Length: 2', '{}'],
  'a carriage return alone': ['X-A: b\rContent-Length: 2', '{}'],
  'a NUL in a header': ['X-A: b\0c\r\nContent-Length: 2', '{}'],
  'a chunk size in another notation': ['Transfer-Encoding: chunked', '0x2\r\n{}\r\n0\r\n\r\n'],
  'a chunk size with a sign': ['Transfer-Encoding: chunked', '+2\r\n{}\r\n0\r\n\r\n'],
  'a chunk size with a blank': ['Transfer-Encoding: chunked', '2 \r\n{}\r\n0\r\n\r\n'],
  'chunks with line feeds alone': ['Transfer-Encoding: chunked', '2\n{}\n0\n\n'],
  'a chunk that is longer than it says': ['Transfer-Encoding: chunked', '2\r\n{}xx0\r\n\r\n'],
  'a chunk size past all numbers': ['Transfer-Encoding: chunked', 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n'],
  'a line feed in a chunk extension': ['Transfer-Encoding: chunked', '2;a\nb\r\n{}\r\n0\r\n\r\n'],
  'a length in the trailer': ['Transfer-Encoding: chunked', '2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n'],
};

async function exchange(server: TestHttpServer, bytes: string): Promise<{ text: string; closed: boolean }> {
  const socket = await openSocket(server.url);
  const answer = readAll(socket, 400);
  socket.write(Buffer.from(bytes, 'latin1'));
  const text = await answer;
  return { text, closed: socket.destroyed || socket.readableEnded };
}

describe('a request with', () => {
  test.each(Object.entries(AMBIGUOUS))(
    '%s is 400, and the end of its connection',
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
    ['a version there is not', 'GET /toy/items/1 HTTP/1.2\r\nHost: localhost\r\n\r\n', [400]],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['a method there is not', 'STORE /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['line feeds alone', 'GET /toy/items/1 HTTP/1.1\nHost: localhost\n\n', [400]],
    ['a control character in its target', 'GET /toy/items/\u0001 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a target that is no path', 'GET toy/items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a backslash in its target', 'GET /toy\\items\\1 HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
    ['a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003', [400]],
    ['headers without end', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, [431]],
    ['too many headers', `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: yyy\r\n'.repeat(5_000)}\r\n`, [431]],
    ['a target without end', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, [431]],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n', [405]],
    ['TRACE', 'TRACE /healthz HTTP/1.1\r\nHost: localhost\r\nX-API-Key: hunter2\r\n\r\n', [405]],
    ['an expectation', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n', [417]],
  ] as const)('%s is refused, with a request id', async (_what, bytes, expected) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const { text } = await exchange(server, bytes);
    expect(statuses(text)).toEqual(expected);
    expect(headerOf(text, 'X-Request-ID')).toMatch(/^[0-9A-Z]{26}$/);
    expect(text).not.toContain('hunter2');
  });

  test('a body where none belongs: it is not taken for the next request', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const key = `X-API-Key: ${await server.key()}\r\n`;
    const inner = `${SMUGGLED}${key}\r\n`;
    const outer = `GET /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}Content-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, outer + inner)).text)).toEqual([200]);
    const unread = `PUT /toy/nothing HTTP/1.1\r\nHost: localhost\r\n${key}Content-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, unread + inner)).text)).toEqual([404]);
    const nobody = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${inner.length}\r\n\r\n`;
    expect(statuses((await exchange(server, nobody + inner)).text)).toEqual([401]);
  });

  test('a wish for another protocol gets an answer in this one', async () => {
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

test('requests one behind the other on one connection are answered in their order', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const key = `X-API-Key: ${await server.key()}\r\n`;
  const get = (id: number) => `GET /toy/items/${id} HTTP/1.1\r\nHost: localhost\r\n${key}\r\n`;
  const { text } = await exchange(server, Array.from({ length: 20 }, (_, id) => get(id)).join(''));
  expect([...text.matchAll(/"id":"(\d+)"/g)].map(([, id]) => Number(id))).toEqual([...Array(20).keys()]);
});
