/** Limits of time and size on answers: that they hold whatever the server sends and whenever memory is swept. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { fetchBounded, ResponseTimeoutError, ResponseTooLargeError } from '../../src/io/bounded_fetch.ts';

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Sweeps memory again and again, as a busy process does by itself. */
function sweepOften(): void {
  setFlagsFromString('--expose-gc');
  const sweep: () => void = runInNewContext('gc');
  const timer = setInterval(sweep, 10);
  endings.push(() => clearInterval(timer));
}

/** Writes a byte now and then without end; tells when the other side has hung up. */
function trickle() {
  let hungUp: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => {
    hungUp = resolve;
  });
  const listener: RequestListener = (_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => {
      clearInterval(timer);
      hungUp();
    });
  };
  return { listener, gone };
}

test('an answer that never ends is given up in time and hung up on, also after memory was swept', async () => {
  const { listener, gone } = trickle();
  const url = await serving(listener);
  sweepOften();
  await expect(fetchBounded(new Request(url), { time_ms: 300, body_bytes: 1_000_000 })).rejects.toThrow(
    ResponseTimeoutError,
  );
  await gone;
});

test('an answer that never begins is given up in time and hung up on, also after memory was swept', async () => {
  let hungUp: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => {
    hungUp = resolve;
  });
  const url = await serving((request) => request.socket.once('close', hungUp));
  sweepOften();
  await expect(fetchBounded(new Request(url), { time_ms: 300, body_bytes: 1_000_000 })).rejects.toThrow(
    ResponseTimeoutError,
  );
  await gone;
});

test('an answer of just the limit is whole, one byte more is too much', async () => {
  const url = await serving((_request, response) => response.end('x'.repeat(100_000)));
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
  const url = await serving((_request, response) => {
    response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end();
  });
  const { response: head, body } = await fetchBounded(new Request(url), { time_ms: 5_000, body_bytes: 10 });
  expect([head.status, body.byteLength]).toStrictEqual([302, 0]);
});
