/** The drain of `keyhold serve` with the built program: readiness, connections, requests in flight, and the second signal. */
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startServeProcess } from '../kit/http/http_server.ts';

const DRAIN = { KEYHOLD_DRAIN_SECONDS: '2' };

const statusOf = async (url: string) => {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return [response.status, await response.json()];
};

interface Received extends Pick<IncomingMessage, 'statusCode' | 'headers'> {
  readonly local_port: number | undefined;
}

function requestWith(agent: Agent, url: string): Promise<Received> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const { statusCode, headers, socket } = response;
      const { localPort: local_port } = socket;
      response.resume().on('end', () => resolve({ statusCode, headers, local_port }));
    }).on('error', reject);
  });
}

describe('the drain of serve', () => {
  test('/readyz returns 503 at once after SIGTERM, requests are served for the time of the setting, then serve exits with 0', async () => {
    const server = await startServeProcess({ env: DRAIN });
    const headers = { authorization: `Bearer ${server.admin_key}`, connection: 'close' };
    expect(await statusOf(`${server.url}/readyz`)).toEqual([200, { status: 'ready' }]);
    const signaled_ms = performance.now();
    const ended = server.end();
    await sleep(200);
    expect(await statusOf(`${server.url}/readyz`)).toEqual([503, { status: 'draining' }]);
    expect(await statusOf(`${server.url}/healthz`)).toEqual([200, { status: 'ok' }]);
    while (performance.now() - signaled_ms < 1_500) {
      expect((await fetch(`${server.url}/v1/servers`, { headers })).status).toBe(200);
      await sleep(50);
    }
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(performance.now() - signaled_ms).toBeGreaterThan(2_000);
    await expect(fetch(`${server.url}/readyz`)).rejects.toThrow();
  });

  test('a response during the drain ends its keep-alive connection, and an idle connection still takes a request', async () => {
    const server = await startServeProcess({ env: DRAIN });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      const before = await requestWith(agent, `${server.url}/healthz`);
      expect(before.headers.connection).toBe('keep-alive');
      const ended = server.end();
      await sleep(1_000);
      const during = await requestWith(agent, `${server.url}/healthz`);
      expect([during.statusCode, during.headers.connection]).toEqual([200, 'close']);
      expect(during.local_port).toBe(before.local_port);
      expect(await ended).toEqual({ code: 0, signal: null });
    } finally {
      agent.destroy();
    }
  });

  test('a second signal ends a draining serve at once', async () => {
    const server = await startServeProcess({ env: { KEYHOLD_DRAIN_SECONDS: '300' } });
    process.kill(server.pid, 'SIGTERM');
    await expect.poll(() => server.stderr(), { timeout: 20_000 }).toContain('"msg":"stopping"');
    await sleep(1_100);
    expect(await server.end('SIGTERM')).toEqual({ code: null, signal: 'SIGTERM' });
  });

  test('serve without a proxy exits without waiting for a balancer', async () => {
    const server = await startServeProcess();
    const signaled_ms = performance.now();
    expect(await server.end()).toEqual({ code: 0, signal: null });
    expect(performance.now() - signaled_ms).toBeLessThan(2_000);
  });
});
