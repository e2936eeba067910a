/**
 * A vault in PostgreSQL, compared with plain `pg` on the same server, which flushes its log at each commit. The baseline and
 * Keyhold alternate in short rounds, since other programs may load the machine.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compose } from '../../../src/app/compose.ts';
import type * as Keyhold from '../../../src/index.ts';
import { atLeast, atMost, inMilliseconds, median, type Row } from '../report.ts';
import { type DurableServer, type NodeEnvironment, startDurableServer } from './durable_server.ts';
import { type Measured, measure } from './measure.ts';
import { type BenchNode, startNode } from './nodes.ts';
import { encryptedSizes, plainReader, plainWriter } from './plain_client.ts';

const QUOTA = { credentials: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };
const VALUE = 'lin_api_0123456789abcdefghijklmnopqrstuvwxyz';
const CALLERS = 64;
const ROUNDS = 9;
const WRITE_SECONDS = 0.8;
const READ_SECONDS = 0.5;
const NODE_ROUNDS = 3;
const NODE_SECONDS = 1.5;
const NODES = 3;
const ORGANIZATIONS = 100;

interface Programs {
  /** The built keyhold.js. */
  readonly keyhold: string;
}

type Rounds = Record<string, Measured[]>;

export async function benchPostgres(
  openVault: typeof Keyhold.openVault,
  folder: string,
  { keyhold }: Programs,
  print: (text: string) => void,
): Promise<Row[]> {
  const server = await startDurableServer(folder);
  try {
    print('  one node ...');
    const one = await benchOneNode(openVault, server, keyhold);
    print('  several nodes ...');
    return [...one, ...(await benchNodes(server, folder, keyhold))];
  } finally {
    await server.stop();
  }
}

async function benchOneNode(
  openVault: typeof Keyhold.openVault,
  server: DurableServer,
  program: string,
): Promise<Row[]> {
  const environment = await server.createVault('one_node', program);
  await server.createVault('plain', program);
  process.env.KEYHOLD_STORE_PASSWORD = environment.KEYHOLD_STORE_PASSWORD;
  const vault = await openVault({
    home: environment.KEYHOLD_HOME,
    store: environment.KEYHOLD_STORE,
    root_key: environment.KEYHOLD_ROOT_KEY,
    create: false,
    quota: QUOTA,
  });
  const clients = [await server.connect('plain', false), await server.connect('one_node', true)] as const;
  try {
    let stored = 0;
    const store = () =>
      vault.storeCredential({
        service_id: 'linear',
        credential_type: 'api_key',
        credential_value: VALUE,
        name: `n${stored++}`,
      });
    // Warms up: the compiler optimizes what runs often, and few writes of one caller fit into a round.
    await measure(CALLERS, 4 * WRITE_SECONDS, store);
    const plain = plainWriter(clients[0], await encryptedSizes(clients[1]));
    const select = await plainReader(clients[1]);
    let checked = 0;
    const status = () => vault.getCredentialStatus({ service_id: 'linear', name: `n${checked++ % 100}` });
    const acts = {
      transaction: () => measure(1, WRITE_SECONDS, plain.transaction),
      store: () => measure(1, WRITE_SECONDS, store),
      statement: () => measure(1, WRITE_SECONDS, plain.statement),
      stores: () => measure(CALLERS, WRITE_SECONDS, store),
      select: () => measure(1, READ_SECONDS, select),
      status: () => measure(1, READ_SECONDS, status),
      selects: () => measure(CALLERS, READ_SECONDS, select),
      statuses: () => measure(CALLERS, READ_SECONDS, status),
    };
    return oneNodeRows(await alternate(acts, ROUNDS));
  } finally {
    await vault.close();
    for (const client of clients) await client.end();
  }
}

function oneNodeRows(rounds: Rounds): Row[] {
  const row = (what: string, act: string, plain: string, limit: number) =>
    atLeast(what, ratio(rounds, act, plain), limit, rate(rounds, act), rate(rounds, plain));
  return [
    row('PostgreSQL: store, one caller, of a plain transaction', 'store', 'transaction', 0.7),
    row('PostgreSQL: store, one caller, of one plain statement', 'store', 'statement', 0.7),
    row(`PostgreSQL: store, ${CALLERS} callers, of a plain transaction's one`, 'stores', 'transaction', 3),
    row('PostgreSQL: status, one caller, of a plain SELECT', 'status', 'select', 0.6),
    row(`PostgreSQL: status, ${CALLERS} callers, of plain SELECTs`, 'statuses', 'selects', 0.6),
  ];
}

