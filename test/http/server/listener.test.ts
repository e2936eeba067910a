/** Where the server may listen, TLS, and graceful shutdown. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Mount } from '../../../src/http/mount.ts';
import { type ListenOptions, openListener } from '../../../src/http/server/listener.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../../kit/http/certificate.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { headerOf, openSocket, readAll, sendLines, statuses } from '../../kit/http/raw_request.ts';

const LOOPBACK: ListenOptions = { host: '127.0.0.1', port: 0, behind_proxy: false };
const TLS = { cert: Buffer.from(TEST_CERT), key: Buffer.from(TEST_CERT_KEY) };

async function openTestListener(options: Partial<ListenOptions>) {
  const listener = await openListener({ ...LOOPBACK, ...options });
  onTestFinished(() => listener.close(0));
  return listener;
}

const CLIENTS_PROGRAM = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  let connected = 0;
  const statuses = Array.from({ length: count }, () => new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write('GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n');
      if (++connected === count) console.log('connected');
    });
    let text = '';
    socket.on('data', (bytes) => { text += bytes; });
    socket.once('error', (error) => resolve(error.code));
    socket.once('close', () => resolve(text.slice(0, 12)));
  }));
  Promise.all(statuses).then((all) => console.log(JSON.stringify(all)));
`;

/** Clients in a process of their own, which all connect and send a request at once. */
function spawnClients(url: string, count: number) {
  const { port } = new URL(url);
  const child = spawn(process.execPath, ['-e', CLIENTS_PROGRAM, port, String(count)]);
  onTestFinished(() => void child.kill());
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const connected = once(child.stdout, 'data');
  const statuses = once(child, 'close').then(() => JSON.parse(output.split('\n')[1] ?? '[]') as string[]);
  return { connected, statuses };
}

describe('the address', () => {
  test.each(['0.0.0.0', '::', '192.0.2.1', 'vault.example.com'])(
    'the server refuses to listen on %s without TLS',
    async (host) => {
      await expect(openListener({ ...LOOPBACK, host })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        reason: 'setting_invalid',
        message: expect.stringMatching(/needs TLS.*--behind-proxy/),
      });
    },
  );

  test('the server listens on all addresses if a proxy does TLS or it has a certificate', async () => {
    const proxied = await openTestListener({ host: '0.0.0.0', behind_proxy: true });
    expect(proxied.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    expect((await openTestListener({ host: '0.0.0.0', tls: TLS })).url).toMatch(/^https:\/\/0\.0\.0\.0:\d+$/);
  });

  test('openListener reports a port in use and an address that is not of this machine', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(openListener({ ...LOOPBACK, port })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('Another program listens on this port'),
    });
    await expect(openListener({ ...LOOPBACK, host: '192.0.2.1', behind_proxy: true })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'setting_invalid',
    });
    await expect(
      openListener({ ...LOOPBACK, host: 'nowhere.invalid', behind_proxy: true }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
  });

  test('the server refuses a certificate that is not PEM or has another key', async () => {
    for (const tls of [
      { ...TLS, cert: Buffer.from('no certificate') },
      { ...TLS, key: Buffer.from('no key') },
      { ...TLS, key: Buffer.alloc(0) },
      { cert: TLS.key, key: TLS.cert },
    ]) {
      await expect(openListener({ ...LOOPBACK, tls })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        reason: 'setting_invalid',
        message: expect.stringContaining('KEYHOLD_TLS_CERT'),
      });
    }
  });

  test('a request that arrives before the handler is set gets its response later', async () => {
    const listener = await openTestListener({});
    const early = fetch(`${listener.url}/x`);
    await sleep(100);
    listener.serve(async () => new Response('ready'));
    expect(await (await early).text()).toBe('ready');
  });
});

