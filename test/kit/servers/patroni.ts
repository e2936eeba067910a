/**
 * Three PostgreSQL servers under Patroni on loopback, one of the standbys synchronous, with etcd. Each server is reached through
 * links of the kit, so that it can be cut off. Patroni uses the API of etcd of version 2: with that of version 3, the Patroni of
 * Debian 12 takes the lead back after a pause, without a comparison, and loses acknowledged writes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { removeFolder } from '../remove_folder.ts';
import { CLUSTER_USER, clusterMember, type MemberPorts } from './patroni_settings.ts';
import { freePort } from './ports.ts';
import { childrenOf, ProcessGuardian, postmasterOf, signal } from './processes.ts';
import { TcpLink } from './tcp_link.ts';

const PROGRAMS = ['/usr/bin/patroni', '/usr/bin/etcd'];
const FOLDER = '/usr/lib/postgresql';
const binary_folder = existsSync(FOLDER)
  ? readdirSync(FOLDER)
      .map((version) => join(FOLDER, version, 'bin'))
      .find((folder) => existsSync(join(folder, 'initdb')))
  : undefined;
const is_installed = binary_folder !== undefined && PROGRAMS.every((path) => existsSync(path));

/** Whether the tests are skipped: never in CI. */
export const NO_PATRONI = !is_installed && process.env.CI === undefined;

/** PostgreSQL refuses to run as root. */
const ORDINARY_USER_ID = 65_534;
const MEMBERS = 3;
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 100;

export type Failure = 'killed' | 'paused' | 'cut off';

/** Of the REST API of Patroni. */
interface ClusterStatus {
  readonly members: readonly { readonly role: string; readonly state: string }[];
}

interface Member {
  readonly name: string;
  readonly settings: string;
  readonly data: string;
  readonly ports: MemberPorts;
  readonly links: readonly TcpLink[];
  /** Where clients reach the database. */
  readonly port: number;
  patroni: ChildProcess | undefined;
  failure: Failure | undefined;
}

export class PatroniCluster {
  readonly #folder: string;
  readonly #ids: { readonly uid?: number; readonly gid?: number };
  readonly #members: Member[] = [];
  readonly #guardian: ProcessGuardian;

