/**
 * Three nodes write to one vault in a PostgreSQL cluster under Patroni, with a synchronous standby, while its primary fails. No
 * acknowledged write is lost: each is searched for at the new primary, and again after the former one is back. Prints how
 * long writes were interrupted.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import { type Caller, LOCAL_ORGANIZATION } from '../../../src/contract/caller.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { type Acknowledged, type LoadNode, startLoadNode } from '../../kit/child/load_process.ts';
import { bundleProgram } from '../../kit/child/vault_process.ts';
import { removeFolder } from '../../kit/remove_folder.ts';
import { type Failure, NO_PATRONI, PatroniCluster } from '../../kit/servers/patroni.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const DATABASE = 'vault';
const NODES = ['node-a', 'node-b', 'node-c'];
const CALLERS_PER_NODE = 11;
const ORGANIZATIONS = Array.from({ length: 10 }, (_, at) => `org-${at}`);
const PAUSE_MS = 5;
/** Acknowledged before the failure. */
const BEFORE_WRITES = 5 * NODES.length * CALLERS_PER_NODE;
/** After every organization can be written to again. */
const AFTER_MS = 1_000;
/** Patroni gives a primary that does not respond 20 seconds. */
const OUTAGE_MAX_MS = 90_000;
const TIMEOUT_MS = 240_000;
const PAGE = 100;

/** `undefined` if the tests are skipped. */
let cluster: PatroniCluster | undefined;
let folder = '';
let program = '';
let env: NodeJS.ProcessEnv = {};

beforeAll(async () => {
  if (NO_PATRONI) return;
  folder = mkdtempSync(join(tmpdir(), 'keyhold-failover-'));
  [cluster, program] = await Promise.all([PatroniCluster.start(), bundleProgram('load_program', folder)]);
  await cluster.query(`CREATE DATABASE ${DATABASE}`);
  const home = join(folder, 'home');
  env = {
    KEYHOLD_HOME: home,
    KEYHOLD_STORE: cluster.url(DATABASE),
    KEYHOLD_ROOT_KEY: `file:${join(home, 'keys', 'root.key')}`,
  };
  await withVault('yes', async (vault, caller) => {
    for (const organization of ORGANIZATIONS)
      await vault.api_keys.create({ ...caller, edge: 'cli' }, { organization, user: 'first' });
  });
}, TIMEOUT_MS);

afterAll(async () => {
  await cluster?.stop();
  if (folder !== '') await removeFolder(folder);
}, TIMEOUT_MS);

/** As a further node with its own memory, which has seen none of the writes. */
async function withVault<Result>(
  create: 'yes' | 'no',
  act: (vault: Vault, caller: Caller) => Promise<Result>,
): Promise<Result> {
  const composition = compose({ env, promptSecret: async () => undefined, now: () => new Date() });
  const vault = await composition.openVault(create, 'library');
  try {
    return await act(vault, composition.caller('library'));
  } finally {
    await vault.close();
  }
}

function startNodes(): Promise<LoadNode[]> {
  return Promise.all(
    NODES.map((node) =>
      startLoadNode(program, {
        env: { ...env, KEYHOLD_HOME: temporaryFolder() },
        node,
        organizations: ORGANIZATIONS,
        callers: CALLERS_PER_NODE,
        pause_ms: PAUSE_MS,
      }),
    ),
  );
}

const acknowledgedBy = (nodes: readonly LoadNode[]) => nodes.flatMap(({ acknowledged }) => acknowledged);

/** Waits until every organization has an acknowledged write that began after the failure. */
async function untilWritten(
  nodes: readonly LoadNode[],
  failed_ms: number,
  describeCluster: () => Promise<string>,
): Promise<void> {
  for (;;) {
    const later = acknowledgedBy(nodes).filter(({ at_ms, waited_ms }) => at_ms - waited_ms > failed_ms);
    const written = new Set(later.map(({ organization }) => organization));
    if (written.size === ORGANIZATIONS.length) return;
    if (performance.now() - failed_ms > OUTAGE_MAX_MS) {
      const refused = nodes.flatMap((node) => node.refused).map(({ code, reason }) => `${code} ${reason}`);
      throw new Error(
        `only ${written.size} organizations can be written to; refused: ${refused.slice(-5).join(', ')}; ${await describeCluster()}`,
      );
    }
    await sleep(50);
  }
}

/** The longest time without an acknowledged write of any node. */
function outageOf(acknowledged: readonly Acknowledged[]): number {
  const times = acknowledged.map(({ at_ms }) => at_ms).sort((a, b) => a - b);
  return Math.max(...times.slice(1).map((time, at) => time - (times[at] ?? time)));
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** The request ids of all writes in the audit logs, which are verified too. */
async function auditedRequests(): Promise<ReadonlySet<string>> {
  return withVault('no', async (vault, caller) => {
    const found = new Set<string>();
    for (const organization of [LOCAL_ORGANIZATION, ...ORGANIZATIONS]) {
      const report = await vault.verifyAudit(caller, { organization });
      expect([report.findings, organization]).toStrictEqual([[], organization]);
      let before: number | undefined;
      do {
        const page = await vault.listAudit(caller, { organization }, PAGE, before);
        for (const { request_id } of page.entries) found.add(request_id);
        before = page.next ?? undefined;
      } while (before !== undefined);
    }
    return found;
  });
}

async function expectAllStored(acknowledged: readonly Acknowledged[], when: string): Promise<void> {
  const audited = await auditedRequests();
  const lost = acknowledged.filter(({ request_id }) => !audited.has(request_id));
  expect([lost.length, lost.slice(0, 3), when]).toStrictEqual([0, [], when]);
}

describe.skipIf(NO_PATRONI)('a vault in a cluster with a synchronous standby', () => {
  test.each(['killed', 'paused', 'cut off'] satisfies readonly Failure[])(
    'loses no acknowledged write when the primary is %s under load',
    async (failure) => {
      if (cluster === undefined) throw new Error('the cluster did not start');
      const nodes = await startNodes();
      for (const node of nodes) node.begin();
      await expect
        .poll(() => acknowledgedBy(nodes).length, { timeout: OUTAGE_MAX_MS })
        .toBeGreaterThanOrEqual(BEFORE_WRITES);
      const failed_ms = performance.now();
      const name = await cluster.failPrimary(failure);
      await untilWritten(nodes, failed_ms, () => cluster?.describe() ?? Promise.resolve(''));
      await sleep(AFTER_MS);
      await Promise.all(nodes.map((node) => node.end()));

      const acknowledged = acknowledgedBy(nodes);
      const refused = nodes.flatMap((node) => node.refused);
      const before = acknowledged.filter(({ at_ms }) => at_ms < failed_ms);
      await expectAllStored(acknowledged, 'at the new primary');
      const [now] = await cluster.primaries();
      await cluster.revive();
      await expectAllStored(acknowledged, 'after the former primary is back');
      const reasons = new Set(refused.map(({ code, reason }) => `${code} ${reason}`));
      console.log(
        `primary ${name} ${failure}, then ${now}: writes were interrupted for ${(outageOf(acknowledged) / 1000).toFixed(1)} s; ` +
          `${acknowledged.length} acknowledged, ${before.length} of them before with a median of ${medianOf(before.map(({ waited_ms }) => waited_ms))} ms, ${refused.length} refused (${[...reasons].join(', ')}), none lost`,
      );
    },
    TIMEOUT_MS,
  );
});
