/**
 * Rotations by the built program that are killed at random times while another process writes: the vault opens, nothing is lost, and
 * the next run finishes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { localCaller } from '../../../src/contract/caller.ts';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { runSize } from '../../kit/run_size.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

/** Each takes three seconds on a remote engine. */
const KILLS = runSize({ quick: 1, ci: test_engine.is_remote ? 2 : 8, slow: 100 });
const CREDENTIALS = 60;
/** The credential that another process updates. */
const UPDATED = 'updated';
const UPDATES_AT_ONCE = 5;
const UPDATE_PAUSE_MS = 20;
const TIMEOUT_MS = 1_800_000;
const processes = useVaultProcesses();

const KINDS = [
  { argv: ['rotate', 'root'] },
  { argv: ['rotate', 'data'] },
  { argv: ['rotate', 'box'] },
  { argv: ['rotate', 'signing'] },
];

async function newVault(env: NodeJS.ProcessEnv = {}): Promise<string> {
  const home = temporaryFolder();
  const { vault, caller } = await openTestVault(home, env);
  const names = Array.from({ length: CREDENTIALS }, (_, number) => `number-${number}`);
  for (const name of [UPDATED, ...names])
    await vault.store(caller(), {
      service_id: 'linear',
      name,
      credential_type: 'api_key',
      credential_value: `lin_api_${name}`,
    });
  await vault.close();
  return home;
}

async function findingsOf(home: string): Promise<unknown> {
  const { vault, caller } = await openTestVault(home, {}, 'no');
  const { findings } = await vault.verifyAudit(caller());
  await vault.close();
  return findings;
}

/** Kills the program after a random part of the time that a complete run takes. */
async function killOnce(argv: readonly string[], env: NodeJS.ProcessEnv, run_ms: number): Promise<void> {
  const child = startProgram(argv, { env });
  const exited = new Promise((resolve) => child.once('close', resolve));
  await sleep(run_ms * (0.3 + 0.8 * Math.random()));
  child.kill('SIGKILL');
  await exited;
}

/** Another process that has the vault open, and updates one credential until `ended` resolves. Resolves with its last value. */
async function startWriter(home: string) {
  const writer = await processes.open(home);
  let round = 0;
  return async (ended: Promise<unknown>): Promise<string> => {
    let has_ended = false;
    const waiting = ended.finally(() => {
      has_ended = true;
    });
    do {
      round += 1;
      const input = { service_id: 'linear', name: UPDATED, credentials: { linear_api_key: `v-${round}-#` } };
      const call = await writer.call('update', localCaller('library', 'writer'), [input], UPDATES_AT_ONCE);
      expect(call).toMatchObject({ results: expect.objectContaining({ length: UPDATES_AT_ONCE }) });
      await sleep(UPDATE_PAUSE_MS);
    } while (!has_ended);
    await waiting;
    return `v-${round}-${UPDATES_AT_ONCE - 1}`;
  };
}

/** The values of the credentials that are not updated, and the value of the one that is. */
async function valuesOf(home: string) {
  const revealed = await revealCredentials(home);
  const updated = revealed.get(`linear/${UPDATED}`)?.values.linear_api_key;
  revealed.delete(`linear/${UPDATED}`);
  return { revealed, updated };
}

describe('a rotation that is killed', () => {
  test.each(KINDS)(
    '$argv leaves a vault that opens with every value, an audit log without findings, and is finished by the next run',
    { timeout: TIMEOUT_MS },
    async ({ argv }) => {
      const home = await newVault();
      const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...test_engine.settings(home) };
      const { revealed } = await valuesOf(home);
      expect(revealed.size).toBe(CREDENTIALS);
      const updateUntil = await startWriter(home);
      const run = async () => expect(await runProgram(argv, { env })).toMatchObject({ code: 0, stderr: '' });
      const begun_ms = performance.now();
      await updateUntil(run());
      const run_ms = performance.now() - begun_ms;
      for (let kill = 0; kill < KILLS; kill++) {
        const updated = await updateUntil(killOnce(argv, env, run_ms));
        expect(await valuesOf(home)).toEqual({ revealed, updated });
        expect(await findingsOf(home)).toEqual([]);
      }
      const updated = await updateUntil(run());
      expect(await valuesOf(home)).toEqual({ revealed, updated });
      expect(await findingsOf(home)).toEqual([]);
    },
  );

  test('change-passphrase leaves a vault that opens with the former passphrase or the new one', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const [former, next] = ['correct horse battery', 'staple with more words'];
    const root = { KEYHOLD_ROOT_KEY: 'passphrase' };
    const home = await newVault({ ...root, KEYHOLD_PASSPHRASE: former });
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...test_engine.settings(home), ...root };
    let [present = '', other = ''] = [former, next];
    const statusWith = async (passphrase: string) =>
      (await runProgram(['status'], { env: { ...env, KEYHOLD_PASSPHRASE: passphrase } })).code;
    const change = ['change-passphrase', '--from-env', 'NEW_PASSPHRASE'];
    let run_ms = 0;
    for (let kill = 0; kill <= KILLS; kill++) {
      const passphrases = { KEYHOLD_PASSPHRASE: present, NEW_PASSPHRASE: other };
      const begun_ms = performance.now();
      if (kill === 0)
        expect(await runProgram(change, { env: { ...env, ...passphrases } })).toMatchObject({ code: 0 });
      else await killOnce(change, { ...env, ...passphrases }, run_ms);
      if (kill === 0) run_ms = performance.now() - begun_ms;
      const codes = [await statusWith(present), await statusWith(other)];
      expect(codes.toSorted((a = 0, b = 0) => Number(a) - Number(b))).toEqual([0, 11]);
      if (codes[1] === 0) [present, other] = [other, present];
    }
    const { vault, caller } = await openTestVault(home, { ...root, KEYHOLD_PASSPHRASE: present }, 'no');
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });
});
