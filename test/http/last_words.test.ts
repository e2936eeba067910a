/** What is no request ends its connection, and neither the process nor the answers to what came before it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startHttpServer } from '../kit/http_server.ts';
import { openSocket, readAll, statuses } from './raw_request.ts';
import { toy } from './toy_dialect.ts';

function put(key: string, more = ''): string {
  const body = '{"name":"first"}';
  const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${key}\r\n${more}`;
  return `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

test('who asks for a tunnel and breaks the connection off breaks nothing else', async () => {
  const server = await startHttpServer({ dialects: [toy] });
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
  ['a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  [
    'a body of unknown end',
    `${put('x', 'Transfer-Encoding: gzip, chunked\r\n').replace(/Content-Length.*\r\n/, '')}`,
    400,
  ],
  ['what is not HTTP', 'garbage\r\n\r\n', 400],
  ['headers without end', `GET / HTTP/1.1\r\nX-Long: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
])('behind a request, %s is refused only when that one has its answer', async (_what, bytes, status) => {
  const server = await startHttpServer({ dialects: [toy] });
  const good = put(await server.key());
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  socket.write(`${good}${good}${bytes}${good}`);
  expect(statuses(await answers)).toEqual([200, 200, status]);
  expect(socket.destroyed || socket.readableEnded).toBe(true);
});

test('behind a request that is to be the last one, nothing is carried out or answered in its place', async () => {
  const server = await startHttpServer({ dialects: [toy] });
  const key = await server.key();
  const socket = await openSocket(server.url);
  const answers = readAll(socket, 3_000);
  socket.write(`${put(key, 'Connection: close\r\n')}${put(key)}`);
  expect(statuses(await answers)[0]).toBe(200);
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
