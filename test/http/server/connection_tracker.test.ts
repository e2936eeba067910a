/** Timeouts and the maximum of connections: slow, idle and stalled clients are disconnected and do not delay others. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Mount } from '../../../src/http/mount.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../../kit/http/certificate.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { runSize } from '../../kit/run_size.ts';
import { testDialect } from '../test_dialect.ts';

/** Fits the file limit of a developer's machine; SLOW=1 uses as many as an attacker would. */
const MANY = runSize({ quick: 1_000, ci: 2_000, slow: 9_000 });
const TIMEOUTS = { headers: 300, request: 800, keep_alive: 300 };

async function openMany(url: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(200, count - sockets.length) }, () => openSocket(url));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

async function timeOfGet(server: TestHttpServer): Promise<number> {
  const before = performance.now();
  const response = await server.request('/toy/items/1', { signal: AbortSignal.timeout(5_000) });
  expect(response.status).toBe(200);
  await response.text();
  return performance.now() - before;
}

describe('timeouts', () => {
  test('a connection without a request gets 408 and is closed', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    expect(statuses(await readAll(socket, 3_000))).toEqual([408]);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('a connection whose headers arrive byte by byte gets 408 and is closed', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    const response = readAll(socket, 3_000);
    const bytes = [
      ...'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
    ];
    const drip = setInterval(() => socket.writable && socket.write(bytes.shift() ?? 'b'), 20);
    expect(statuses(await response)).toEqual([408]);
    clearInterval(drip);
  });

  test('a connection whose body arrives byte by byte gets 408 and is closed', async () => {
    const server = await startHttpServer({ dialects: [testDialect], listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    const response = readAll(socket, 3_000);
    const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${await server.key()}\r\n`;
    socket.write(`${head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`);
    const drip = setInterval(() => socket.writable && socket.write(' '), 20);
    expect(statuses(await response)).toEqual([408]);
    clearInterval(drip);
    // A slow client is not an error of the server.
    expect(server.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await timeOfGet(server)).toBeLessThan(1_000);
  });

  test('an idle keep-alive connection is closed', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(statuses(await readAll(socket, 4_000))).toEqual([200]);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('a connection that is reset within a body logs 400 and no error', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${await server.key()}\r\n`;
    for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const socket = await openSocket(server.url);
      const expecting = `${head}Expect: 100-continue\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`;
      socket.write(expecting);
      await new Promise((resolve) => socket.once('data', resolve));
      await sleep(100);
      socket.resetAndDestroy();
    }
    await expect.poll(() => server.log.map(({ fields }) => fields.status)).toEqual([400, 400]);
    expect(server.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('the maximum of connections', () => {
  test('thousands of idle connections do not lock others out, and the oldest are evicted', async () => {
    const server = await startHttpServer({ dialects: [testDialect], listen: { connections_max: MANY / 4 } });
    await timeOfGet(server);
    const idle = await openMany(server.url, MANY);
    expect(await timeOfGet(server)).toBeLessThan(2_000);
    const closed = () => idle.map((socket) => socket.destroyed || socket.readableEnded);
    await expect.poll(() => closed().filter((one) => one).length).toBeGreaterThanOrEqual(MANY * 0.75);
    await sleep(300);
    expect(closed()[0]).toBe(true);
    expect(closed().at(-1)).toBe(false);
  }, 60_000);

  test.each([
    ['headers', ''],
    ['a body', 'Content-Length: 100\r\n\r\n{'],
  ])(
    'connections with incomplete %s do not lock others out, and the oldest are evicted',
    async (_what, rest) => {
      const count = MANY / 4;
      const server = await startHttpServer({ dialects: [testDialect], listen: { connections_max: count } });
      const key = `X-API-Key: ${await server.key()}`;
      const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}\r\nContent-Type: application/json\r\n`;
      const slow = await openMany(server.url, count);
      for (const socket of slow) socket.write(head + rest);
      await sleep(1_000);
      expect(slow.filter((socket) => socket.destroyed || socket.readableEnded)).toEqual([]);
      const lines = ['GET /toy/items/1 HTTP/1.1', 'Host: localhost', key];
      const responses = await Promise.all(Array.from({ length: 10 }, () => sendLines(server.url, lines)));
      expect(responses.flatMap(statuses)).toEqual(Array(10).fill(200));
      // Each new connection evicted one of the oldest.
      const closed = slow.map((socket) => socket.destroyed || socket.readableEnded);
      expect(closed.filter((one) => one).length).toBe(10);
      expect(closed.lastIndexOf(true)).toBeLessThan(count / 2);
    },
    60_000,
  );

  test('idle connections do not evict a request in flight', async () => {
    let running = 0;
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const server = await startHttpServer({
      listen: { connections_max: 10 },
      mounts: [
        {
          name: 'slow',
          path: '/slow',
          edge: 'rest',
          access: 'key',
          handler: async () => {
            running++;
            await finished;
            return new Response('done');
          },
        },
      ],
    });
    const slow = Array.from({ length: 10 }, () => server.request('/slow'));
    await expect.poll(() => running).toBe(10);
    await openMany(server.url, 200);
    finish();
    expect(await Promise.all((await Promise.all(slow)).map((response) => response.text()))).toEqual(
      Array(10).fill('done'),
    );
  });
});

test('clients that never read their responses do not lock others out', async () => {
  const large = 'x'.repeat(4 * 1024 * 1024);
  const mount: Mount = {
    name: 'large',
    path: '/large',
    edge: 'rest',
    access: 'open',
    handler: () => new Response(large),
  };
  const server = await startHttpServer({ mounts: [mount], listen: { connections_max: 8 } });
  const { port } = new URL(server.url);
  const stalled = Array.from({ length: 12 }, () => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`GET /large HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`.repeat(4));
    return socket;
  });
  onTestFinished(() => {
    for (const socket of stalled) socket.destroy();
  });
  await sleep(1_500);
  for (let attempt = 0; attempt < 5; attempt++)
    expect((await fetch(`${server.url}/healthz`, { headers: { connection: 'close' } })).status).toBe(200);
});

describe.each(['http', 'https'] as const)('a response over %s', (protocol) => {
  /** More than a connection's buffers hold. */
  const LARGE_BYTES = 32 * 1024 * 1024;
  const large = mountOf('/large', async () => `${'x'.repeat(LARGE_BYTES)}\n`);

  /** `/slow` responds long after the timeout for responses that the client does not read. */
  async function connectTo(unread_ms: number): Promise<Socket> {
    const slow = mountOf('/slow', async () => {
      await sleep(unread_ms * 4);
      return 'late\n';
    });
    const tls = { cert: Buffer.from(TEST_CERT), key: Buffer.from(TEST_CERT_KEY) };
    const server = await startHttpServer({
      mounts: [large, slow],
      listen: { timeouts: { unread: unread_ms }, ...(protocol === 'https' ? { tls } : {}) },
    });
    const port = Number(new URL(server.url).port);
    const socket =
      protocol === 'https'
        ? connectTls({ port, host: 'localhost', ca: TEST_CERT })
        : connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    await new Promise((resolve) => socket.once(protocol === 'https' ? 'secureConnect' : 'connect', resolve));
    return socket;
  }

  function sendGets(socket: Socket, ...paths: readonly string[]): void {
    const requests = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n`);
    socket.write(`${requests.join('\r\n')}Connection: close\r\n\r\n`);
  }

  test('a response that the client does not read is aborted after the timeout', async () => {
    const socket = await connectTo(300);
    socket.pause();
    sendGets(socket, '/large');
    await sleep(1_500);
    const reading = readAll(socket, 2_000);
    socket.resume();
    const read = await reading;
    expect(read.length).toBeGreaterThan(0);
    expect(read.length).toBeLessThan(LARGE_BYTES);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('slow responses behind one that is read slowly are sent completely', async () => {
    // A loaded machine may stop reading for longer than the timeout of the test before.
    const socket = await connectTo(1_500);
    const read = readAll(socket, 15_000);
    sendGets(socket, '/large', '/slow', '/slow');
    const text = await read;
    expect(statuses(text)).toEqual([200, 200, 200]);
    expect(text.length).toBeGreaterThan(LARGE_BYTES);
    expect(text.split('\r\n\r\nlate').length).toBe(3);
  });
});

function mountOf(path: string, body: () => Promise<string>): Mount {
  return {
    name: path.slice(1),
    path,
    edge: 'rest',
    access: 'open',
    handler: async () => new Response(await body()),
  };
}
