/**
 * Backups and restores that are killed at random times: the vault opens with all that was acknowledged, a backup has its name only
 * when it is complete, and a second run finishes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { runSize } from '../kit/run_size.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

/** Of each command. */
const KILLS = runSize({ quick: 2, ci: 8, slow: 100 });
const CREDENTIALS = 150;
const TEST_TIMEOUT_MS = 3_600_000;

async function filledHome(): Promise<string> {
  const home = newHome();
  onTestFinished(() => removeHome(home));
  const { vault, caller } = await openTestVault(home);
  const value = 'v'.repeat(2_000);
  for (let at = 0; at < CREDENTIALS; at++)
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: value,
      name: `n${at}`,
    });
  await vault.close();
  return home;
}

function start(home: string, args: readonly string[]): ChildProcess {
  const env = { ...process.env, KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** The time of a whole run. */
async function durationOf(home: string, args: readonly string[]): Promise<number> {
  const begun_ms = performance.now();
  const [code] = await once(start(home, args), 'exit');
  expect(code).toBe(0);
  return performance.now() - begun_ms;
}

/** Starts the command and kills it at a random time. Returns whether it had ended before. */
async function killAtRandom(home: string, args: readonly string[], duration_ms: number): Promise<boolean> {
  const child = start(home, args);
  const exited = once(child, 'exit');
  setTimeout(() => child.kill('SIGKILL'), randomInt(Math.ceil(duration_ms)));
  const [code] = await exited;
  return code === 0;
}

async function countOf(home: string): Promise<number> {
  const { vault, caller } = await openTestVault(home, {}, 'no');
  const report = await vault.verifyAudit(caller());
  await vault.close();
  expect(report.findings.filter(({ kind }) => kind !== 'vault_rolled_back')).toEqual([]);
  return report.credentials;
}

test(
  'a backup that is killed at any time leaves no partial file under its name, and can be made again',
  async () => {
    const home = await filledHome();
    const folder = temporaryFolder();
    const file = join(folder, 'vault.backup');
    const duration_ms = await durationOf(home, ['backup', join(temporaryFolder(), 'first.backup')]);
    let ended = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      if (await killAtRandom(home, ['backup', '--force', file], duration_ms)) ended += 1;
      expect(await countOf(home)).toBe(CREDENTIALS);
      if (!fs.existsSync(file)) continue;
      await keyholdOk(home, ['backup', 'verify', file]);
      fs.rmSync(file);
    }
    expect(ended).toBeLessThan(KILLS);
    await keyholdOk(home, ['backup', '--force', file]);
    expect(fs.readdirSync(folder)).toEqual(['vault.backup']);
    const other = newHome();
    onTestFinished(() => removeHome(other));
    fs.mkdirSync(other, { mode: 0o700 });
    fs.cpSync(join(home, 'keys'), join(other, 'keys'), { recursive: true });
    await keyholdOk(other, ['restore', file]);
    await keyholdOk(other, ['audit', 'verify']);
    expect(await readStoredRecords(other)).toEqual(await readStoredRecords(home));
  },
  TEST_TIMEOUT_MS,
);

test(
  'a restore that is killed at any time leaves the former vault or the restored one, and a second run finishes',
  async () => {
    const home = await filledHome();
    const file = join(temporaryFolder(), 'vault.backup');
    await keyholdOk(home, ['backup', file]);
    const records = await readStoredRecords(home);
    await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-newer-value' });
    const newer = join(temporaryFolder(), 'newer');
    fs.cpSync(home, newer, { recursive: true });
    const measured = join(temporaryFolder(), 'measured');
    fs.cpSync(newer, measured, { recursive: true });
    const duration_ms = await durationOf(measured, ['restore', '--replace', file]);
    const vault = join(home, 'data', 'vault.db');
    let ended = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      fs.rmSync(home, { recursive: true });
      fs.cpSync(newer, home, { recursive: true });
      if (await killAtRandom(home, ['restore', '--replace', file], duration_ms)) ended += 1;
      expect([CREDENTIALS, CREDENTIALS + 1]).toContain(await countOf(home));
      const { code, stderr } = await keyhold(home, ['restore', '--replace', file]);
      expect([code, stderr]).toEqual([0, '']);
      await keyholdOk(home, ['audit', 'verify']);
      expect(await readStoredRecords(home)).toEqual(records);
      const left = fs.readdirSync(join(home, 'data')).filter((name) => name.includes('receiving'));
      expect(left).toEqual([]);
      expect(fs.existsSync(`${vault}-journal`)).toBe(false);
    }
    expect(ended).toBeLessThan(KILLS);
  },
  TEST_TIMEOUT_MS,
);
