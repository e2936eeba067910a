/** Where a server listens, over TLS or not, and how it stops. */
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Mount } from '../../../src/http/mount.ts';
import { type ListenOptions, openListener } from '../../../src/http/server/listener.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../../kit/http/certificate.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { openSocket, readAll, statuses } from '../../kit/http/raw_request.ts';

const LOOPBACK: ListenOptions = { host: '127.0.0.1', port: 0, behind_proxy: false };
const TLS = { cert: Buffer.from(TEST_CERT), key: Buffer.from(TEST_CERT_KEY) };

async function opened(options: Partial<ListenOptions>) {
  const listener = await openListener({ ...LOOPBACK, ...options });
  onTestFinished(() => listener.close(0));
  return listener;
}

describe('a server', () => {
  test.each(['0.0.0.0', '::', '192.0.2.1', 'vault.example.com'])(
    'does not listen on %s without TLS',
    async (host) => {
      await expect(openListener({ ...LOOPBACK, host })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        reason: 'setting_invalid',
        message: expect.stringMatching(/needs TLS.*--behind-proxy/),
      });
    },
  );

  test('listens on all addresses where a proxy does TLS, or it does itself', async () => {
    const proxied = await opened({ host: '0.0.0.0', behind_proxy: true });
    expect(proxied.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    expect((await opened({ host: '0.0.0.0', tls: TLS })).url).toMatch(/^https:\/\/0\.0\.0\.0:\d+$/);
  });

  test('says why it cannot listen', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const address = taken.address();
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

  test('refuses a certificate that is none, or whose key is another', async () => {
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

  test('answers what came before it was ready', async () => {
    const listener = await opened({});
    const early = fetch(`${listener.url}/x`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    listener.serve(async () => new Response('ready'));
    expect(await (await early).text()).toBe('ready');
  });
});

describe('TLS', () => {
  test('is spoken where there is a certificate, from version 1.2 on', async () => {
    const server = await startHttpServer({ listen: { tls: TLS } });
    const answer = await new Promise<{ status: number | undefined; id: unknown }>((resolve, reject) => {
      httpsRequest(`${server.url}/healthz`, { ca: TEST_CERT }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, id: response.headers['x-request-id'] });
      })
        .once('error', reject)
        .end();
    });
    expect(answer).toEqual({ status: 200, id: expect.stringMatching(/^[0-9A-Z]{26}$/) });
    const { port } = new URL(server.url);
    const old = { port: Number(port), ca: TEST_CERT, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const;
    await expect(
      new Promise((resolve, reject) => {
        tlsConnect({ ...old, host: '127.0.0.1' }, () => resolve('connected')).once('error', reject);
      }),
    ).rejects.toThrow();
  });

  test('is not made up for by plain HTTP, and clients that never shake hands are cut off', async () => {
    const server = await startHttpServer({ listen: { tls: TLS, timeouts: { headers: 300 } } });
    const plain = server.url.replace('https:', 'http:');
    await expect(fetch(`${plain}/healthz`)).rejects.toThrow();
    const silent = await openSocket(plain);
    expect(await readAll(silent, 3_000)).toBe('');
    expect(silent.destroyed || silent.readableEnded).toBe(true);
  });
});

describe('a server that is told to stop', () => {
  /** Answers when it is told to. */
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
    const listener = await opened({});
    listener.serve(async (request) => mount.handler(request, { request_id: '', body: undefined }));
    return { listener, release };
  }

  test('lets what it is doing finish, and takes nothing new', async () => {
    const { listener, release } = await startHeld();
    const under_way = fetch(listener.url);
    const kept = await openSocket(listener.url);
    const kept_answer = readAll(kept, 5_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const closed = listener.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await expect(fetch(listener.url)).rejects.toThrow();
    expect(await kept_answer).toBe('');
    release();
    const answer = await under_way;
    expect([await answer.text(), answer.headers.get('connection')]).toEqual(['done', 'close']);
    await closed;
  });

  test('still answers what was on its way on a connection that is open', async () => {
    const { listener, release } = await startHeld();
    release();
    const kept = await openSocket(listener.url);
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    kept.write(get);
    await new Promise((resolve) => kept.once('data', resolve));
    const rest = readAll(kept, 2_000);
    const closed = listener.close();
    // Not before nobody is let in any more: until then no connection is said to be closed.
    await new Promise((resolve) => setTimeout(resolve, 100));
    kept.write(get);
    const text = await rest;
    expect(statuses(text)).toEqual([200]);
    expect(text.toLowerCase()).toContain('connection: close');
    await closed;
  });

  test('answers all that came one right behind the other; the last answer, and no other, ends the connection', async () => {
    const { listener, release } = await startHeld();
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = await openSocket(listener.url);
    const answers = readAll(socket, 3_000);
    socket.write(get.repeat(5));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const closed = listener.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    // It comes late, but before any answer has said that it is the last.
    socket.write(get);
    await new Promise((resolve) => setTimeout(resolve, 100));
    release();
    const text = (await answers).toLowerCase();
    expect(statuses(text.toUpperCase())).toEqual(Array(6).fill(200));
    expect(text.split('connection: close')).toHaveLength(2);
    expect(text.indexOf('connection: close')).toBeGreaterThan(text.lastIndexOf('http/1.1 200'));
    await closed;
  });

  test('carries out nothing behind an answer that has said that it is the last', async () => {
    const listener = await opened({});
    let asked = 0;
    let finish: () => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    listener.serve(async () => {
      asked++;
      await begun;
      const start = (controller: ReadableStreamDefaultController) => {
        controller.enqueue(new TextEncoder().encode('part'));
        finish = () => controller.close();
      };
      return new Response(new ReadableStream({ start }));
    });
    const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const socket = await openSocket(listener.url);
    const answers = readAll(socket, 3_000);
    socket.write(get);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const closed = listener.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    begin();
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(get);
    await new Promise((resolve) => setTimeout(resolve, 200));
    finish();
    expect(statuses(await answers)).toEqual([200]);
    expect(asked).toBe(1);
    await closed;
  });

  test('does not wait for ever', async () => {
    const { listener } = await startHeld();
    const hung = fetch(listener.url).catch(() => 'cut off');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = performance.now();
    await listener.close(300);
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await hung).toBe('cut off');
  });

  test('can be told twice', async () => {
    const { listener } = await startHeld();
    await Promise.all([listener.close(), listener.close()]);
    await listener.close(0);
  });
});
