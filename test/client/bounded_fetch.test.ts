/** The time and size limits of responses, whatever the server sends and whenever garbage is collected. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { fetchBounded, ResponseTimeoutError, ResponseTooLargeError } from '../../src/client/bounded_fetch.ts';

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

async function startServer(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Collects garbage every 10 ms, as a busy process does. */
function collectGarbageOften(): void {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const timer = setInterval(collect, 10);
  endings.push(() => clearInterval(timer));
}

/** Returns a listener that writes a byte every 10 ms without end. `closed` resolves when the client has disconnected. */
function trickle() {
  let resolveClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve;
  });
  const listener: RequestListener = (_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => {
      clearInterval(timer);
      resolveClosed();
    });
  };
  return { listener, closed };
}

test('a response that never ends is aborted at the time limit, also after garbage collection', async () => {
  const { listener, closed } = trickle();
  const url = await startServer(listener);
  collectGarbageOften();
  await expect(fetchBounded(new Request(url), { time_ms: 300, body_bytes: 1_000_000 })).rejects.toThrow(
    ResponseTimeoutError,
  );
  await closed;
});

test('a response that never begins is aborted at the time limit, also after garbage collection', async () => {
  let resolveClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve;
  });
  const url = await startServer((request) => request.socket.once('close', resolveClosed));
  collectGarbageOften();
  await expect(fetchBounded(new Request(url), { time_ms: 300, body_bytes: 1_000_000 })).rejects.toThrow(
    ResponseTimeoutError,
  );
  await closed;
});

test('a response of exactly the size limit is returned, and one byte more is rejected', async () => {
  const url = await startServer((_request, response) => response.end('x'.repeat(100_000)));
  const { response: head, body } = await fetchBounded(new Request(url), {
    time_ms: 5_000,
    body_bytes: 100_000,
  });
  expect([head.status, body.byteLength]).toStrictEqual([200, 100_000]);
  await expect(fetchBounded(new Request(url), { time_ms: 5_000, body_bytes: 99_999 })).rejects.toThrow(
    ResponseTooLargeError,
  );
});

test('a redirect is not followed', async () => {
  const url = await startServer((_request, response) => {
    response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end();
  });
  const { response: head, body } = await fetchBounded(new Request(url), { time_ms: 5_000, body_bytes: 10 });
  expect([head.status, body.byteLength]).toStrictEqual([302, 0]);
});
