/**
 * Backups and restores of both engines that are killed at random times: the vault opens with all that was acknowledged, a backup
 * has its name only when it is complete, and a second run finishes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { keyhold, keyholdOk } from '../kit/child/cli.ts';
import { runSize } from '../kit/run_size.ts';
import { NO_POSTGRESQL } from '../kit/servers/postgresql.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import { copyRootKey, databaseSite, fileSite, type Site } from '../kit/vault/sites.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

/** Of each command and engine. */
const KILLS = runSize({ quick: 2, ci: 6, slow: 100 });
/** Of runs that end before their kill. */
const ENDED_RUNS_MAX = 10 * KILLS;
const CREDENTIALS = 150;
const TEST_TIMEOUT_MS = 3_600_000;

const server = usePostgresql();

/** The engine that a vault is backed up from, and restored to. */
interface Engine {
  newSite(): Promise<Site>;
  /** The state before each restore. `newer`: a vault that has more than the backup. */
  prepare(site: Site, newer: Site): Promise<void>;
  /** The numbers of credentials that are allowed after a restore was killed; `undefined`: the vault does not open. */
  readonly allowed: readonly (number | undefined)[];
}

const FILE: Engine = {
  newSite: async () => fileSite(),
  async prepare(site, newer) {
    fs.rmSync(site.home, { recursive: true, force: true });
    fs.cpSync(newer.home, site.home, { recursive: true });
  },
  allowed: [CREDENTIALS, CREDENTIALS + 1],
};

/** A database that has a vault is never replaced. */
const DATABASE: Engine = {
  newSite: () => databaseSite(server),
  async prepare(site, newer) {
    await site.clear();
    fs.rmSync(join(site.home, 'keys'), { recursive: true, force: true });
    copyRootKey(newer, site);
  },
  allowed: [undefined, CREDENTIALS],
};

async function fill({ home, env }: Site): Promise<void> {
  const { vault, caller } = await openTestVault(home, env, 'yes');
  const value = 'v'.repeat(2_000);
  for (let at = 0; at < CREDENTIALS; at++)
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: value,
      name: `n${at}`,
    });
  await vault.close();
}

