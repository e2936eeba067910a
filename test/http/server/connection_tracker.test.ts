/** Clients that hold connections, say nothing, or say it slowly: they are cut off, and keep nobody else waiting. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Mount } from '../../../src/http/mount.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../../kit/http/certificate.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

/** As many as a process may well have open on the machine of a developer; with SLOW=1, as many as an attacker has. */
const MANY = process.env.SLOW === '1' ? 9_000 : 2_000;
const TIMEOUTS = { headers: 300, request: 800, keep_alive: 300 };

async function openMany(url: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(200, count - sockets.length) }, () => openSocket(url));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

async function isServed(server: TestHttpServer): Promise<number> {
  const before = performance.now();
  const answer = await server.request('/toy/items/1', { signal: AbortSignal.timeout(5_000) });
  expect(answer.status).toBe(200);
  await answer.text();
  return performance.now() - before;
}

describe('a connection', () => {
  test('on which nothing is said is cut off', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    expect(statuses(await readAll(socket, 3_000))).toEqual([408]);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('on which headers come a byte at a time is cut off', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    const answer = readAll(socket, 3_000);
    const bytes = [
      ...'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
    ];
    const drip = setInterval(() => socket.writable && socket.write(bytes.shift() ?? 'b'), 20);
    expect(statuses(await answer)).toEqual([408]);
    clearInterval(drip);
  });

  test('on which a body comes a byte at a time is cut off', async () => {
    const server = await startHttpServer({ dialects: [testDialect], listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    const answer = readAll(socket, 3_000);
    const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${await server.key()}\r\n`;
    socket.write(`${head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`);
    const drip = setInterval(() => socket.writable && socket.write(' '), 20);
    expect(statuses(await answer)).toEqual([408]);
    clearInterval(drip);
    // A client that is too slow, or goes away, is not our failure.
    expect(server.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await isServed(server)).toBeLessThan(1_000);
  });

  test('that is kept after an answer is cut off when nothing more comes', async () => {
    const server = await startHttpServer({ listen: { timeouts: TIMEOUTS } });
    const socket = await openSocket(server.url);
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(statuses(await readAll(socket, 4_000))).toEqual([200]);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('that breaks off in a body leaves nothing behind', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${await server.key()}\r\n`;
    for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const socket = await openSocket(server.url);
      socket.write(`${head}Content-Type: application/json\r\n${framing}\r\n\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      socket.resetAndDestroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(server.log.map(({ fields }) => fields.status)).toEqual([400, 400]);
  });
});

describe('thousands of connections', () => {
  test('that say nothing keep nobody else out, and the ones that wait longest make room', async () => {
    const server = await startHttpServer({ dialects: [testDialect], listen: { connections_max: MANY / 4 } });
    await isServed(server);
    const idle = await openMany(server.url, MANY);
    expect(await isServed(server)).toBeLessThan(2_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const cut = idle.map((socket) => socket.destroyed || socket.readableEnded);
    expect(cut.filter((one) => one).length).toBeGreaterThanOrEqual(MANY * 0.75);
    expect(cut[0]).toBe(true);
    expect(cut.at(-1)).toBe(false);
  }, 60_000);

  test.each([
    ['headers', ''],
    ['a body', 'Content-Length: 100\r\n\r\n{'],
  ])(
    'with the beginning of %s on each keep nobody else out either',
    async (_what, rest) => {
      const count = MANY / 4;
      const server = await startHttpServer({ dialects: [testDialect], listen: { connections_max: count } });
      const key = `X-API-Key: ${await server.key()}`;
      const head = `PUT /toy/items/1 HTTP/1.1\r\nHost: localhost\r\n${key}\r\nContent-Type: application/json\r\n`;
      const slow = await openMany(server.url, count);
      for (const socket of slow) socket.write(head + rest);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(slow.filter((socket) => socket.destroyed || socket.readableEnded)).toEqual([]);
      const lines = ['GET /toy/items/1 HTTP/1.1', 'Host: localhost', key];
      const answers = await Promise.all(Array.from({ length: 10 }, () => sendLines(server.url, lines)));
      expect(answers.flatMap(statuses)).toEqual(Array(10).fill(200));
      // For each that came one had to go, of those that we had waited for the longest.
      const cut = slow.map((socket) => socket.destroyed || socket.readableEnded);
      expect(cut.filter((one) => one).length).toBe(10);
      expect(cut.lastIndexOf(true)).toBeLessThan(count / 2);
    },
    60_000,
  );

  test('do not take the place of a request that is being answered', async () => {
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
            await finished;
            return new Response('done');
          },
        },
      ],
    });
    const slow = Array.from({ length: 10 }, () => server.request('/slow'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await openMany(server.url, 200);
    finish();
    expect(await Promise.all((await Promise.all(slow)).map((answer) => answer.text()))).toEqual(
      Array(10).fill('done'),
    );
  });
});

test('clients that ask and never read what is answered keep nobody else out', async () => {
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
  const deaf = Array.from({ length: 12 }, () => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`GET /large HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`.repeat(4));
    return socket;
  });
  onTestFinished(() => {
    for (const socket of deaf) socket.destroy();
  });
  await sleep(1_500);
  for (let attempt = 0; attempt < 5; attempt++)
    expect((await fetch(`${server.url}/healthz`, { headers: { connection: 'close' } })).status).toBe(200);
});

describe.each(['http', 'https'] as const)('an answer over %s', (protocol) => {
  /** More than the buffers of a connection hold. */
  const LARGE_BYTES = 32 * 1024 * 1024;
  const UNREAD_MS = 300;
  const large = mountOf('/large', async () => `${'x'.repeat(LARGE_BYTES)}\n`);
  const slow = mountOf('/slow', async () => {
    await sleep(UNREAD_MS * 4);
    return 'late\n';
  });

  async function connected(): Promise<Socket> {
    const tls = { cert: Buffer.from(TEST_CERT), key: Buffer.from(TEST_CERT_KEY) };
    const server = await startHttpServer({
      mounts: [large, slow],
      listen: { timeouts: { unread: UNREAD_MS }, ...(protocol === 'https' ? { tls } : {}) },
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

  function ask(socket: Socket, ...paths: readonly string[]): void {
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(''));
  }

  test('that is not read is cut off', async () => {
    const socket = await connected();
    socket.pause();
    ask(socket, '/large');
    await sleep(UNREAD_MS * 5);
    const reading = readAll(socket, 2_000);
    socket.resume();
    const read = await reading;
    expect(read.length).toBeGreaterThan(0);
    expect(read.length).toBeLessThan(LARGE_BYTES);
    expect(socket.readableEnded || socket.destroyed).toBe(true);
  });

  test('that takes its time to be made comes, also after one that took time to be read', async () => {
    const socket = await connected();
    const read = readAll(socket, UNREAD_MS * 10);
    ask(socket, '/large', '/slow', '/slow');
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
