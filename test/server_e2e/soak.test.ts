/**
 * A server under steady load through every dialect and tool: no request fails, responses match the OpenAPI document, and
 * memory and open files do not grow after the warm-up.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startServeProcess } from '../kit/http/http_server.ts';
import type { TestRequest } from '../kit/http/in_process_server.ts';
import type { KeepAliveResponse } from '../kit/http/keep_alive.ts';
import { type OpenApiDocument, OpenApiValidator } from '../kit/http/openapi_validator.ts';
import { runSize } from '../kit/run_size.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { type LoadReport, lostWrites, runWriter } from './load/load.ts';
import { inVault, prepareWriters } from './load/targets.ts';

const CONNECTIONS = 64;
const SECONDS = runSize({ quick: 15, ci: 40, slow: 600 });
const SAMPLE_EVERY_MS = 500;
/** A small heap is collected often, so that the memory of the process shows what it needs. */
const ENV = { KEYHOLD_LOG: 'warn', NODE_OPTIONS: '--max-old-space-size=96 --max-semi-space-size=4' };
/** From the second quarter of the time to the last: the database's own cache takes up to half of it. */
const MEMORY_MAY_GROW_MB = 32;
const FILES_MAY_GROW = 4;
/** One of this many responses is validated against the document. */
const CHECKED_EVERY = 10;

interface Sample {
  readonly memory_mb: number;
  readonly files: number;
}

function sampleOf(pid: number): Sample {
  const [, resident_kb = '0'] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return { memory_mb: Number(resident_kb) / 1024, files: readdirSync(`/proc/${pid}/fd`).length };
}

/** Validates responses against the server's own OpenAPI document. */
async function checker(
  url: string,
): Promise<{ readonly faults: string[]; see(request: TestRequest, response: KeepAliveResponse): void }> {
  const document: OpenApiDocument = JSON.parse(await (await fetch(`${url}/openapi.json`)).text());
  const described = new OpenApiValidator(document);
  const faults: string[] = [];
  let seen = 0;
  return {
    faults,
    see({ method, path }, { status, headers, text }) {
      const name = described.names().find((one) => isOf(one, method, path));
      if (seen++ % CHECKED_EVERY !== 0 || name === undefined) return;
      const route = name.split(' ')[1]?.replaceAll(/\{(\w+)\}/g, ':$1') ?? '';
      faults.push(...described.findViolations(method, { status, headers, text, area: 'unknown', route }));
    },
  };
}

function isOf(name: string, method: string, path: string): boolean {
  const [of_method, template = ''] = name.split(' ');
  const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
  return of_method === method && pattern.test(path.split('?')[0] ?? '');
}

test.runIf(process.platform === 'linux')(
  `a server with ${CONNECTIONS} connections for ${SECONDS} seconds leaks no memory and no files`,
  async () => {
    const home = temporaryFolder();
    const writers = await prepareWriters(home, CONNECTIONS);
    const server = await startServeProcess({ home, env: ENV });
    const at_rest = sampleOf(server.pid);
    const { faults, see } = await checker(server.url);
    const report: LoadReport = { requests: 0, faults: [], connections: 0, refused: 0 };
    const until = Date.now() + SECONDS * 1_000;
    const ended = Promise.all(
      writers.map((writer) => runWriter(server.url, writer, report, () => Date.now() > until, see)),
    );
    const samples: Sample[] = [];
    while (Date.now() < until) {
      await sleep(SAMPLE_EVERY_MS);
      samples.push(sampleOf(server.pid));
    }
    await ended;
    const quarter = Math.floor(samples.length / 4);
    const [warm, last] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
    const memory = [warm, last].map((some) => median(some.map(({ memory_mb }) => memory_mb)));
    const files = [warm, last].map((some) => Math.max(...some.map((sample) => sample.files)));
    const peak = Math.max(...samples.map(({ memory_mb }) => memory_mb));
    console.log(
      `${report.requests} requests; MB: ${at_rest.memory_mb.toFixed(0)} at rest, ${memory.map((mb) => mb.toFixed(0)).join(' then ')}, ${peak.toFixed(0)} at most; files: ${at_rest.files} at rest, ${files.join(' then ')}`,
    );
    expect(report).toMatchObject({ faults: [], refused: 0 });
    expect(faults).toEqual([]);
    expect((memory[1] ?? 0) - (memory[0] ?? 0)).toBeLessThan(MEMORY_MAY_GROW_MB);
    expect((files[1] ?? 0) - (files[0] ?? 0)).toBeLessThanOrEqual(FILES_MAY_GROW);
    await expect
      .poll(() => sampleOf(server.pid).files, { timeout: 5_000 })
      .toBeLessThanOrEqual(at_rest.files + FILES_MAY_GROW);
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(server.stderr()).toBe('');
    await inVault(home, async (tenants) => {
      expect(await lostWrites(tenants, writers)).toEqual([]);
      expect(await tenants.vault.verifyAudit(tenants.operator())).toMatchObject({ ok: true });
    });
  },
  SECONDS * 1_000 + 120_000,
);

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}
