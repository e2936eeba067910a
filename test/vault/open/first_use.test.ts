/** The first use of a vault: concurrent, killed half way, or with one file missing. */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { runProgram } from '../../kit/child/built_program.ts';
import { useVaultProcesses, type WriterProcess } from '../../kit/child/vault_process.ts';
import { runSize } from '../../kit/run_size.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const writers = useVaultProcesses();
const AT_ONCE = 8;
/** Concurrent, because opening waits for a vault that another process may be creating. */
const LANES = 5;
const KILLS = runSize({ quick: 12, ci: 16, slow: 300 });
/** A process reaches the creation of its files after about 250 ms. */
const KILLED_FROM_MS = 50;
const KILLED_UPTO_MS = 300;

/** Opens the vault, or returns the one error that has a remedy. */
async function openOr(home: string, create: 'if_new' | 'yes'): Promise<'opened' | 'vault_missing'> {
  try {
    const { vault, caller } = await openTestVault(home, {}, create);
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'after',
    });
    const report = await vault.verifyAudit(caller());
    expect(report.findings).toEqual([]);
    expect(await vault.health()).toMatchObject({ ok: true });
    await vault.close();
    return 'opened';
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    expect([error.code, error.reason]).toEqual(['NOT_FOUND', 'vault_missing']);
    expect(error.message).toContain('keyhold init');
    return 'vault_missing';
  }
}

/** Files in the order of their creation: the process is killed when one of them appears. */
const STAGES: readonly ((home: string) => boolean)[] = [
  (home) => existsSync(join(home, 'data', 'vault.db')),
  (home) => existsSync(join(home, 'keys')),
  (home) => existsSync(join(home, 'keys', 'root.key')),
  (home) => (statSync(join(home, 'data', 'vault.db'), { throwIfNoEntry: false })?.size ?? 0) > 0,
  (home) => existsSync(join(home, 'data', 'vault.db-wal')),
];

/** Alternates between a random time and the appearance of one of the files. */
async function waitForKillPoint(home: string, writer: WriterProcess, kill: number): Promise<void> {
  const stage = STAGES[(kill >> 1) % STAGES.length];
  const at_random_ms = KILLED_FROM_MS + Math.random() * (KILLED_UPTO_MS - KILLED_FROM_MS);
  if (kill % 2 === 0 || stage === undefined) return void (await sleep(at_random_ms));
  while (!stage(home) && writer.lines.length === 0) await new Promise(setImmediate);
}

/** Kills a first use, opens the vault that it left, and runs `keyhold init` if that is refused. */
async function killAndFix(kill: number): Promise<'opened' | 'vault_missing'> {
  const home = temporaryFolder();
  const writer = writers.startWriter(home, { task: 'store_once', name: 'first' });
  await waitForKillPoint(home, writer, kill);
  writer.signal('SIGKILL');
  await writer.exited;
  expect(writer.lines.filter(({ event }) => event === 'failed')).toEqual([]);
  const key_path = join(home, 'keys', 'root.key');
  const key = existsSync(key_path) ? readFileSync(key_path, 'utf8') : undefined;

  const outcome = await openOr(home, 'if_new');
  if (outcome === 'vault_missing') expect(await openOr(home, 'yes')).toBe('opened');
  // A backup of the key still works.
  if (key !== undefined) expect(readFileSync(key_path, 'utf8')).toBe(key);
  return outcome;
}

