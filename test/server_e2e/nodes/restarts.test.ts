/**
 * Three nodes of a vault in PostgreSQL, behind a balancer, under load: a rolling restart without a failed request, and nodes
 * killed at random without the loss of an acknowledged write. SLOW=1 kills 200 times.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabaseNodes, type DatabaseNodes, TRUST_RULES } from '../../kit/child/database_nodes.ts';
import { type Balancer, startBalancer } from '../../kit/http/balancer.ts';
import { runSize } from '../../kit/run_size.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../../kit/servers/postgresql.ts';

const NODES = 3;
const WRITERS = 4;
const WRITE_EVERY_MS = 50;
/** Written again and again, so that a long run stays below the quota. */
const NAMES_PER_WRITER = 500;
const BEARER = { service_id: 'linear', credential_type: 'bearer' };
const AUDIT_PAGE = 100;
const KILLS = runSize({ quick: 6, ci: 10, slow: 200 });
const ENV = { KEYHOLD_DRAIN_SECONDS: '2', KEYHOLD_LOG: 'warn' };
const LONG_MS = 180_000 + KILLS * 10_000;

interface Load {
  /** The ids of the requests whose writes were acknowledged. */
  readonly acknowledged: readonly string[];
  /** Statuses other than 200, and failures to connect. */
  readonly failed: readonly (number | string)[];
  end(): Promise<void>;
}

/** Writers that each store one credential after the other through the balancer. */
function startLoad({ url }: Balancer, key: string): Load {
  const acknowledged: string[] = [];
  const failed: (number | string)[] = [];
  let is_over = false;
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const send = async (path: string, method: string, body: object) => {
    try {
      const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
      const text = await response.text();
      if (response.status === 200) acknowledged.push(response.headers.get('x-request-id') ?? '');
      else failed.push(`${response.status} ${text.slice(0, 200)}`);
    } catch (error) {
      failed.push(String(error));
    }
  };
  const write = async (writer: number) => {
    for (let count = 0; !is_over; count++) {
      const name = `w${writer}-${count % NAMES_PER_WRITER}`;
      const value = `v-${writer}-${count}`;
      await send('/v1/credentials', 'PUT', { ...BEARER, credential_value: value, name });
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

/** Every acknowledged write is in the audit log, which is whole and matches the records. Returns the number of its entries. */
async function expectAllKept({ open }: DatabaseNodes, { acknowledged }: Load): Promise<number> {
  const { vault, caller } = await open();
  const report = await vault.verifyAudit(caller());
  expect(report.findings).toEqual([]);
  const audited = new Set<string>();
  let before: number | undefined;
  do {
    const page = await vault.listAudit(caller(), {}, AUDIT_PAGE, before);
    for (const { request_id } of page.entries) audited.add(request_id);
    before = page.next ?? undefined;
  } while (before !== undefined);
  expect(acknowledged.filter((request_id) => !audited.has(request_id))).toEqual([]);
  expect(new Set(acknowledged).size).toBe(acknowledged.length);
  return report.entries;
}

let server: PostgresqlServer;

beforeAll(async () => {
  if (!NO_POSTGRESQL) server = await startPostgresql(TRUST_RULES);
});
afterAll(() => server?.stop());

async function startCluster() {
  const vault = await createDatabaseNodes(server, ENV);
  const nodes = await Promise.all(Array.from({ length: NODES }, vault.start));
  const balancer = await startBalancer();
  await Promise.all(nodes.map(({ url }) => balancer.add(url)));
  return { vault, nodes, balancer };
}

describe.skipIf(NO_POSTGRESQL)('three nodes behind a balancer', () => {
  test('a rolling restart under load fails no request and loses no write', { timeout: LONG_MS }, async () => {
    const { vault, nodes, balancer } = await startCluster();
    const load = startLoad(balancer, vault.admin_key);
    for (const node of nodes) {
      const replacement = await vault.start();
      await balancer.add(replacement.url);
      expect(await node.end()).toEqual({ code: 0, signal: null });
      balancer.remove(node.url);
    }
    await sleep(1_000);
    await load.end();
    expect(load.failed).toEqual([]);
    expect(load.acknowledged.length).toBeGreaterThan(50);
    await expectAllKept(vault, load);
  });

  test(`${KILLS} kills of nodes at random points lose no acknowledged write`, {
    timeout: LONG_MS,
  }, async () => {
    const { vault, nodes, balancer } = await startCluster();
    const load = startLoad(balancer, vault.admin_key);
    const began_ms = performance.now();
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(Math.random() * 500);
      const at = Math.floor(Math.random() * nodes.length);
      const [node] = nodes.splice(at, 1);
      if (node === undefined) throw new Error('no node runs');
      expect(await node.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
      balancer.remove(node.url);
      const replacement = await vault.start();
      nodes.push(replacement);
      await balancer.add(replacement.url);
    }
    await load.end();
    // Requests at the killed node fail, and no others.
    expect(load.failed.filter((failure) => !String(failure).startsWith('502 '))).toEqual([]);
    expect(load.failed.length).toBeLessThanOrEqual(KILLS * WRITERS);
    expect(load.acknowledged.length).toBeGreaterThan(50);
    const entries = await expectAllKept(vault, load);
    console.log(
      `${KILLS} kills in ${((performance.now() - began_ms) / 1000).toFixed(0)} s: ${load.acknowledged.length} writes acknowledged and none lost, ` +
        `${load.failed.length} requests failed at the killed nodes, ${entries} audit entries verified`,
    );
  });
});