  private constructor() {
    this.#ids = process.getuid?.() === 0 ? { uid: ORDINARY_USER_ID, gid: ORDINARY_USER_ID } : {};
    this.#folder = mkdtempSync(join(tmpdir(), 'keyhold-patroni-'));
    chmodSync(this.#folder, 0o700);
    this.#own(this.#folder);
    this.#guardian = new ProcessGuardian(this.#folder);
  }

  /** Resolves when there is a primary with a synchronous standby. */
  static async start(): Promise<PatroniCluster> {
    if (!is_installed)
      throw new Error(
        'Patroni is not installed: apt-get install postgresql patroni etcd-server python3-psycopg2',
      );
    const cluster = new PatroniCluster();
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** Of all databases, for a client that finds the primary itself. */
  url(database: string): string {
    const hosts = this.#members.map(({ port }) => `127.0.0.1:${port}`).join(',');
    return `postgres://${CLUSTER_USER}@${hosts}/${database}`;
  }

  /** The names of the members that accept writes. Members that are paused or cut off are left out. */
  async primaries(): Promise<string[]> {
    const found = await Promise.all(
      this.#members.map(async (member) => ((await this.#isPrimary(member)) ? [member.name] : [])),
    );
    return found.flat();
  }

  /** Runs a query at the primary. */
  async query<Row extends pg.QueryResultRow>(text: string, database = 'postgres'): Promise<readonly Row[]> {
    const [name] = await this.primaries();
    const member = this.#members.find((one) => one.name === name);
    if (member === undefined) throw new Error('there is no primary');
    return queryAt<Row>(member.port, database, text);
  }

  /**
   * Makes the primary fail, and returns its name. `killed`: the database ends at once; Patroni stays. `paused`: the machine hangs.
   * `cut off`: the machine runs, and no packet reaches or leaves it.
   */
  async failPrimary(failure: Failure): Promise<string> {
    const [name] = await this.primaries();
    const member = this.#members.find((one) => one.name === name);
    if (member === undefined) throw new Error('there is no primary');
    member.failure = failure;
    if (failure === 'cut off') for (const link of member.links) link.cut();
    else if (failure === 'killed') process.kill(postmasterOf(member.data) ?? 0, 'SIGKILL');
    else for (const pid of this.#processesOf(member)) signal(pid, 'SIGSTOP');
    return member.name;
  }

  /** Ends the failure. Resolves when the cluster is complete again. */
  async revive(): Promise<void> {
    for (const member of this.#members) {
      if (member.failure === 'cut off') for (const link of member.links) link.restore();
      if (member.failure === 'paused') for (const pid of this.#processesOf(member)) signal(pid, 'SIGCONT');
      member.failure = undefined;
    }
    await this.ready();
  }

  /** Waits for one primary to which all other members are connected as standbys, and for Patroni to know one of them as synchronous. */
  async ready(): Promise<void> {
    const began_ms = performance.now();
    for (;;) {
      const roles = await this.#roles();
      const count = (...names: readonly string[]) => roles.filter((role) => names.includes(role)).length;
      const is_complete =
        count('leader') === 1 && count('sync_standby') === 1 && count('replica') === MEMBERS - 2;
      if (is_complete && (await this.primaries()).length === 1 && (await this.#hasAllStandbys())) return;
      if (performance.now() - began_ms > READY_TIMEOUT_MS)
        throw new Error(`the cluster is not complete; ${await this.describe()}`);
      await sleep(POLL_MS);
    }
  }

  /** The members as Patroni knows them, and the ends of their logs. */
  async describe(): Promise<string> {
    const roles = await this.#roles();
    const logs = this.#members.map(({ name }) => {
      const lines = readFileSync(join(this.#folder, `${name}.log`), 'utf8')
        .trimEnd()
        .split('\n');
      return `${name}: ${lines.slice(-3).join(' | ')}`;
    });
    return `its members: ${roles.join(', ')}\n${logs.join('\n')}`;
  }

  /** Ends every process and removes the folder. */
  async stop(): Promise<void> {
    for (const link of this.#members.flatMap(({ links }) => links)) link.close();
    await this.#guardian.end();
    await removeFolder(this.#folder);
  }

  /** Of the members that run, as the first reachable one reports them. */
  async #roles(): Promise<readonly string[]> {
    for (const { ports, failure } of this.#members) {
      if (failure === 'paused') continue;
      const status = await fetch(`http://127.0.0.1:${ports.rest}/cluster`, {
        signal: AbortSignal.timeout(2_000),
      })
        .then(async (response) => (await response.json()) as ClusterStatus)
        .catch(() => undefined);
      if (status === undefined) continue;
      return status.members
        .filter(({ state }) => ['running', 'streaming'].includes(state))
        .map(({ role }) => role);
    }
    return [];
  }

  /** Patroni reports a member as running that was paused and must be rewound still. */
  async #hasAllStandbys(): Promise<boolean> {
    const rows = await this.query("SELECT FROM pg_stat_replication WHERE state = 'streaming'").catch(
      () => [],
    );
    return rows.length === MEMBERS - 1;
  }

  async #start(): Promise<void> {
    const etcd_port = await freePort();
    const peer_url = `http://127.0.0.1:${await freePort()}`;
    const client_url = `http://127.0.0.1:${etcd_port}`;
    // One etcd: several would test etcd.
    this.#spawn('etcd', '/usr/bin/etcd', [
      ...['--enable-v2', '--unsafe-no-fsync', '--name', 'e1', '--data-dir', join(this.#folder, 'etcd')],
      ...['--listen-client-urls', client_url, '--advertise-client-urls', client_url],
      ...['--listen-peer-urls', peer_url, '--initial-advertise-peer-urls', peer_url],
      ...['--initial-cluster', `e1=${peer_url}`],
    ]);
    await untilHealthy(`${client_url}/health`);
    for (let number = 1; number <= MEMBERS; number++)
      this.#members.push(await this.#prepare(`n${number}`, etcd_port));
    for (const member of this.#members) this.#startPatroni(member);
    await this.ready();
  }

  async #prepare(name: string, etcd_port: number): Promise<Member> {
    const [postgres, rest] = [await freePort(), await freePort()];
    const database = await TcpLink.open(postgres);
    const api = await TcpLink.open(rest);
    const etcd = await TcpLink.open(etcd_port);
    const ports = {
      postgres,
      rest,
      linked_postgres: database.port,
      linked_rest: api.port,
      linked_etcd: etcd.port,
    };
    const folder = join(this.#folder, name);
    mkdirSync(folder, { mode: 0o700 });
    this.#own(folder);
    const data = join(folder, 'data');
    const settings = join(folder, 'patroni.yml');
    // JSON is YAML.
    const member = clusterMember({ name, ports, folder, data, binary_folder: binary_folder ?? '' });
    writeFileSync(settings, JSON.stringify(member), { mode: 0o600 });
    this.#own(settings);
    const links = [database, api, etcd];
    return {
      name,
      settings,
      data,
      ports,
      links,
      port: database.port,
      patroni: undefined,
      failure: undefined,
    };
  }

  #startPatroni(member: Member): void {
    member.patroni = this.#spawn(member.name, '/usr/bin/patroni', [member.settings]);
  }

  #spawn(name: string, program: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.#folder, `${name}.log`), 'a', 0o600);
    const env = { PATH: `${binary_folder}:/usr/bin:/bin`, HOME: this.#folder, LANG: 'C.UTF-8' };
    const child = spawn(program, args, { ...this.#ids, cwd: this.#folder, env, stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }

  async #isPrimary({ port, failure }: Member): Promise<boolean> {
    if (failure !== undefined && failure !== 'killed') return false;
    const rows = await queryAt<{ standby: boolean }>(
      port,
      'postgres',
      'SELECT pg_is_in_recovery() AS standby',
    ).catch(() => []);
    return rows[0]?.standby === false;
  }

  /** Patroni, the postmaster and its children. */
  #processesOf(member: Member): number[] {
    const postmaster = postmasterOf(member.data);
    return [
      member.patroni?.pid,
      postmaster,
      ...(postmaster === undefined ? [] : childrenOf(postmaster)),
    ].filter((pid) => pid !== undefined);
  }

  #own(path: string): void {
    if (this.#ids.uid !== undefined) chownSync(path, this.#ids.uid, this.#ids.gid ?? this.#ids.uid);
  }
}

async function queryAt<Row extends pg.QueryResultRow>(
  port: number,
  database: string,
  text: string,
): Promise<Row[]> {
  const limits = { connectionTimeoutMillis: 2_000, query_timeout: 60_000 };
  const client = new pg.Client({ host: '127.0.0.1', port, database, user: CLUSTER_USER, ...limits });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Row>(text)).rows;
  } finally {
    void client.end().catch(() => undefined);
  }
}

async function untilHealthy(url: string): Promise<void> {
  const began_ms = performance.now();
  for (;;) {
    const is_healthy = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
    if (is_healthy) return;
    if (performance.now() - began_ms > READY_TIMEOUT_MS) throw new Error('etcd did not start');
    await sleep(POLL_MS);
  }
}
