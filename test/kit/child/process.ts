/** Starts child processes that open the same vault and run operations on request. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { Call, CallResult } from './program.ts';
import { bundleProgram } from './writer_process.ts';

const SOURCE = fileURLToPath(new URL('./program.ts', import.meta.url));

export interface VaultProcess {
  /** Runs an operation such as `stacks.create`, `times` times, with `#` in texts replaced by the iteration. */
  call(what: string, caller: Caller, input: readonly unknown[], times?: number): Promise<CallResult>;
  /** Kills the process at once; pending calls never resolve. */
  kill(): void;
}

/**
 * Call once at the top of a test file. The returned function starts a process on a home, which ends with the test.
 */
export function useVaultProcesses(): (home: string) => Promise<VaultProcess> {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keyhold-other-'));
    await bundleProgram(SOURCE, join(folder, 'other.mjs'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (home) => start(join(folder, 'other.mjs'), home);
}

async function start(program: string, home: string): Promise<VaultProcess> {
  const child = spawn(process.execPath, [program, home], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const waiting = new Map<number, (answer: CallResult) => void>();
  let number = 0;
  const ready = new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error('the other process ended')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said: CallResult | 'ready' = JSON.parse(line);
      if (said === 'ready') return resolve();
      waiting.get(said.number)?.(said);
      waiting.delete(said.number);
    });
  });
  await ready;
  return {
    kill: () => void child.kill('SIGKILL'),
    call: (what, { scopes, services, tools, ...rest }, input, times = 1) =>
      new Promise((resolve) => {
        const call: Call = {
          number: ++number,
          caller: {
            ...rest,
            scopes: [...scopes],
            ...(services === undefined ? {} : { services: [...services] }),
            ...(tools === undefined ? {} : { tools: [...tools] }),
          },
          what,
          input,
          times,
        };
        waiting.set(call.number, resolve);
        child.stdin.write(`${JSON.stringify(call)}\n`);
      }),
  };
}
