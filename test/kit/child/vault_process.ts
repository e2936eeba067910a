/**
 * Starts child processes that open the same vault: some run operations on request, others write to it. Bundles
 * `vault_program.ts` once per test file and kills remaining processes when a test ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { removeFolder } from '../remove_folder.ts';
import { test_engine } from '../vault/database.ts';
import type { Call, CallResult, ProgramStart, WriterLine, WriterTask } from './vault_program.ts';

const DEFINITIONS = fileURLToPath(new URL('../../../src/services/definitions', import.meta.url));
/** Some bundled packages use `require`, which ES modules do not define. */
const BANNER =
  "import{createRequire as keyholdRequire}from'node:module';const require=keyholdRequire(import.meta.url);";

export interface VaultProcess {
  /** Runs an operation such as `stacks.create`, `times` times, with `#` in texts replaced by the iteration. */
  call(operation: string, caller: Caller, input: readonly unknown[], times?: number): Promise<CallResult>;
  /** Kills the process at once; pending calls never resolve. */
  kill(): void;
}

export interface WriterProcess {
  readonly pid: number;
  /** All lines received so far. */
  readonly lines: readonly WriterLine[];
  /** Resolves with the first line of that event; rejects if the writer exits without one. */
  waitFor<Event extends WriterLine['event']>(event: Event): Promise<Extract<WriterLine, { event: Event }>>;
  /** Makes a writer that is ready start. */
  begin(): void;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process has exited and all its output is in `lines`. */
  readonly exited: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

export interface VaultProcesses {
  /** Starts a process that runs operations; it ends with the test. `env`: further variables of it. */
  open(home: string, env?: NodeJS.ProcessEnv): Promise<VaultProcess>;
  /** Starts a process that performs one task. `pid`: see `ProgramStart`. `env`: further variables of it. */
  startWriter(home: string, task: WriterTask, pid?: number, env?: NodeJS.ProcessEnv): WriterProcess;
}

/** Call once at the top of a test file. */
export function useVaultProcesses(): VaultProcesses {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keyhold-process-'));
    await bundleProgram('vault_program', folder);
  });
  afterAll(() => removeFolder(folder));
  const start = (
    home: string,
    more: Omit<ProgramStart, 'env'>,
    own_env: NodeJS.ProcessEnv = {},
  ): ChildProcess => {
    const env = { KEYHOLD_HOME: home, ...test_engine.settings(home), ...own_env };
    const argument: ProgramStart = { env, ...more };
    const args = [join(folder, 'program.mjs'), JSON.stringify(argument)];
    const child = spawn(process.execPath, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...own_env },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdin.on('error', () => undefined);
    return child;
  };
  return {
    open: (home, env) => connect(start(home, {}, env)),
    startWriter: (home, task, pid, env) =>
      watchWriter(start(home, { task, ...(pid === undefined ? {} : { pid }) }, env)),
  };
}

/** Bundles a program of this folder, with the definitions that it reads. Returns the path of the bundle. */
export async function bundleProgram(name: string, folder: string): Promise<string> {
  const bundle = join(folder, 'program.mjs');
  // The driver has a native addon, which cannot be bundled.
  const driver = pathToFileURL(createRequire(import.meta.url).resolve('better-sqlite3')).href;
  await build({
    entryPoints: [fileURLToPath(new URL(`./${name}.ts`, import.meta.url))],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.12',
    mainFields: ['module', 'main'],
    banner: { js: BANNER },
    // Optional, and not always compiled.
    external: ['cpu-features', '@napi-rs/keyring', '*.node'],
    logLevel: 'warning',
    plugins: [
      {
        name: 'driver',
        setup: (on) => on.onResolve({ filter: /^better-sqlite3$/ }, () => ({ path: driver, external: true })),
      },
    ],
  });
  cpSync(DEFINITIONS, join(folder, 'definitions'), { recursive: true });
  return bundle;
}

async function connect(child: ChildProcess): Promise<VaultProcess> {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null) throw new Error('the child process has no pipes');
  stderr?.pipe(process.stderr, { end: false });
  const pending = new Map<number, (result: CallResult) => void>();
  let number = 0;
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error('the child process ended')));
    createInterface({ input: stdout }).on('line', (text) => {
      const line: CallResult | WriterLine = JSON.parse(text);
      if ('event' in line) return resolve();
      pending.get(line.number)?.(line);
      pending.delete(line.number);
    });
  });
  return {
    kill: () => void child.kill('SIGKILL'),
    call: (operation, { scopes, services, tools, ...rest }, input, times = 1) =>
      new Promise((resolve) => {
        const caller = {
          ...rest,
          scopes: [...scopes],
          ...(services === undefined ? {} : { services: [...services] }),
          ...(tools === undefined ? {} : { tools: [...tools] }),
        };
        const call: Call = { number: ++number, caller, operation, input, times };
        pending.set(call.number, resolve);
        stdin.write(`${JSON.stringify(call)}\n`);
      }),
  };
}

function watchWriter(child: ChildProcess): WriterProcess {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the child process has no pipes');
  const lines: WriterLine[] = [];
  const listeners = new Set<() => void>();
  const notify = () => {
    for (const listener of listeners) listener();
  };
  createInterface({ input: stdout }).on('line', (text) => {
    const line = parseLine(text);
    if (line !== undefined) lines.push(line);
    notify();
  });
  let has_exited = false;
  const exited = waitForExit(child).finally(() => {
    has_exited = true;
    notify();
  });
  return {
    pid: child.pid ?? -1,
    lines,
    exited,
    begin: () => void stdin.write('begin\n'),
    signal: (signal) => void child.kill(signal),
    waitFor: (event) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const found = lines.find(
            (line): line is Extract<WriterLine, { event: typeof event }> => line.event === event,
          );
          if (found === undefined && !has_exited) return;
          listeners.delete(check);
          if (found !== undefined) resolve(found);
          else reject(new Error(`the writer exited without "${event}": ${JSON.stringify(lines.at(-1))}`));
        };
        listeners.add(check);
        check();
      }),
  };
}

function waitForExit(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stderr }));
  });
}

/** `undefined` for the incomplete last line of a killed process. */
function parseLine(text: string): WriterLine | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
