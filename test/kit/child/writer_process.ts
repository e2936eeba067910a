/**
 * Starts child processes that write to the same vault. Bundles `writer_program.ts` once per test file and kills
 * remaining processes when a test ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { WriterLine, WriterStart } from './writer_program.ts';

const SOURCE = fileURLToPath(new URL('./writer_program.ts', import.meta.url));
const DEFINITIONS = fileURLToPath(new URL('../../../src/services/definitions', import.meta.url));
/** Some bundled packages use `require`, which ES modules do not define. */
const BANNER =
  "import{createRequire as keyholdRequire}from'node:module';const require=keyholdRequire(import.meta.url);";

export interface Writer {
  readonly pid: number;
  /** All lines received so far. */
  readonly lines: readonly WriterLine[];
  /** Resolves with the first line of that kind; rejects if the writer exits without one. */
  said<Kind extends WriterLine['said']>(kind: Kind): Promise<Extract<WriterLine, { said: Kind }>>;
  /** Makes a writer that is ready start. */
  go(): void;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process has exited and all its output is in `lines`. */
  readonly gone: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

export interface Writers {
  start(order: WriterStart): Writer;
}

/** Call once at the top of a test file. */
export function useWriters(): Writers {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keyhold-writer-'));
    await bundleProgram(SOURCE, join(folder, 'writer.mjs'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return { start: (order) => startWriter(join(folder, 'writer.mjs'), order) };
}

/** Bundles a TypeScript program into one file, with the service definitions next to it. */
export async function bundleProgram(source: string, outfile: string): Promise<void> {
  // The driver has a native addon, which cannot be bundled.
  const driver = pathToFileURL(createRequire(import.meta.url).resolve('better-sqlite3')).href;
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.12',
    mainFields: ['module', 'main'],
    banner: { js: BANNER },
    logLevel: 'warning',
    plugins: [
      {
        name: 'driver',
        setup: (on) => on.onResolve({ filter: /^better-sqlite3$/ }, () => ({ path: driver, external: true })),
      },
    ],
  });
  cpSync(DEFINITIONS, join(dirname(outfile), 'definitions'), { recursive: true });
}

function startWriter(program: string, order: WriterStart): Writer {
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.on('error', () => undefined);
  const lines: WriterLine[] = [];
  const waiting = new Set<() => void>();
  const tell = () => {
    for (const look of waiting) look();
  };
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parseWhole(text);
    if (line !== undefined) lines.push(line);
    tell();
  });
  let ended = false;
  const gone = whenGone(child).finally(() => {
    ended = true;
    tell();
  });
  return {
    pid: child.pid ?? -1,
    lines,
    gone,
    go: () => void child.stdin.write('go\n'),
    signal: (signal) => void child.kill(signal),
    said: (kind) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(
            (line): line is Extract<WriterLine, { said: typeof kind }> => line.said === kind,
          );
          if (found === undefined && !ended) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else
            reject(new Error(`the writer ended without saying "${kind}": ${JSON.stringify(lines.at(-1))}`));
        };
        waiting.add(look);
        look();
      }),
  };
}

async function whenGone(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
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
function parseWhole(text: string): WriterLine | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
