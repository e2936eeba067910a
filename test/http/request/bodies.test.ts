/** Bodies that are too large, too deep, of the wrong media type or malformed. */
import { describe, expect, test } from 'vitest';
import { JSON_DEPTH_MAX, REQUEST_BODY_MAX_BYTES } from '../../../src/contract/limits.ts';
import { parseStrictJson } from '../../../src/io/strict_json.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

const PATH = '/toy/items/1';
const put = (
  server: TestHttpServer,
  body: string | Buffer<ArrayBuffer>,
  headers: Record<string, string> = {},
) => server.request(PATH, { method: 'PUT', body, headers });
/** A body of exactly this size. */
const sized = (bytes: number) => `{"name":"${'x'.repeat(bytes - 11)}"}`;

async function head(server: TestHttpServer, ...lines: string[]): Promise<string[]> {
  const key = await server.key();
  return [`PUT ${PATH} HTTP/1.1`, 'Host: localhost', `X-API-Key: ${key}`, ...lines];
}

describe('the size of a body', () => {
  test('a body at the limit is accepted, one byte more is 413', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect((await put(server, sized(REQUEST_BODY_MAX_BYTES))).status).toBe(200);
    const response = await put(server, sized(REQUEST_BODY_MAX_BYTES + 1));
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      toy: 'INVALID_INPUT',
      message: expect.stringContaining('1048576'),
    });
  });

  test('a declared length over the limit is 413 before any of the body arrives', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const lines = await head(server, 'Content-Type: application/json', `Content-Length: ${2 ** 40}`);
    expect(statuses(await sendLines(server.url, lines))).toEqual([413]);
  });

  test('a body without a declared length over the limit is 413', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const chunked = (text: string) => new Blob([text]).stream();
    const send = (text: string) =>
      server.request(PATH, { method: 'PUT', body: chunked(text), duplex: 'half' } as RequestInit);
    const small = await send('{"name":"chunked"}');
    expect([small.status, await small.json()]).toMatchObject([200, { name: 'chunked' }]);
    expect((await send(sized(REQUEST_BODY_MAX_BYTES))).status).toBe(200);
    expect((await send(sized(REQUEST_BODY_MAX_BYTES + 1))).status).toBe(413);
  });

  test('an endless body is 413 while it arrives, and the connection is closed', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const socket = await openSocket(server.url);
    const response = readAll(socket, 3_000);
    const lines = await head(server, 'Content-Type: application/json', 'Transfer-Encoding: chunked');
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    let sent = 0;
    const flood = setInterval(() => {
      if (socket.destroyed || !socket.writable) return;
      socket.write(chunk);
      sent += chunk.length;
    }, 1);
    const text = await response;
    clearInterval(flood);
    expect(statuses(text)[0]).toBe(413);
    expect(sent).toBeGreaterThan(REQUEST_BODY_MAX_BYTES);
    expect(socket.destroyed || socket.readableEnded).toBe(true);
  });
});

describe('the media type of a body', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json-patch+json',
    'text/json',
    'application/xml',
    'application/json; charset=utf-16',
    'application/json; charset=iso-8859-1',
    '*/*',
    ',',
  ])('a body of type %s is 415', async (type) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await put(server, '{"name":"x"}', { 'content-type': type });
    expect([response.status, await response.json()]).toMatchObject([415, { toy: 'INVALID_INPUT' }]);
    expect(response.headers.get('accept')).toBe('application/json');
  });

  test.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
  ])('a body of type %s is accepted as JSON', async (type) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect((await put(server, '{"name":"x"}', { 'content-type': type })).status).toBe(200);
  });

  test('a request without a body needs no Content-Type', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const lines = ['Host: localhost', `X-API-Key: ${await server.key()}`, 'Connection: close'];
    const deletion = 'DELETE /toy/deletable/1 HTTP/1.1';
    expect(statuses(await sendLines(server.url, [deletion, ...lines]))).toEqual([204]);
    expect(statuses(await sendLines(server.url, [deletion, ...lines, 'Content-Length: 0']))).toEqual([204]);
    const typed = [deletion, ...lines, 'Content-Type: text/plain'];
    expect(statuses(await sendLines(server.url, typed))).toEqual([204]);
    const chunked = [deletion, ...lines, 'Content-Type: application/json', 'Transfer-Encoding: chunked'];
    expect(statuses(await sendLines(server.url, chunked, '0\r\n\r\n'))).toEqual([204]);
    expect((await server.request('/toy/deletable/1', { method: 'DELETE' })).status).toBe(204);
  });

  test('a request without a body fails validation, whatever its Content-Type', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const missing = { toy: 'invalid', target: 'body', paths: ['name'] };
    for (const lines of [
      ['Content-Length: 0'],
      ['Content-Length: 0', 'Content-Type: application/json'],
      ['Content-Type: application/json; charset=utf-8'],
      ['Content-Length: 0', 'Content-Type: text/plain'],
      ['Content-Type: application/json', 'Transfer-Encoding: chunked'],
    ]) {
      const end = lines.some((line) => line.startsWith('Transfer')) ? '0\r\n\r\n' : '';
      const response = await sendLines(server.url, await head(server, 'Connection: close', ...lines), end);
      expect([lines, statuses(response), response.includes(JSON.stringify(missing))]).toEqual([
        lines,
        [422],
        true,
      ]);
    }
  });

  test('a body without Content-Type is 415', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const body = '{"name":"x"}';
    const lines = await head(server, `Content-Length: ${body.length}`, 'Connection: close');
    expect(statuses(await sendLines(server.url, lines, body))).toEqual([415]);
  });

  test('a compressed body is 415', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    for (const coding of ['gzip', 'br', 'deflate', 'identity, gzip'])
      expect((await put(server, '{"name":"x"}', { 'content-encoding': coding })).status).toBe(415);
  });
});