describe('TLS', () => {
  test('the server supports TLS 1.2 and later if it has a certificate', async () => {
    const server = await startHttpServer({ listen: { tls: TLS } });
    const response = await new Promise<{ status: number | undefined; id: unknown }>((resolve, reject) => {
      httpsRequest(`${server.url}/healthz`, { ca: TEST_CERT }, (incoming) => {
        incoming.resume();
        resolve({ status: incoming.statusCode, id: incoming.headers['x-request-id'] });
      })
        .once('error', reject)
        .end();
    });
    expect(response).toEqual({ status: 200, id: expect.stringMatching(/^[0-9A-Z]{26}$/) });
    const { port } = new URL(server.url);
    const old = { port: Number(port), ca: TEST_CERT, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const;
    await expect(
      new Promise((resolve, reject) => {
        tlsConnect({ ...old, host: '127.0.0.1' }, () => resolve('connected')).once('error', reject);
      }),
    ).rejects.toThrow();
  });

  test('a TLS server refuses plain HTTP and disconnects clients that send no handshake', async () => {
    const server = await startHttpServer({ listen: { tls: TLS, timeouts: { headers: 300 } } });
    const plain = server.url.replace('https:', 'http:');
    await expect(fetch(`${plain}/healthz`)).rejects.toThrow();
    const silent = await openSocket(plain);
    expect(await readAll(silent, 3_000)).toBe('');
    expect(silent.destroyed || silent.readableEnded).toBe(true);
  });
});

describe('shutdown', () => {
  function heldMount() {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const mount: Mount = {
      name: 'held',
      path: '/held',
      edge: 'rest',
      access: 'open',
      handler: async () => {
        await released;
        return new Response('done');
      },
    };
    return { mount, release };
  }

  async function startHeld() {
    const { mount, release } = heldMount();
    const listener = await openTestListener({});
    listener.serve(async (request) =>
      mount.handler(request, {
        request_id: '',
        address: () => '',
        body: undefined,
        json: undefined,
        runAuditRead: async (_caller, read) => read(),
        countError: () => undefined,
      }),
    );
    return { listener, release };
  }

  test('a server that stops finishes the requests in flight and refuses new connections', async () => {
    const { listener, release } = await startHeld();
    const in_flight = fetch(listener.url);
    const kept = await openSocket(listener.url);
    const kept_response = readAll(kept, 5_000);
    await sleep(100);
    const closed = listener.close();
    await sleep(300);
    await expect(fetch(listener.url)).rejects.toThrow();
    expect(await kept_response).toBe('');
    release();
    const response = await in_flight;
    expect([await response.text(), response.headers.get('connection')]).toEqual(['done', 'close']);
    await closed;
  });

  test('a server that stops responds to every client that had connected, although each response takes 15 ms', {
    timeout: 60_000,
  }, async () => {
    const listener = await openTestListener({});
    listener.serve(async () => {
      const until_ms = performance.now() + 15;
      while (performance.now() < until_ms);
      return new Response('done');
    });
    // Connected by another process: in this one, its own event loop would accept them first.
    const clients = spawnClients(listener.url, 300);
    await clients.connected;
    const closed = listener.close();
    expect(await clients.statuses).toEqual(Array(300).fill('HTTP/1.1 200'));
    await closed;
  });

  test('a server that stops responds at once while further clients connect all the time', async () => {
    const { listener, release } = await startHeld();
    release();
    const kept = await openSocket(listener.url);
    const response = readAll(kept, 10_000);
    const { port } = new URL(listener.url);
    const clients = setInterval(() => {
      const client = connect(Number(port), '127.0.0.1');
      client.on('error', () => undefined);
      onTestFinished(() => void client.destroy());
    }, 5);
    onTestFinished(() => clearInterval(clients));
    await sleep(100);
    const before = performance.now();
    const closed = listener.close();
    kept.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect(statuses(await response)).toEqual([200]);
    expect(performance.now() - before).toBeLessThan(2_000);
    clearInterval(clients);
    await closed;
  });

  test('close(0) destroys a connection whose request arrives while the accept queue is drained', async () => {
    const { listener } = await startHeld();
    const kept = await openSocket(listener.url);
    const rest = readAll(kept, 2_000);
    const closed = listener.close(0);
    await sleep(10);
    kept.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await rest).toBe('');
    await closed;
  });

  test('a server that stops responds to a request that arrives on an idle connection during the grace period', async () => {
    const { listener, release } = await startHeld();
    release();
    const kept = await openSocket(listener.url);
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    kept.write(get);
    await new Promise((resolve) => kept.once('data', resolve));
    const rest = readAll(kept, 2_000);
    const closed = listener.close();
    // Responses have Connection: close only after the accept queue is drained.
    await sleep(100);
    kept.write(get);
    const text = await rest;
    expect(statuses(text)).toEqual([200]);
    expect(text.toLowerCase()).toContain('connection: close');
    await closed;
  });

  test('a server that stops sends all pipelined responses, and only the last has Connection: close', async () => {
    const { listener, release } = await startHeld();
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = await openSocket(listener.url);
    const responses = readAll(socket, 3_000);
    socket.write(get.repeat(5));
    await sleep(100);
    const closed = listener.close();
    await sleep(100);
    // Not processed: the response before it will have Connection: close.
    socket.write(get);
    await sleep(100);
    release();
    const text = (await responses).toLowerCase();
    expect(statuses(text.toUpperCase())).toEqual(Array(5).fill(200));
    expect(text.split('connection: close')).toHaveLength(2);
    expect(text.indexOf('connection: close')).toBeGreaterThan(text.lastIndexOf('http/1.1 200'));
    await closed;
  });

  test('a server that stops does not process a request behind a response with Connection: close', async () => {
    const listener = await openTestListener({});
    let requests = 0;
    let finish: () => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    listener.serve(async () => {
      requests++;
      await begun;
      const start = (controller: ReadableStreamDefaultController) => {
        controller.enqueue(new TextEncoder().encode('part'));
        finish = () => controller.close();
      };
      return new Response(new ReadableStream({ start }));
    });
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = await openSocket(listener.url);
    const responses = readAll(socket, 3_000);
    socket.write(get);
    await sleep(100);
    const closed = listener.close();
    await sleep(100);
    begin();
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(get);
    await sleep(200);
    finish();
    expect(statuses(await responses)).toEqual([200]);
    expect(requests).toBe(1);
    await closed;
  });

  test('a server that stops destroys connections after the time limit', async () => {
    const { listener } = await startHeld();
    const hung = fetch(listener.url).catch(() => 'disconnected');
    await sleep(100);
    const before = performance.now();
    await listener.close(300);
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await hung).toBe('disconnected');
  });

  test('close can be called twice', async () => {
    const { listener } = await startHeld();
    await Promise.all([listener.close(), listener.close()]);
    await listener.close(0);
  });
});

test('the response reports that an idle connection is kept for longer than the 60 seconds of load balancers', async () => {
  const server = await startHttpServer();
  const response = await sendLines(server.url, ['GET /healthz HTTP/1.1', 'Host: localhost']);
  expect(Number(headerOf(response, 'Keep-Alive')?.replace('timeout=', ''))).toBeGreaterThan(60);
});