function start({ home, env }: Site, args: readonly string[]): ChildProcess {
  const given = { ...process.env, ...env, KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: given, stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** The time of a whole run. */
async function durationOf(site: Site, args: readonly string[]): Promise<number> {
  const begun_ms = performance.now();
  const [code] = await once(start(site, args), 'exit');
  expect(code).toBe(0);
  return performance.now() - begun_ms;
}

/** Starts the command and kills it at a random time. Returns whether it had ended before. */
async function killAtRandom(site: Site, args: readonly string[], duration_ms: number): Promise<boolean> {
  const child = start(site, args);
  const exited = once(child, 'exit');
  setTimeout(() => child.kill('SIGKILL'), randomInt(Math.ceil(duration_ms)));
  const [code] = await exited;
  return code === 0;
}

/** Runs the command until `KILLS` runs were killed. `check`: after each run. */
async function killRuns(
  site: Site,
  args: readonly string[],
  duration_ms: number,
  { prepare, check }: { prepare?: () => Promise<void>; check: () => Promise<void> },
): Promise<void> {
  let [killed, ended] = [0, 0];
  while (killed < KILLS && ended < ENDED_RUNS_MAX) {
    await prepare?.();
    if (await killAtRandom(site, args, duration_ms)) ended += 1;
    else killed += 1;
    await check();
  }
  expect(killed).toBe(KILLS);
}

async function countOf({ home, env }: Site): Promise<number> {
  const { vault, caller } = await openTestVault(home, env, 'no');
  const report = await vault.verifyAudit(caller());
  await vault.close();
  expect(report.findings.filter(({ kind }) => kind !== 'vault_rolled_back')).toEqual([]);
  return report.credentials;
}

/** `undefined` if the vault is missing or incomplete. */
async function countIfOpen(site: Site): Promise<number | undefined> {
  const { code, stderr } = await keyhold(site.home, ['status', '--json'], { env: site.env });
  if (code === 0) return countOf(site);
  const { error } = JSON.parse(stderr) as { error: { reason: string } };
  expect(error.reason).toMatch(/^(?:vault_missing|move_incomplete)$/);
  return undefined;
}

describe.each([
  { name: 'in a file', engine: FILE, is_skipped: false },
  { name: 'in a database', engine: DATABASE, is_skipped: NO_POSTGRESQL },
])('of a vault $name', ({ engine, is_skipped }) => {
  test.skipIf(is_skipped)(
    'a backup that is killed at any time leaves no partial file under its name, and can be made again',
    async () => {
      const site = await engine.newSite();
      await fill(site);
      const folder = temporaryFolder();
      const file = join(folder, 'vault.backup');
      const duration_ms = await durationOf(site, ['backup', join(temporaryFolder(), 'first.backup')]);
      await killRuns(site, ['backup', '--force', file], duration_ms, {
        async check() {
          expect(await countOf(site)).toBe(CREDENTIALS);
          if (!fs.existsSync(file)) return;
          await keyholdOk(site.home, ['backup', 'verify', file], { env: site.env });
          fs.rmSync(file);
        },
      });
      await keyholdOk(site.home, ['backup', '--force', file], { env: site.env });
      expect(fs.readdirSync(folder)).toEqual(['vault.backup']);
      const other = await engine.newSite();
      copyRootKey(site, other);
      await keyholdOk(other.home, ['restore', file], { env: other.env });
      await keyholdOk(other.home, ['audit', 'verify'], { env: other.env });
      expect((await other.rows()).records).toEqual((await site.rows()).records);
    },
    TEST_TIMEOUT_MS,
  );

  test.skipIf(is_skipped)(
    'a restore that is killed at any time leaves the former state or the restored vault, and a second run finishes',
    async () => {
      const newer = await engine.newSite();
      await fill(newer);
      const file = join(temporaryFolder(), 'vault.backup');
      await keyholdOk(newer.home, ['backup', file], { env: newer.env });
      const { records } = await newer.rows();
      await keyholdOk(newer.home, ['store', 'github', '--stdin'], { env: newer.env, stdin: 'a-newer-value' });
      const site = await engine.newSite();
      await engine.prepare(site, newer);
      const args = ['restore', '--replace', file];
      const duration_ms = await durationOf(site, args);
      const counts = new Map<number | undefined, number>();
      await killRuns(site, args, duration_ms, {
        prepare: () => engine.prepare(site, newer),
        async check() {
          const count = await countIfOpen(site);
          expect(engine.allowed).toContain(count);
          counts.set(count, (counts.get(count) ?? 0) + 1);
          const { code, stderr } = await keyhold(site.home, args, { env: site.env });
          expect([code, stderr]).toEqual([0, '']);
          await keyholdOk(site.home, ['audit', 'verify'], { env: site.env });
          expect((await site.rows()).records).toEqual(records);
          const data = join(site.home, 'data');
          const files = fs.existsSync(data) ? fs.readdirSync(data) : [];
          expect(files.filter((name) => /receiving|-journal$/.test(name))).toEqual([]);
        },
      });
      const states = [...counts].map(([count, runs]) => `${runs} with ${count ?? 'no'} credentials`);
      process.stdout.write(`Restores that were killed left ${states.join(', ')}.\n`);
    },
    TEST_TIMEOUT_MS,
  );
});

test.skipIf(NO_POSTGRESQL)(
  'a restore to a database that is killed right after its last step is completed by a second run',
  async () => {
    const from = fileSite();
    await fill(from);
    const file = join(temporaryFolder(), 'vault.backup');
    await keyholdOk(from.home, ['backup', file]);
    const site = await databaseSite(server);
    copyRootKey(from, site);
    const child = start(site, ['restore', file]);
    const exited = once(child, 'exit');
    while (child.exitCode === null && (await isIncomplete(site))) await sleep(1);
    child.kill('SIGKILL');
    await exited;
    expect(await countOf(site)).toBe(CREDENTIALS);
    const text = await keyholdOk(site.home, ['restore', file], { env: site.env });
    expect(text).toContain('had been restored by an earlier run');
    expect((await site.rows()).records).toEqual((await from.rows()).records);
  },
  TEST_TIMEOUT_MS,
);

/** Whether the vault in a database cannot be opened yet. */
async function isIncomplete(site: Site): Promise<boolean> {
  const name = new URL(site.env.KEYHOLD_STORE ?? '').pathname.slice(1);
  const sql = `SELECT to_regclass('keyhold.vault') IS NULL OR to_regclass('keyhold.move') IS NOT NULL AS is_incomplete`;
  return (await server.query(sql, name))[0]?.is_incomplete === true;
}
