/** Rotations by the built program that are killed at random times: the vault opens, nothing is lost, and the next run finishes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { runSize } from '../../kit/run_size.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const KILLS = runSize({ quick: 1, ci: 20, slow: 100 });
const CREDENTIALS = 60;
const TIMEOUT_MS = 900_000;

const KINDS = [
  { argv: ['rotate', 'root'] },
  { argv: ['rotate', 'data'] },
  { argv: ['rotate', 'box'] },
  { argv: ['rotate', 'signing'] },
];

async function newVault(env: NodeJS.ProcessEnv = {}): Promise<string> {
  const home = temporaryFolder();
  const { vault, caller } = await openTestVault(home, env);
  for (let number = 0; number < CREDENTIALS; number++)
    await vault.store(caller(), {
      service_id: 'linear',
      name: `number-${number}`,
      credential_type: 'api_key',
      credential_value: `lin_api_${number}`,
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

describe('a rotation that is killed', () => {
  test.each(KINDS)(
    '$argv leaves a vault that opens with every value, an audit log without findings, and is finished by the next run',
    { timeout: TIMEOUT_MS },
    async ({ argv }) => {
      const home = await newVault();
      const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...test_engine.settings(home) };
      const before = await revealCredentials(home);
      expect(before.size).toBe(CREDENTIALS);
      const begun_ms = performance.now();
      expect(await runProgram(argv, { env })).toMatchObject({ code: 0, stderr: '' });
      const run_ms = performance.now() - begun_ms;
      for (let kill = 0; kill < KILLS; kill++) {
        await killOnce(argv, env, run_ms);
        expect(await revealCredentials(home)).toEqual(before);
        expect(await findingsOf(home)).toEqual([]);
      }
      expect(await runProgram(argv, { env })).toMatchObject({ code: 0, stderr: '' });
      expect(await revealCredentials(home)).toEqual(before);
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