describe('a body that is not valid JSON', () => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

  test.each([
    ['truncated JSON', '{"name":"hunter2'],
    ['two JSON values', '{"name":"x"}{"name":"hunter2"}'],
    ['a comment', '{"name":"x"/*hunter2*/}'],
    ['a trailing comma', '{"name":"hunter2",}'],
    ['single quotes', "{'name':'hunter2'}"],
    ['NaN', '{"name":NaN}'],
    ['a duplicate name', '{"name":"x","name":"hunter2"}'],
    ['a duplicate name with an escape', '{"name":"x","n\\u0061me":"hunter2"}'],
    ['a nested duplicate name', '{"name":"x","note":{"a":1,"b":{},"a":2}}'],
    ['__proto__', '{"name":"x","__proto__":{"admin":true}}'],
    ['an escaped __proto__', '{"name":"x","\\u005f_proto__":{"admin":true}}'],
    ['very deep nesting', deep(100_000)],
    ['nesting just past the limit', deep(JSON_DEPTH_MAX + 1)],
    ['objects in objects', '{"a":'.repeat(50_000)],
    ['only spaces', '   '],
    ['a byte order mark of UTF-16', '\ufeff\ufeff{}'],
  ])('a body with %s gets the error of the dialect, without the input', async (_what, body) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await put(server, body);
    const text = await response.text();
    expect([response.status, JSON.parse(text)]).toEqual([
      422,
      { toy: 'invalid', target: 'body', paths: [''] },
    ]);
    expect(text + JSON.stringify(server.log)).not.toContain('hunter2');
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  test('a body that is not UTF-8 is rejected, not repaired', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]]) {
      const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from(bytes), Buffer.from('"}')]);
      expect((await put(server, body)).status).toBe(422);
    }
    const good = await put(server, '{"name":"\ufffd 😀"}');
    expect(await good.json()).toMatchObject({ name: '\ufffd 😀' });
  });

  test('invalid JSON takes no longer than valid JSON of the same size', async () => {
    const names = Array.from({ length: 60_000 }, (_, at) => `"n${at}":1`).join(',');
    const server = await startHttpServer({ dialects: [testDialect] });
    const before = performance.now();
    await put(server, `{${names}}`);
    await put(server, `"${'\\'.repeat(500_000)}"`);
    await put(server, `"${'['.repeat(1_000_000)}"`);
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});

describe('parseStrictJson', () => {
  test.each([
    ...['{}', '[]', '"x"', 'null', ' {"a":[{"a":1},{"a":2}],"b":{"a":"[[[{{{\\""}} '],
    '['.repeat(JSON_DEPTH_MAX) + ']'.repeat(JSON_DEPTH_MAX),
    '{"constructor":1,"toString":2,"proto":3}',
  ])('parseStrictJson returns the value of %s', (text) => {
    expect(parseStrictJson(text)).toEqual({ value: JSON.parse(text) });
  });

  test.each([['\\', '"', '[[', '}}', '\\"['], '['.repeat(1_000)])(
    'parseStrictJson ignores brackets and quotes within strings: %j',
    (value) => {
      expect(parseStrictJson(JSON.stringify(value))).toEqual({ value });
    },
  );
});
