/** The limits of requests and of failed authentications, at two `keyhold serve` processes of one vault. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type ServeProcess, startServeProcess } from '../../kit/http/http_server.ts';

/** Until the counts of one node are known at the other, on a loaded machine. */
const EXCHANGED_MS = 8_000;

async function startNodes(env: NodeJS.ProcessEnv): Promise<readonly [ServeProcess, ServeProcess]> {
  const first = await startServeProcess({ env });
  return [first, await startServeProcess({ home: first.home, env })];
}

async function statusOf({ url }: ServeProcess, key: string): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(`${url}/v1/servers`, { headers });
  await response.arrayBuffer();
  return response.status;
}

/** For several starts of a process on a loaded machine. */
const LONG_MS = 180_000;

describe('two nodes', { timeout: LONG_MS }, () => {
  test('requests with one key at both nodes count for one limit', async () => {
    const [first, second] = await startNodes({ KEYHOLD_RATE_LIMIT: '20' });
    const key = first.admin_key;
    for (let count = 0; count < 12; count++) expect(await statusOf(first, key)).toBe(200);
    await sleep(EXCHANGED_MS);
    const statuses: number[] = [];
    for (let count = 0; count < 12; count++) statuses.push(await statusOf(second, key));
    expect(statuses).toEqual([...Array(8).fill(200), ...Array(4).fill(429)]);
    await sleep(EXCHANGED_MS);
    expect(await statusOf(first, key)).toBe(429);
  });

  test('requests at both nodes at the same time pass the limit by no more than arrives between two exchanges', async () => {
    const limit = 100;
    const nodes = await startNodes({ KEYHOLD_RATE_LIMIT: String(limit) });
    const [{ admin_key: key }] = nodes;
    await sleep(EXCHANGED_MS);
    // 20 a second at each node: at most two seconds of them, 40, are unknown at the other node; the rest is for a loaded machine.
    const allowed = await Promise.all(
      nodes.map(async (node) => {
        let count = 0;
        for (let sent = 0; sent < 120; sent++) {
          const sent_ms = performance.now();
          if ((await statusOf(node, key)) === 200) count++;
          await sleep(Math.max(0, 50 - (performance.now() - sent_ms)));
        }
        return count;
      }),
    );
    const total = allowed.reduce((sum, count) => sum + count, 0);
    expect(total).toBeGreaterThanOrEqual(limit);
    expect(total).toBeLessThanOrEqual(limit + 80);
  });

  test('failed authentications at one node are refused at the other', async () => {
    const [first, second] = await startNodes({ KEYHOLD_AUTH_FAILURE_LIMIT: '5' });
    for (let count = 0; count < 5; count++) expect(await statusOf(first, 'wrong')).toBe(401);
    await sleep(EXCHANGED_MS);
    expect(await statusOf(second, 'wrong')).toBe(429);
    expect(await statusOf(second, first.admin_key)).toBe(200);
  });
});
