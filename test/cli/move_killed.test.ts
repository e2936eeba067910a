/**
 * Moves that are killed at random times, in both directions: the vault opens with all that was acknowledged, at most one store
 * accepts writes, and a second run completes the move or cancels it.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { runSize } from '../kit/run_size.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
} from '../kit/servers/postgresql.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import { isFileMoved, rowsOfDatabase, rowsOfFile } from '../kit/vault/moved_rows.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

/** In each direction. */
const KILLS = runSize({ quick: 2, ci: 4, slow: 50 });
const CREDENTIALS = 150;
/** About as long as writes are refused. */
const MARKED_MS = 100;
const TEST_TIMEOUT_MS = 1_800_000;
const PASSWORD = { KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD };

const server = usePostgresql();

interface Killed {
  readonly home: string;
  readonly args: readonly string[];
  /** Of the present store. */
  readonly env: NodeJS.ProcessEnv;
  /** Of the new store. */
  readonly new_env: NodeJS.ProcessEnv;
  /** Fails unless both stores have equal rows. */
  readonly assertEqual: () => Promise<void>;
  /** Whether the present store is marked as moving or moved. */
  readonly isMarked: () => Promise<boolean>;
}

function start({ home, args, env }: Killed) {
  const given = { ...process.env, ...env, KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: given, stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** `mark`: the kill comes that long after the store refuses writes, instead of after the beginning. */
async function run(killed: Killed, kill_after_ms?: number, mark?: 'mark'): Promise<number> {
  const begun_ms = performance.now();
  const child = start(killed);
  const exited = once(child, 'exit');
  if (mark !== undefined)
    while (child.exitCode === null && !(await killed.isMarked())) await new Promise(setImmediate);
  if (kill_after_ms !== undefined) setTimeout(() => child.kill('SIGKILL'), kill_after_ms);
  const [code] = await exited;
  if (kill_after_ms === undefined) expect(code).toBe(0);
  return performance.now() - begun_ms;
}

async function accepts(home: string, env: NodeJS.ProcessEnv, value: string): Promise<boolean> {
  const { code, stderr } = await keyhold(home, ['store', 'github', '--stdin', '--json'], {
    env,
    stdin: value,
  });
  if (code === 0) return true;
  expect((JSON.parse(stderr) as { error: { reason: string } }).error.reason).toMatch(
    /^(?:vault_moved|move_incomplete|vault_missing)$/,
  );
  return false;
}

/** Kills the move, checks both stores, then completes it, or cancels it first. */
async function killAndComplete(
  killed: Killed,
  kill_after_ms: number,
  number: number,
  outcomes: Map<string, number>,
) {
  const { home, args, env, new_env, assertEqual } = killed;
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  // Writes are refused for a short time only: every second kill waits for it.
  if (number % 2 === 0) await run(killed, kill_after_ms);
  else await run(killed, randomInt(MARKED_MS), 'mark');
  await keyholdOk(home, ['status'], { env });
  const before = await accepts(home, env, `value-${number}`);
  const after = await accepts(home, new_env, `value-${number}`);
  expect([before, after]).not.toEqual([true, true]);
  count(after ? 'was complete' : before ? 'before writes were refused' : 'while writes were refused');
  if (!after && number % 4 < 2) {
    await keyholdOk(home, [...args, '--cancel'], { env });
    expect(await accepts(home, env, `after-cancel-${number}`)).toBe(true);
    expect(await accepts(home, new_env, 'x')).toBe(false);
  }
  if (!after) {
    await keyholdOk(home, args, { env });
    // The former store has every write that was acknowledged before.
    await assertEqual();
  }
  expect(await accepts(home, env, 'x')).toBe(false);
}

test.skipIf(NO_POSTGRESQL)(
  'a move that is killed at any time leaves a vault that opens, and is completed or cancelled by a second run',
  async () => {
    const first = newHome();
    onTestFinished(() => removeHome(first));
    const { vault, caller } = await openTestVault(first);
    for (let at = 0; at < CREDENTIALS; at++)
      await vault.store(caller(), {
        service_id: 'linear',
        credential_type: 'api_key',
        credential_value: 'v'.repeat(2_000),
        name: `n${at}`,
      });
    await vault.close();
    const outcomes = new Map<string, number>();
    const home = join(temporaryFolder(), 'home');
    let [there_ms, back_ms] = [0, 0];
    for (let kill = 0; kill <= KILLS; kill++) {
      fs.rmSync(home, { recursive: true, force: true });
      fs.cpSync(first, home, { recursive: true });
      const file = join(home, 'data', 'vault.db');
      const name = await createDatabase(server);
      const uri = `postgres://${POSTGRESQL_OWNER}@127.0.0.1:${server.port}/${name}`;
      const remote = { ...PASSWORD, KEYHOLD_STORE: uri };
      const local = { ...PASSWORD, KEYHOLD_STORE: `sqlite:${file}` };
      const assertEqual = async () =>
        expect(await rowsOfDatabase(server.port, name)).toEqual(rowsOfFile(file));
      const isDatabaseMoved = () =>
        server.query('SELECT 1 FROM keyhold.move', name).then(
          () => true,
          () => false,
        );
      const there = {
        home,
        args: ['move', uri],
        env: local,
        new_env: remote,
        assertEqual,
        isMarked: async () => isFileMoved(file),
      };
      const back = {
        home,
        args: ['move', `sqlite:${file}`],
        env: remote,
        new_env: local,
        assertEqual,
        isMarked: isDatabaseMoved,
      };
      if (kill === 0) {
        there_ms = await run(there);
        back_ms = await run(back);
        continue;
      }
      await killAndComplete(there, randomInt(Math.ceil(there_ms)), kill, outcomes);
      await keyholdOk(home, ['audit', 'verify'], { env: remote });
      await killAndComplete(back, randomInt(Math.ceil(back_ms)), kill, outcomes);
      await keyholdOk(home, ['audit', 'verify'], { env: local });
      expect(fs.readdirSync(join(home, 'data')).filter((one) => one.includes('receiving'))).toEqual([]);
    }
    process.stdout.write(`${2 * KILLS} kills: ${JSON.stringify(Object.fromEntries(outcomes))}\n`);
  },
  TEST_TIMEOUT_MS,
);
