/** Runs the built program as a user does. `npm test` builds it first. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { test_engine } from '../vault/database.ts';

export const PROGRAM: string = fileURLToPath(new URL('../../../dist/keyhold.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly uid?: number;
  readonly cwd?: string;
}

/** Passes on PATH only, so that the developer's environment does not affect tests. */
function environment(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const store = env.KEYHOLD_HOME === undefined ? {} : test_engine.settings(env.KEYHOLD_HOME);
  return { PATH: process.env.PATH, HOME: env.KEYHOLD_HOME ?? '/nonexistent', ...store, ...env };
}

/** Starts the program and kills it when the test ends. */
export function startProgram(args: readonly string[], { env, uid, cwd }: RunOptions = {}): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: environment(env),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
    ...(cwd === undefined ? {} : { cwd }),
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Runs the program until it exits. */
export async function runProgram(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = startProgram(args, options);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => undefined).end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
