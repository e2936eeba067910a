/**
 * Runs command lines with the canary in them, the built program or in this process, and holds everything that they
 * show and leave behind against it.
 */

import { expect } from 'vitest';
import type { CliContext } from '../../src/cli/context.ts';
import { type Canary, findCanary, findCanaryInFiles } from '../kit/canary.ts';
import { type Finished, runProgram } from '../kit/child/built_program.ts';
import { keyhold } from '../kit/child/cli.ts';
import { openTestDatabase } from '../kit/vault/database.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

export interface Run {
  readonly args: readonly string[];
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The exit code, as the table of errors has it. */
  readonly code: number;
}

export const OK = 0;
export const INVALID_INPUT = 2;
export const NOT_FOUND = 5;
export const LOCKED = 10;
export const WRONG_KEY = 11;

/** As many at once as a small machine can take. */
const RUNS_AT_ONCE = 4;
const SLOW = process.env.SLOW === '1';

/** A home with a vault that holds the canary in three services. */
export async function homeWith({ value }: Canary): Promise<string> {
  const { home, vault, caller } = await openTestVault();
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: value });
  await vault.store(caller(), { service_id: 'openai', credential_type: 'bearer', credential_value: value });
  await vault.update(caller(), { service_id: 'gmail', credentials: { gmail_oauth_token: value } });
  await vault.close();
  return home;
}

type Seen = Pick<Finished, 'code' | 'stdout' | 'stderr'>;

/**
 * Runs all of these, a few at once. What succeeds is run by the built program; what is refused in this process, which
 * takes a tenth of the time, with a log that keeps what it is given.
 */
export async function runAll(
  home: string,
  runs: readonly Run[],
  built = SLOW,
): Promise<(readonly [Run, Seen])[]> {
  const waiting = [...runs];
  const finished: (readonly [Run, Seen])[] = [];
  const take = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const seen = built || run.code === OK ? runBuilt(home, run) : runHere(home, run);
      finished.push([run, await seen]);
    }
  };
  await Promise.all(Array.from({ length: RUNS_AT_ONCE }, take));
  return finished;
}

function runBuilt(home: string, { args, env, input }: Run): Promise<Seen> {
  return runProgram(args, {
    env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug', ...env },
    cwd: home,
    ...(input === undefined ? {} : { input }),
  });
}

async function runHere(home: string, { args, env = {}, input = '' }: Run): Promise<Seen> {
  const logged: unknown[] = [];
  const keep = (...line: unknown[]) => void logged.push(line);
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const change = (app: CliContext): CliContext => ({ ...app, log: async () => log });
  const { code, stdout, stderr } = await keyhold(home, args, { env, stdin: input, change });
  // Every failure is logged but what the doctor finds; else nothing of a log would be looked at here.
  if (args[0] !== 'doctor') expect(logged.length, args.join(' ')).toBeGreaterThan(0);
  return { code, stdout, stderr: `${stderr}${logged.map((line) => JSON.stringify(line)).join('\n')}` };
}

/** Runs all of these, none of which may show the canary; nor may the files and the audit log afterwards. */
export async function expectUnseen(
  home: string,
  canary: Canary,
  runs: readonly Run[],
  built = SLOW,
): Promise<void> {
  for (const [{ args, code }, { code: ended, stdout, stderr }] of await runAll(home, runs, built)) {
    const what = `keyhold ${args.join(' ').slice(0, 200)}\n${stdout}\n${stderr}`;
    expect(ended, what).toBe(code);
    expect(findCanary(stdout, canary), what).toStrictEqual([]);
    expect(findCanary(stderr, canary), what).toStrictEqual([]);
    // A stack trace of Node.js may quote anything, so every failure must have a message of Keyhold.
    expect(stderr, what).not.toMatch(/^ {4}at |Node\.js v/m);
  }
  await expectNothingLeft(home, canary);
}

async function expectNothingLeft(home: string, canary: Canary): Promise<void> {
  expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
  if (!openTestDatabase(home).exists()) return;
  const audit = await keyhold(home, ['audit', 'list', '--limit', '100', '--json']);
  expect(audit.code).toBe(OK);
  expect(findCanary(audit.stdout + audit.stderr, canary)).toStrictEqual([]);
}

/** Options that there are not, with the canary in them. */
export function wrongOptions({ value, word }: Canary, ...command: string[]): Run[] {
  const forms = [[`--${word}=${value}`, '--json'], ['--value', value], [`--${word}`], [`-x${word}`]];
  return forms.map((words) => ({ args: [...command, ...words], code: INVALID_INPUT }));
}
