/** `keyhold serve` under load, compared with bare Hono and a bare MCP server under the same load. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { compose } from '../../src/app/compose.ts';
import type { LoadPlan, LoadRequest, LoadResult } from './load.ts';
import { atLeast, atMost, inMicroseconds, median, type Row } from './report.ts';

export interface HttpPrograms {
  readonly keyhold: string;
  readonly bare_http: string;
  readonly load: string;
}

interface Listening {
  readonly child: ChildProcess;
  readonly port: number;
}

const CONNECTIONS = 32;
const ROUNDS = 5;
const SECONDS = 3;
const SERVICE = 'linear';
const PATH = `/v1/stacks/default/servers/${SERVICE}/credentials`;
const BODY = JSON.stringify({
  credentials: { linear_api_key: 'lin_api_0123456789abcdefghijklmnopqrstuvwxyz' },
});

/** Starts a server and resolves when it listens. */
export async function listen(program: string, args: readonly string[], home: string): Promise<Listening> {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      KEYHOLD_HOME: home,
      KEYHOLD_PORT: '0',
      KEYHOLD_RATE_LIMIT: '0',
      KEYHOLD_LOG: 'error',
    },
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, port: Number(line.split(':').at(-1)) };
}

function load(program: string, plan: LoadPlan): Promise<LoadResult> {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(plan));
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    child.once('close', (code) => {
      const result: LoadResult | undefined = code === 0 ? JSON.parse(text) : undefined;
      if (result === undefined || result.failed > 0) reject(new Error(`the load failed: ${text}`));
      else resolve(result);
    });
  });
}

/** Fills a vault with organizations of `credentials` credentials each; returns the keys of `users` users over them. */
async function fill(
  home: string,
  organizations: number,
  credentials: number,
  users: number,
): Promise<string[]> {
  const composition = compose({
    env: { KEYHOLD_HOME: home },
    promptSecret: async () => undefined,
    now: () => new Date(),
  });
  const vault = await composition.openVault('if_new', 'library');
  const keys: string[] = [];
  for (let at = 0; at < Math.max(users, organizations); at++) {
    const organization = `org-${at % organizations}`;
    const operator = composition.caller('library');
    const { key } = await vault.api_keys.create(operator, { organization, user: `user-${at}` });
    const caller = await vault.api_keys.authenticate(key, 'rest', operator.request_id);
    await vault.stacks.addService(caller, 'default', SERVICE, null);
    await vault.update(caller, { service_id: SERVICE, credentials: JSON.parse(BODY).credentials });
    if (at < users) keys.push(key);
    if (at >= organizations) continue;
    let next = 0;
    const store = async () => {
      while (next < credentials) {
        const name = `n${next++}`;
        await vault.update(caller, { service_id: SERVICE, name, credentials: JSON.parse(BODY).credentials });
      }
    };
    await Promise.all(Array.from({ length: Math.min(256, credentials) }, store));
  }
  await vault.close();
  return keys;
}

function requests(keys: readonly string[], method: 'GET' | 'PUT'): LoadRequest[] {
  return keys.map((key) => ({
    method,
    path: PATH,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(method === 'PUT' ? { body: BODY } : {}),
  }));
}

function toolCalls(keys: readonly string[], name: string): LoadRequest[] {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: { service_id: SERVICE } },
  });
  return keys.map((key) => ({
    method: 'POST',
    path: '/mcp',
    headers: {
      Authorization: `Bearer ${key}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2025-11-25',
    },
    body,
  }));
}

/** `commits_per_second`: commits of one caller of the bare database, measured in the same run. */
export async function benchHttp(
  programs: HttpPrograms,
  folder: string,
  commits_per_second: number,
  large: { readonly organizations: number; readonly credentials: number },
  print: (text: string) => void,
): Promise<Row[]> {
  const small_home = join(folder, 'http');
  const large_home = join(folder, 'http-large');
  const keys = await fill(small_home, 1, 10, CONNECTIONS);
  print(`  ${large.organizations} organizations with ${large.credentials} credentials each ...`);
  const large_keys = await fill(large_home, large.organizations, large.credentials, CONNECTIONS);
  const bare = await listen(programs.bare_http, [], folder);
  const keyhold = await listen(programs.keyhold, ['serve'], small_home);
  const crowded = await listen(programs.keyhold, ['serve'], large_home);
  const plans = {
    baseline_get: { port: bare.port, requests: requests(keys, 'GET') },
    get: { port: keyhold.port, requests: requests(keys, 'GET') },
    baseline_put: { port: bare.port, requests: requests(keys, 'PUT') },
    put: { port: keyhold.port, requests: requests(keys, 'PUT') },
    baseline_mcp: { port: bare.port, requests: toolCalls(keys, 'no_op') },
    mcp: { port: keyhold.port, requests: toolCalls(keys, 'get_credential_status') },
    crowded_get: { port: crowded.port, requests: requests(large_keys, 'GET') },
  };
  const results = new Map<keyof typeof plans, LoadResult[]>();
  const names = Object.keys(plans) as (keyof typeof plans)[];
  for (let round = -1; round < ROUNDS; round++) {
    for (const name of names) {
      const result = await load(programs.load, {
        ...plans[name],
        connections: CONNECTIONS,
        seconds: SECONDS,
      });
      // The first round warms up.
      if (round >= 0) results.set(name, [...(results.get(name) ?? []), result]);
    }
  }
  for (const { child } of [bare, keyhold, crowded]) child.kill('SIGTERM');
  const of = (name: keyof typeof plans, pick: (result: LoadResult) => number) =>
    median((results.get(name) ?? []).map(pick));
  const rate = (name: keyof typeof plans) => of(name, (result) => result.per_second);
  const ratio = (name: keyof typeof plans, baseline: keyof typeof plans) =>
    median(
      (results.get(name) ?? []).map(
        (result, at) => result.per_second / (results.get(baseline)?.[at]?.per_second ?? Number.NaN),
      ),
    );
  const shown = (name: keyof typeof plans) => `${Math.round(rate(name))}/s`;
  const spread = (name: keyof typeof plans) => of(name, ({ p99_us, p50_us }) => p99_us / p50_us);
  const latencies = (name: keyof typeof plans) =>
    `${inMicroseconds(of(name, ({ p50_us }) => p50_us))}, ${inMicroseconds(of(name, ({ p99_us }) => p99_us))}`;
  return [
    atLeast(
      `GET status, ${CONNECTIONS} connections`,
      ratio('get', 'baseline_get'),
      0.5,
      shown('get'),
      shown('baseline_get'),
    ),
    atLeast(
      `PUT credentials, ${CONNECTIONS} connections`,
      ratio('put', 'baseline_put'),
      0.25,
      shown('put'),
      shown('baseline_put'),
    ),
    atLeast(
      "PUT credentials, of the database's one caller",
      rate('put') / commits_per_second,
      2,
      shown('put'),
      `${Math.round(commits_per_second)}/s`,
    ),
    atMost('GET status, p99 against p50', spread('get'), 5, latencies('get'), latencies('baseline_get')),
    atMost('PUT credentials, p99 against p50', spread('put'), 5, latencies('put'), latencies('baseline_put')),
    atLeast(
      'tools/call over HTTP, of a bare server',
      ratio('mcp', 'baseline_mcp'),
      0.8,
      shown('mcp'),
      shown('baseline_mcp'),
    ),
    atMost(
      `GET status, one organization against ${large.organizations} of ${large.credentials} credentials`,
      rate('get') / rate('crowded_get'),
      1.1,
      shown('crowded_get'),
      shown('get'),
    ),
  ];
}
