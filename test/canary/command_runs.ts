/**
 * Runs command lines that contain the canary, with the built program or in this process, and searches their output, the
 * files and the audit log for it.
 */

import { expect } from 'vitest';
import type { ProgramContext } from '../../src/cli/context.ts';
import { type Canary, findCanary, findCanaryInFiles } from '../kit/canary.ts';
import { type Finished, runProgram } from '../kit/child/built_program.ts';
import { keyhold } from '../kit/child/cli.ts';
import { IS_SLOW } from '../kit/run_size.ts';
import { openTestDatabase } from '../kit/vault/database.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

export interface Run {
  readonly args: readonly string[];
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The expected exit code. */
  readonly code: number;
}

export const OK = 0;
export const INVALID_INPUT = 2;
export const NOT_FOUND = 5;
export const LOCKED = 10;
export const WRONG_KEY = 11;

/** Suits a machine with two cores. */
const RUNS_AT_ONCE = 4;

/** Creates a home whose vault contains the canary in credentials of three services. */
export async function createHomeWith({ value }: Canary): Promise<string> {
  const { home, vault, caller } = await openTestVault();
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: value });
  await vault.store(caller(), { service_id: 'openai', credential_type: 'bearer', credential_value: value });
  await vault.update(caller(), { service_id: 'gmail', credentials: { gmail_oauth_token: value } });
  await vault.close();
  return home;
}

type RunResult = Pick<Finished, 'code' | 'stdout' | 'stderr'>;

/**
 * Runs the command lines, a few at a time. The built program runs those that must succeed, or all if `built` is true. The
 * others run in this process, which takes a tenth of the time, and their log becomes part of `stderr`.
 */
export async function runAll(
  home: string,
  runs: readonly Run[],
  built = IS_SLOW,
): Promise<(readonly [Run, RunResult])[]> {
  const waiting = [...runs];
  const finished: (readonly [Run, RunResult])[] = [];
  const runNext = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const result = built || run.code === OK ? runBuilt(home, run) : runInProcess(home, run);
      finished.push([run, await result]);
    }
  };
  await Promise.all(Array.from({ length: RUNS_AT_ONCE }, runNext));
  return finished;
}

function runBuilt(home: string, { args, env, input }: Run): Promise<RunResult> {
  return runProgram(args, {
    env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug', ...env },
    cwd: home,
    ...(input === undefined ? {} : { input }),
  });
}

async function runInProcess(home: string, { args, env = {}, input = '' }: Run): Promise<RunResult> {
  const logged: unknown[] = [];
  const record = (...line: unknown[]) => void logged.push(line);
  const log = { debug: record, info: record, warn: record, error: record };
  const change = (app: ProgramContext): ProgramContext => ({ ...app, log: async () => log });
  const { code, stdout, stderr } = await keyhold(home, args, { env, stdin: input, change });
  // Every command except doctor logs a failure. An empty log would make its search meaningless.
  if (args[0] !== 'doctor') expect(logged.length, args.join(' ')).toBeGreaterThan(0);
  return { code, stdout, stderr: `${stderr}${logged.map((line) => JSON.stringify(line)).join('\n')}` };
}

/** Runs the command lines and fails if their output, the files or the audit log contain the canary. */
export async function expectNoLeak(
  home: string,
  canary: Canary,
  runs: readonly Run[],
  built = IS_SLOW,
): Promise<void> {
  for (const [{ args, code }, { code: exit_code, stdout, stderr }] of await runAll(home, runs, built)) {
    const label = `keyhold ${args.join(' ').slice(0, 200)}\n${stdout}\n${stderr}`;
    expect(exit_code, label).toBe(code);
    expect(findCanary(stdout, canary), label).toStrictEqual([]);
    expect(findCanary(stderr, canary), label).toStrictEqual([]);
    // A stack trace of Node.js may quote anything, so every failure must have a message of Keyhold.
    expect(stderr, label).not.toMatch(/^ {4}at |Node\.js v/m);
  }
  await expectNoLeakInFiles(home, canary);
}

async function expectNoLeakInFiles(home: string, canary: Canary): Promise<void> {
  expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
  if (!(await openTestDatabase(home).exists())) return;
  const audit = await keyhold(home, ['audit', 'list', '--limit', '100', '--json']);
  expect(audit.code).toBe(OK);
  expect(findCanary(audit.stdout + audit.stderr, canary)).toStrictEqual([]);
}

/** Command lines with unknown options that contain the canary. */
export function unknownOptions({ value, word }: Canary, ...command: string[]): Run[] {
  const variants = [[`--${word}=${value}`, '--json'], ['--value', value], [`--${word}`], [`-x${word}`]];
  return variants.map((words) => ({ args: [...command, ...words], code: INVALID_INPUT }));
}
