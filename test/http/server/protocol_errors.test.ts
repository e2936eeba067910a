/** Malformed input closes its connection with at most one error response, and never crashes the process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Mount } from '../../../src/http/mount.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

function put(key: string, more = ''): string {
  const body = '{"name":"first"}';
  const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${key}\r\n${more}`;
  return `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Streams more than fits into a socket's buffer. */
const long: Mount = {
  name: 'long',
  path: '/long',
  edge: 'rest',
  access: 'open',
  handler: () => {
    let left = 20;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(20_000).fill(0x61));
        else controller.close();
      },
    });
    return new Response(body);
  },
};
const LONG = 'GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n';

test('the server keeps running when clients send CONNECT and reset the connection', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  for (let round = 0; round < 300; round++) {
    const socket = await openSocket(server.url);
    socket.write('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n');
    if (round % 2 === 1) await sleep(1);
    socket.resetAndDestroy();
  }
  await sleep(100);
  expect((await server.request('/toy/items/1')).status).toBe(200);
});

test.each([
  [
    'an ambiguous body length',
    put('x', 'Transfer-Encoding: gzip, chunked\r\n').replace(/Content-Length.*\r\n/, ''),
  ],
  ['bytes that are not HTTP', 'garbage\r\n\r\n'],
  ['oversized headers', `GET / HTTP/1.1\r\nX-Long: ${'x'.repeat(40_000)}\r\n\r\n`],
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
])(
  '%s pipelined behind a request in flight destroys the connection without an error response',
  async (_what, bytes) => {
    const server = await startHttpServer({ mounts: [long] });
    const socket = await openSocket(server.url);
    const responses = readAll(socket, 3_000);
    socket.write(`${LONG.repeat(3)}${bytes}${LONG}`);
    expect(statuses(await responses).filter((status) => status >= 400)).toEqual([]);
    expect(socket.destroyed || socket.readableEnded).toBe(true);
    const before = performance.now();
    await server.close();
    expect(performance.now() - before).toBeLessThan(900);
  },
);

const BROKEN = 'Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nno size\r\n';
test.each([
  ['PUT', 'with an invalid key', 'X-API-Key: bad'],
  ['PUT', 'with a valid key', ''],
  ['GET', 'with a valid key', ''],
])('a %s %s whose body is malformed gets one error response', async (method, _what, header) => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const socket = await openSocket(server.url);
  const responses = readAll(socket, 3_000);
  const key = header || `X-API-Key: ${await server.key()}`;
  socket.write(`${method} /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}\r\n${BROKEN}`);
  expect(statuses(await responses)).toEqual([400]);
});

test('a request that already has a response gets no second one if its body is malformed', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const socket = await openSocket(server.url);
  const responses = readAll(socket, 3_000);
  const [head = '', rest = ''] = BROKEN.split('no size');
  socket.write(`PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: bad\r\n${head}`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.write(`no size${rest}`);
  expect(statuses(await responses)).toEqual([401]);
  expect(socket.destroyed || socket.readableEnded).toBe(true);
});

test('a request pipelined behind a response with Connection: close is not processed', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const socket = await openSocket(server.url);
  const responses = readAll(socket, 3_000);
  const expecting = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: wonders\r\n\r\n';
  socket.write(expecting + put(await server.key()));
  expect(statuses(await responses)).toEqual([417]);
  expect(server.log.filter(({ message }) => message === 'request')).toEqual([]);
});

test('the log has the request id of the error response to a malformed request', async () => {
  const server = await startHttpServer();
  for (const bytes of ['garbage\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n']) {
    const socket = await openSocket(server.url);
    socket.write(bytes);
    const text = await readAll(socket, 3_000);
    const id = /^x-request-id: (\w{26})\r$/im.exec(text)?.[1];
    expect(server.log.find(({ fields }) => fields.request_id === id)?.fields).toEqual({
      request_id: id,
      status: 400,
    });
  }
});
