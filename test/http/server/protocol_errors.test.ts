/** What is no request ends its connection, and neither the process nor the answers to what came before it. */
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

/** Answers in parts, with more than goes out at once. */
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

test('who asks for a tunnel and breaks the connection off breaks nothing else', async () => {
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
    'a body of unknown end',
    put('x', 'Transfer-Encoding: gzip, chunked\r\n').replace(/Content-Length.*\r\n/, ''),
    400,
  ],
  ['what is not HTTP', 'garbage\r\n\r\n', 400],
  ['headers without end', `GET / HTTP/1.1\r\nX-Long: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
])('behind requests, %s is refused only when they have their answers', async (_what, bytes, status) => {
  const server = await startHttpServer({ dialects: [testDialect], mounts: [long] });
  const good = put(await server.key());
  const socket = await openSocket(server.url);
  socket.pause();
  const answers = readAll(socket, 3_000);
  // What comes behind is more than anybody reads.
  socket.write(`${good}${LONG.repeat(4)}${good}${bytes}${good}${'x'.repeat(200_000)}`);
  await sleep(300);
  socket.resume();
  expect(statuses(await answers)).toEqual([200, 200, 200, 200, 200, 200, status]);
  expect(socket.destroyed || socket.readableEnded).toBe(true);
});

test('what asks for a tunnel behind requests cuts them off, and holds nothing', async () => {
  const server = await startHttpServer({ mounts: [long] });
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  socket.write(`${LONG.repeat(3)}CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n`);
  expect(statuses(await answers)).not.toContain(405);
  expect(socket.destroyed || socket.readableEnded).toBe(true);
  const before = performance.now();
  await server.close();
  expect(performance.now() - before).toBeLessThan(900);
});

const BROKEN = 'Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nno size\r\n';
test.each([
  ['that would be refused', 'PUT /toy/items/1', 'X-API-Key: bad', [200, 400]],
  ['that would be answered', 'GET /toy/items/1', '', [200, 400]],
  ['alone', 'GET /toy/items/1', '', [400]],
])('a request %s has one answer when its body breaks off', async (_what, line, header, expected) => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const key = await server.key();
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  const head = `${line} HTTP/1.1\r\nHost: localhost\r\n${header || `X-API-Key: ${key}`}\r\n`;
  socket.write(`${expected.length > 1 ? put(key) : ''}${head}${BROKEN}`);
  expect(statuses(await answers)).toEqual(expected);
});

test('a request that was answered before its body broke off has no second answer', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  const [head = '', rest = ''] = BROKEN.split('no size');
  socket.write(`PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: bad\r\n${head}`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.write(`no size${rest}`);
  expect(statuses(await answers)).toEqual([401]);
  expect(socket.destroyed || socket.readableEnded).toBe(true);
});

test('behind a request that ends the connection nothing is carried out', async () => {
  const server = await startHttpServer({ dialects: [testDialect] });
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  const expecting = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: wonders\r\n\r\n';
  socket.write(expecting + put(await server.key()));
  expect(statuses(await answers)).toEqual([417]);
  expect(server.log.filter(({ message }) => message === 'request')).toEqual([]);
});

test('the log knows the request id that a last word has', async () => {
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
