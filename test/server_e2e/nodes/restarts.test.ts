/**
 * Three nodes behind a balancer under load: a rolling restart without a failed request, and nodes killed at random without the
 * loss of an acknowledged write. SLOW=1 kills 200 times.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { keyholdOk } from '../../kit/child/cli.ts';
import { type Balancer, startBalancer } from '../../kit/http/balancer.ts';
import { type ServeProcess, startServeProcess } from '../../kit/http/http_server.ts';
import { runSize } from '../../kit/run_size.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const NODES = 3;
const WRITERS = 4;
const WRITE_EVERY_MS = 50;
const KILLS = runSize({ quick: 6, ci: 12, slow: 200 });
const ENV = { KEYHOLD_DRAIN_SECONDS: '2', KEYHOLD_LOG: 'warn' };
const LONG_MS = 180_000 + KILLS * 10_000;

interface Load {
  /** The names of the credentials whose writes were acknowledged. */
  readonly acknowledged: readonly string[];
  /** Statuses other than 200, and failures to connect. */
  readonly failed: readonly (number | string)[];
  end(): Promise<void>;
}

/** Writers that each store one credential after the other through the balancer, and read its status. */
function startLoad({ url }: Balancer, key: string): Load {
  const acknowledged: string[] = [];
  const failed: (number | string)[] = [];
  let is_over = false;
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const send = async (path: string, method: string, body: object) => {
    try {
      const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
      const text = await response.text();
      if (response.status !== 200) failed.push(`${response.status} ${text.slice(0, 200)}`);
      return response.status === 200;
    } catch (error) {
      failed.push(String(error));
      return false;
    }
  };
  const write = async (writer: number) => {
    for (let count = 0; !is_over; count++) {
      const name = `w${writer}-${count}`;
      const value = { service_id: 'linear', credential_type: 'bearer', credential_value: `v-${name}`, name };
      if (await send('/v1/credentials', 'PUT', value)) acknowledged.push(name);
      await sleep(WRITE_EVERY_MS);
    }
  };
  const writers = Array.from({ length: WRITERS }, (_, writer) => write(writer));
  return {
    acknowledged,
    failed,
    async end() {
      is_over = true;
      await Promise.all(writers);
    },
  };
}

async function startCluster() {
  const first = await startServeProcess({ env: ENV });
  const start = () => startServeProcess({ home: first.home, env: ENV });
  const nodes: ServeProcess[] = [first];
  while (nodes.length < NODES) nodes.push(await start());
  const balancer = await startBalancer();
  await Promise.all(nodes.map(({ url }) => balancer.add(url)));
  return { home: first.home, key: first.admin_key, nodes, balancer, start };
}

/** Every acknowledged credential is stored, and the audit log is whole. */
async function expectAllKept(home: string, { acknowledged }: Load) {
  const { vault, caller } = await openTestVault(home, {}, 'no');
  const missing: string[] = [];
  for (const name of acknowledged) {
    const { credential_id } = await vault.status(caller(), { service_id: 'linear', name });
    if (credential_id === null) missing.push(name);
  }
  const never = await vault.status(caller(), { service_id: 'linear', name: 'never stored' });
  expect(never.credential_id).toBeNull();
  expect(missing).toEqual([]);
  expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  expect(JSON.parse(await keyholdOk(home, ['audit', 'verify', '--json']))).toMatchObject({ ok: true });
}

describe('three nodes behind a balancer', () => {
  test('a rolling restart under load fails no request and loses no write', { timeout: LONG_MS }, async () => {
    const { home, key, nodes, balancer, start } = await startCluster();
    const load = startLoad(balancer, key);
    for (const node of nodes) {
      const replacement = await start();
      await balancer.add(replacement.url);
      expect(await node.end()).toEqual({ code: 0, signal: null });
      balancer.remove(node.url);
    }
    await sleep(1_000);
    await load.end();
    expect(load.failed).toEqual([]);
    expect(load.acknowledged.length).toBeGreaterThan(50);
    await expectAllKept(home, load);
  });

  test(`${KILLS} kills of nodes at random points lose no acknowledged write`, {
    timeout: LONG_MS,
  }, async () => {
    const { home, key, nodes, balancer, start } = await startCluster();
    const load = startLoad(balancer, key);
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(Math.random() * 500);
      const at = Math.floor(Math.random() * nodes.length);
      const [node] = nodes.splice(at, 1);
      if (node === undefined) throw new Error('no node runs');
      expect(await node.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
      balancer.remove(node.url);
      const replacement = await start();
      nodes.push(replacement);
      await balancer.add(replacement.url);
    }
    await load.end();
    // Requests at the killed node fail, and no others.
    expect(load.failed.filter((failure) => !String(failure).startsWith('502 '))).toEqual([]);
    expect(load.failed.length).toBeLessThanOrEqual(KILLS * WRITERS);
    expect(load.acknowledged.length).toBeGreaterThan(50);
    await expectAllKept(home, load);
  });
});