async function benchNodes(server: DurableServer, folder: string, program: string): Promise<Row[]> {
  const environment = await server.createVault('nodes', program);
  const keys = await createKeys(environment);
  const nodes: BenchNode[] = [];
  try {
    for (let at = 0; at < NODES; at++) {
      const home = join(folder, `node_${at}`);
      mkdirSync(home, { mode: 0o700 });
      nodes.push(await startNode(environment, home, keys));
    }
    const all = keys.map((_, at) => at);
    const group = (organizations: readonly number[], callers = CALLERS) => ({ callers, organizations });
    const run = (node: number, ...groups: ReturnType<typeof group>[]) =>
      (nodes[node] as BenchNode).run({ seconds: NODE_SECONDS, groups });
    const everywhere = async (organizationsOf: (node: number) => readonly number[]) =>
      total((await Promise.all(nodes.map((_, node) => run(node, group(organizationsOf(node)))))).flat());
    // The first writes of a node load the keys of all organizations.
    await everywhere(() => all);
    const rounds = await alternate(
      {
        one: async () => total(await run(0, group(all))),
        nodes: () => everywhere(() => all),
        own: () => everywhere((node) => all.filter((at) => at % NODES === node)),
        next_to: async () => last(await run(0, group([0]), group([1], 1))),
        against: async () => last((await Promise.all([run(0, group([0])), run(1, group([0], 1))])).flat()),
        crowd: async () => total(await run(0, group([0]))),
      },
      NODE_ROUNDS,
    );
    return nodeRows(rounds);
  } finally {
    for (const node of nodes) await node.stop();
  }
}

function nodeRows(rounds: Rounds): Row[] {
  const nodes = (what: string, act: string) =>
    atLeast(what, ratio(rounds, act, 'one'), 1, rate(rounds, act), rate(rounds, 'one'));
  const longest = (what: string, act: string, limit_s: number) => {
    const max_ms = Math.max(...(rounds[act] ?? []).map((each) => each.max_ms));
    const p99 = median((rounds[act] ?? []).map((each) => each.p99_ms));
    const crowd = median((rounds.crowd ?? []).map((each) => each.p99_ms));
    const measured = `p99 ${inMilliseconds(p99)}`;
    return atMost(what, max_ms / 1000, limit_s, measured, `p99 of the ${CALLERS} ${inMilliseconds(crowd)}`);
  };
  const crowd = `${CALLERS} callers of`;
  return [
    nodes(`PostgreSQL: ${NODES} nodes, ${ORGANIZATIONS} organizations on each, of one node`, 'nodes'),
    nodes(`PostgreSQL: ${NODES} nodes, each with its part of the organizations, of one node`, 'own'),
    longest(`PostgreSQL: longest store while ${crowd} another organization store, seconds`, 'next_to', 1),
    longest(
      `PostgreSQL: longest store while ${crowd} the same organization store on another node, seconds`,
      'against',
      2,
    ),
  ];
}

async function createKeys(environment: NodeEnvironment): Promise<string[]> {
  const app = compose({
    env: { ...environment },
    promptSecret: async () => undefined,
    now: () => new Date(),
  });
  const vault = await app.openVault('no', 'cli');
  const keys: string[] = [];
  for (let at = 0; at < ORGANIZATIONS; at++) {
    const created = await vault.api_keys.create(app.caller('cli'), {
      organization: `org-${at}`,
      user: 'user',
    });
    keys.push(created.key);
  }
  await vault.close();
  return keys;
}

/** Runs all acts once in each round, so that each round compares what ran within seconds. The first warms up. */
async function alternate(
  acts: Readonly<Record<string, () => Promise<Measured>>>,
  count: number,
): Promise<Rounds> {
  const rounds: Rounds = {};
  for (let round = -1; round < count; round++)
    for (const [name, act] of Object.entries(acts)) {
      const measured = await act();
      if (round >= 0) rounds[name] = [...(rounds[name] ?? []), measured];
    }
  return rounds;
}

/** The median of the ratios of each round. */
function ratio(rounds: Rounds, act: string, plain: string): number {
  const baselines = rounds[plain] ?? [];
  return median(
    (rounds[act] ?? []).map(({ per_second }, at) => per_second / (baselines[at]?.per_second ?? Number.NaN)),
  );
}

function rate(rounds: Rounds, name: string): string {
  return `${median((rounds[name] ?? []).map(({ per_second }) => per_second)).toFixed(0)}/s`;
}

function last(measured: readonly Measured[]): Measured {
  const found = measured.at(-1);
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

/** Of callers that ran at the same time. */
function total(measured: readonly Measured[]): Measured {
  return {
    per_second: measured.reduce((sum, { per_second }) => sum + per_second, 0),
    p50_ms: median(measured.map(({ p50_ms }) => p50_ms)),
    p99_ms: Math.max(...measured.map(({ p99_ms }) => p99_ms)),
    max_ms: Math.max(...measured.map(({ max_ms }) => max_ms)),
  };
}
