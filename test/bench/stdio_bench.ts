/** `keyhold mcp` compared with a server with one tool that does nothing, bundled the same way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { atMost, inMicroseconds, inMilliseconds, median, type Row } from './report.ts';

interface Server {
  readonly child: ChildProcess;
  request(method: string, params?: unknown): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

function start(program: string, args: readonly string[], home: string): Server {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, KEYHOLD_HOME: home },
  });
  const waiting = new Map<number, (result: Record<string, unknown>) => void>();
  let id = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as { id: number; result?: Record<string, unknown>; error?: unknown };
    if (message.error !== undefined) throw new Error(`the server returned an error: ${line}`);
    waiting.get(message.id)?.(message.result ?? {});
    waiting.delete(message.id);
  });
  return {
    child,
    request(method, params = {}) {
      const mine = ++id;
      const result = new Promise<Record<string, unknown>>((resolve) => waiting.set(mine, resolve));
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: mine, method, params })}\n`);
      return result;
    },
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.stdin.end();
      }),
  };
}

async function initialize(server: Server): Promise<void> {
  await server.request('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1.0.0' },
  });
  server.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
}

/** Peak resident memory of a process in MiB, from the kernel. */
function peakMemory({ child }: Server): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
  return Number(line?.[1]) / 1024;
}

export interface Programs {
  readonly keyhold: string;
  readonly bare: string;
  readonly home: string;
}

const STARTS = 21;

export async function benchStart({ keyhold, bare, home }: Programs): Promise<Row[]> {
  const times = { keyhold: [] as number[], bare: [] as number[] };
  const memory = { keyhold: [] as number[], bare: [] as number[] };
  for (let round = 0; round < STARTS; round++) {
    for (const [which, program, args] of [
      ['bare', bare, []],
      ['keyhold', keyhold, ['mcp']],
    ] as const) {
      const began = performance.now();
      const server = start(program, args, home);
      await initialize(server);
      await server.request('tools/list');
      times[which].push(performance.now() - began);
      memory[which].push(peakMemory(server));
      await server.stop();
    }
  }
  const [measured, baseline] = [median(times.keyhold), median(times.bare)];
  const [measured_memory, baseline_memory] = [median(memory.keyhold), median(memory.bare)];
  return [
    atMost(
      'cold start to tools/list',
      measured / baseline,
      1.25,
      inMilliseconds(measured),
      inMilliseconds(baseline),
    ),
    atMost(
      'peak memory after tools/list',
      measured_memory / baseline_memory,
      1.5,
      `${measured_memory.toFixed(0)} MiB`,
      `${baseline_memory.toFixed(0)} MiB`,
    ),
  ];
}

const CALL_ROUNDS = 10;
const CALLS_PER_ROUND = 200;

export async function benchCalls({ keyhold, bare, home }: Programs): Promise<Row[]> {
  const vault = start(keyhold, ['mcp'], home);
  const baseline = start(bare, [], home);
  await Promise.all([initialize(vault), initialize(baseline)]);
  const store = (at: number) => ({
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_0123456789',
    name: `bench ${at}`,
  });
  const calls = {
    no_op: () => baseline.request('tools/call', { name: 'no_op', arguments: { service_id: 'linear' } }),
    status: () =>
      vault.request('tools/call', {
        name: 'get_credential_status',
        arguments: { service_id: 'linear', name: 'bench 1' },
      }),
    store: (at: number) => vault.request('tools/call', { name: 'store_credential', arguments: store(at) }),
  };
  const p50s: Record<keyof typeof calls, number[]> = { no_op: [], status: [], store: [] };
  for (let round = -1; round < CALL_ROUNDS; round++) {
    for (const which of ['no_op', 'store', 'status'] as const) {
      const each: number[] = [];
      for (let at = 0; at < CALLS_PER_ROUND; at++) {
        const began = performance.now();
        const result = await calls[which](at);
        each.push((performance.now() - began) * 1000);
        if (result.isError === true) throw new Error(`the call failed: ${JSON.stringify(result)}`);
      }
      // The first round warms up.
      if (round >= 0) p50s[which].push(median(each));
    }
  }
  const memory = [peakMemory(vault), peakMemory(baseline)] as const;
  await Promise.all([vault.stop(), baseline.stop()]);
  const [no_op, status, stored] = [median(p50s.no_op), median(p50s.status), median(p50s.store)];
  return [
    atMost(
      'get_credential_status over stdio, p50',
      status / no_op,
      1.3,
      inMicroseconds(status),
      inMicroseconds(no_op),
    ),
    atMost(
      'store_credential over stdio, p50',
      stored / no_op,
      3,
      inMicroseconds(stored),
      inMicroseconds(no_op),
    ),
    atMost(
      'peak memory after those calls',
      memory[0] / memory[1],
      1.5,
      `${memory[0].toFixed(0)} MiB`,
      `${memory[1].toFixed(0)} MiB`,
    ),
  ];
}