describe('the first use of an empty home', () => {
  test(`by ${AT_ONCE} processes at once makes one vault with one key, and all of them write`, async () => {
    const home = temporaryFolder();
    const names = Array.from({ length: AT_ONCE }, (_, at) => `process-${at}`);
    const together = names.map((name) => writers.startWriter(home, { task: 'store_once', name }));
    const lines = await Promise.all(
      together.map(async (writer) => {
        await writer.exited;
        return writer.lines;
      }),
    );
    expect(lines).toEqual(names.map(() => [{ event: 'finished', writes: 1, longest_ms: 0 }]));
    expect(readdirSync(join(home, 'keys')).sort()).toEqual(['anchor', 'root.key']);
    expect(readdirSync(join(home, 'data')).filter((name) => name.endsWith('.db'))).toEqual(['vault.db']);

    const { vault, caller } = await openTestVault(home, {}, 'no');
    const { credentials } = await vault.listCredentials(caller(), {});
    expect(credentials.map(({ name }) => name).sort()).toEqual(names);
    const { entries } = await vault.listAudit(caller(), { action: 'init' });
    expect(entries).toHaveLength(1);
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });

  test('several vaults of one process that open an empty home concurrently create one vault', async () => {
    const home = temporaryFolder();
    const opened = await Promise.all(Array.from({ length: AT_ONCE }, () => openTestVault(home)));
    expect(
      new Set(await Promise.all(opened.map(({ vault, caller }) => vault.publicKey(caller())))).size,
    ).toBe(1);
  });

  test(`a first use killed at any time leaves a vault that opens, or one that \`keyhold init\` fixes`, {
    timeout: 600_000,
  }, async () => {
    const outcomes = { opened: 0, vault_missing: 0 };
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      for (let kill = lane; kill < KILLS; kill += LANES) outcomes[await killAndFix(kill)]++;
    });
    await Promise.all(lanes);
    console.log(`first use killed ${KILLS} times, then opened: ${JSON.stringify(outcomes)}`);
    expect(outcomes.opened + outcomes.vault_missing).toBe(KILLS);
  });
});

describe('a key file without its vault', () => {
  test('a key file without its vault does not lead to a new vault without `keyhold init`', async () => {
    const home = temporaryFolder();
    await (await openTestVault(home)).vault.close();
    rmSync(join(home, 'data'), { recursive: true });
    const key = readFileSync(join(home, 'keys', 'root.key'), 'utf8');

    expect(await openOr(home, 'if_new')).toBe('vault_missing');
    expect(existsSync(join(home, 'data'))).toBe(false);
    expect(await openOr(home, 'yes')).toBe('opened');
    expect(readFileSync(join(home, 'keys', 'root.key'), 'utf8')).toBe(key);
  });

  test('a key file with an empty vault file does not lead to a new vault', async () => {
    const home = temporaryFolder();
    await (await openTestVault(home)).vault.close();
    rmSync(join(home, 'data', 'vault.db'));
    const file = join(home, 'data', 'vault.db');
    writeFileSync(file, '', { mode: 0o600 });
    expect(await openOr(home, 'if_new')).toBe('vault_missing');
    expect(statSync(file).size).toBe(0);
    expect(await openOr(home, 'yes')).toBe('opened');
  });

  test('`keyhold init` with only a key file reports a new vault the first time and an existing one the second time', async () => {
    const home = temporaryFolder();
    await (await openTestVault(home)).vault.close();
    rmSync(join(home, 'data'), { recursive: true });
    const key = readFileSync(join(home, 'keys', 'root.key'), 'utf8');
    for (const created of [true, false]) {
      const { code, stdout } = await runProgram(['init', '--json'], { env: { KEYHOLD_HOME: home } });
      expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, created });
    }
    expect(readFileSync(join(home, 'keys', 'root.key'), 'utf8')).toBe(key);
    expect(await openOr(home, 'if_new')).toBe('opened');
  });
});

describe.skipIf(process.platform === 'win32')('a symbolic link at the path of the vault file', () => {
  test('a symbolic link to a vault works like the vault', async () => {
    const home = temporaryFolder();
    await (await openTestVault(home)).vault.close();
    const target = join(temporaryFolder(), 'elsewhere.db');
    const file = join(home, 'data', 'vault.db');
    renameSync(file, target);
    symlinkSync(target, file);
    expect(await openOr(home, 'if_new')).toBe('opened');
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(statSync(target).size).toBeGreaterThan(0);
  });
});
