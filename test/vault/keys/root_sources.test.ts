/** `keyhold rotate root --to`: every source with the built program, and former keys that are left because a rotation was stopped. */
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { NO_DISKS, smallDisk } from '../../kit/file_system.ts';
import { KMS_ARN, startKms } from '../../kit/key_services/aws_kms.ts';
import { NO_KEYCHAIN, startSession } from '../../kit/key_services/keychain.ts';
import { startTransit } from '../../kit/key_services/transit.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { runSize } from '../../kit/run_size.ts';
import { openTestDatabase, test_engine } from '../../kit/vault/database.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const TOKEN = 'hvs.test-token-0123456789';
const KILLS = runSize({ quick: 2, ci: test_engine.is_remote ? 2 : 4, slow: 100 });
const TIMEOUT_MS = 1_800_000;

type Env = NodeJS.ProcessEnv;

/** A vault with one credential and the key file of a new home. */
async function newVault(home = temporaryFolder()): Promise<string> {
  const { vault, caller } = await openTestVault(home);
  await vault.store(caller(), {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_0',
  });
  await vault.close();
  return home;
}

function program(home: string, env: Env, ...args: string[]) {
  return runProgram(args, { env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...env } });
}

async function opensWith(home: string, env: Env): Promise<boolean> {
  return (await program(home, env, 'status', '--json')).code === 0;
}

/** What the doctor reports about former root keys, the newest first. */
async function formerKeysOf(home: string, env: Env): Promise<readonly string[]> {
  const { stdout } = await program(home, env, 'doctor', '--json');
  const { checks } = JSON.parse(stdout) as { checks: { check: string; state: string; message: string }[] };
  expect(checks.filter(({ state }) => state === 'fail')).toEqual([]);
  return checks.filter(({ check }) => check === 'former_key').map(({ message }) => message);
}

/** Rotates to a file, to a second one, and to a new key in it. Returns the settings that then open the vault. */
async function rotateThroughFiles(home: string, present: Env): Promise<Env> {
  const [first, second] = ['first.key', 'second.key'].map((name) => `file:${join(home, 'keys', name)}`);
  const steps = [
    { ...present, to: ['--to', first ?? ''] },
    { ...present, KEYHOLD_ROOT_KEY: first, to: ['--to', second ?? ''] },
    { ...present, KEYHOLD_ROOT_KEY: second, to: [] },
  ];
  for (const { to, ...env } of steps)
    expect(await program(home, env, 'rotate', 'root', ...to)).toMatchObject({ code: 0 });
  return { ...present, KEYHOLD_ROOT_KEY: second };
}

describe('rotate root --to', () => {
  test('a transit engine, AWS KMS, a keychain and another file opens with the new source only, and removes the former key', {
    timeout: TIMEOUT_MS,
  }, async ({ skip }) => {
    if (NO_KEYCHAIN !== undefined) skip(NO_KEYCHAIN);
    const [transit, kms, session] = [await startTransit(TOKEN), await startKms(), await startSession()];
    await session.start('unlocked');
    const home = await newVault();
    const second = join(home, 'keys', 'second.key');
    const access = { ...kms.env, ...session.env, KEYHOLD_TRANSIT_TOKEN: TOKEN };
    const sources = [
      `file:${join(home, 'keys', 'root.key')}`,
      transit.setting(),
      `aws-kms:${KMS_ARN}`,
      'keychain',
      'keychain:work',
      `file:${second}`,
    ];
    for (const [at, to] of sources.entries()) {
      const from = sources[at - 1];
      if (from === undefined) continue;
      const [former, present] = [from, to].map((source) => ({ ...access, KEYHOLD_ROOT_KEY: source }));
      const rotated = await program(home, former ?? {}, 'rotate', 'root', '--to', to);
      expect([to, rotated.code, rotated.stderr.replace(/\(node:.*\n?(?:.*\n)*/, '')]).toEqual([to, 0, '']);
      expect(rotated.stdout).toContain(`Set KEYHOLD_ROOT_KEY=${to} now`);
      expect([to, await opensWith(home, former ?? {})]).toEqual([to, to === 'keychain:work']);
      expect(await opensWith(home, present ?? {})).toBe(true);
      expect(await formerKeysOf(home, present ?? {})).toEqual([]);
      const files = readdirSync(join(home, 'keys')).filter((name) => name !== 'anchor');
      expect(files).toEqual(to === `file:${second}` ? ['second.key'] : []);
    }
    expect(await openTestDatabase(home).header()).toMatchObject({ root_key_source: 'file' });
  });

  test('a key service that refuses changes nothing, and leaves no key', async () => {
    const [transit, kms] = [await startTransit(TOKEN), await startKms()];
    const home = await newVault();
    const header = await openTestDatabase(home).header();
    kms.refusal = 'DisabledException';
    transit.tokens.set(TOKEN, ['encrypt']);
    const env = { ...kms.env, KEYHOLD_TRANSIT_TOKEN: TOKEN, KEYHOLD_ROOT_KEY: undefined };
    for (const to of [transit.setting(), `aws-kms:${KMS_ARN}`]) {
      const { code, stderr } = await program(home, env, 'rotate', 'root', '--to', to, '--json');
      expect([to, code]).toEqual([to, 10]);
      expect(stderr).toContain('kms_denied');
    }
    expect(await openTestDatabase(home).header()).toEqual(header);
    expect(await opensWith(home, {})).toBe(true);
  });
});

describe('a former root key that a rotation did not remove', () => {
  test('is a file that the doctor names, until a later rotation can remove it', async ({ skip }) => {
    const disk = smallDisk(256) ?? skip(NO_DISKS);
    const transit = await startTransit(TOKEN);
    const home = await newVault();
    const path = join(disk.path, 'root.key');
    expect(await program(home, {}, 'rotate', 'root', '--to', `file:${path}`)).toMatchObject({ code: 0 });
    disk.remount('ro');
    const access = { KEYHOLD_TRANSIT_TOKEN: TOKEN };
    const former = { ...access, KEYHOLD_ROOT_KEY: `file:${path}` };
    const present = { ...access, KEYHOLD_ROOT_KEY: transit.setting() };
    const rotated = await program(home, former, 'rotate', 'root', '--to', transit.setting());
    expect(rotated).toMatchObject({ code: 0, stdout: expect.stringContaining('could not be removed') });
    expect(existsSync(path)).toBe(true);
    expect(await formerKeysOf(home, present)).toEqual([expect.stringContaining(`It is the file ${path}.`)]);
    expect(await opensWith(home, former)).toBe(false);
    const latest = await rotateThroughFiles(home, present);
    expect(await formerKeysOf(home, latest)).toEqual([expect.stringContaining(`It is the file ${path}.`)]);
    disk.remount('rw');
    expect(await program(home, latest, 'rotate', 'root')).toMatchObject({ code: 0 });
    expect(existsSync(path)).toBe(false);
    expect(await formerKeysOf(home, latest)).toEqual([]);
  });

  test('is an entry of a keychain that the doctor names, also while it is locked, until a later rotation can remove it', {
    timeout: TIMEOUT_MS,
  }, async ({ skip }) => {
    if (NO_KEYCHAIN !== undefined) skip(NO_KEYCHAIN);
    const [transit, session] = [await startTransit(TOKEN), await startSession()];
    await session.start('unlocked');
    const home = await newVault();
    const access = { ...session.env, KEYHOLD_TRANSIT_TOKEN: TOKEN };
    expect(await program(home, access, 'rotate', 'root', '--to', 'keychain')).toMatchObject({ code: 0 });
    const ref = (await openTestDatabase(home).header())?.root_key_ref;
    const present = { ...access, KEYHOLD_ROOT_KEY: transit.setting() };
    // The program has read the key, and is kept waiting by the key service while the keychain is locked.
    transit.sealed = true;
    const former = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...access, KEYHOLD_ROOT_KEY: 'keychain' };
    const rotation = startProgram(['rotate', 'root', '--to', transit.setting()], { env: former });
    const exited = new Promise((resolve) => rotation.once('close', resolve));
    await expect.poll(() => transit.requests.length, { timeout: 20_000 }).toBeGreaterThan(0);
    await session.start('locked');
    transit.sealed = false;
    expect(await exited).toBe(0);
    const latest = await rotateThroughFiles(home, present);
    const named = [expect.stringContaining(`It is the entry of the keychain ${ref}.`)];
    expect(await formerKeysOf(home, latest)).toEqual(named);
    await session.start('unlocked');
    expect(await formerKeysOf(home, latest)).toEqual(named);
    expect(await program(home, latest, 'rotate', 'root')).toMatchObject({ code: 0 });
    expect(await formerKeysOf(home, latest)).toEqual([]);
  });

  test('is named after every kill, and the vault opens with one of the two sources', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const transit = await startTransit(TOKEN);
    const home = await newVault();
    const envOf = (source: string) => ({ KEYHOLD_ROOT_KEY: source, KEYHOLD_TRANSIT_TOKEN: TOKEN });
    let [present, files] = [`file:${join(home, 'keys', 'root.key')}`, 0];
    let run_ms = 0;
    for (let kill = 0; kill <= KILLS; kill++) {
      const to = present.startsWith('file:')
        ? transit.setting()
        : `file:${join(home, 'keys', `${files}.key`)}`;
      const begun_ms = performance.now();
      const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...envOf(present) };
      const child = startProgram(['rotate', 'root', '--to', to], { env });
      const exited = new Promise((resolve) => child.once('close', resolve));
      if (kill > 0) {
        await sleep(run_ms * (0.4 + 0.7 * Math.random()));
        child.kill('SIGKILL');
      }
      await exited;
      if (kill === 0) run_ms = performance.now() - begun_ms;
      const opens = [await opensWith(home, envOf(present)), await opensWith(home, envOf(to))];
      expect(opens.toSorted()).toEqual([false, true]);
      if (opens[1] !== true) continue;
      if (to.startsWith('file:')) files += 1;
      present = to;
      const named = (await formerKeysOf(home, envOf(present))).join();
      const left = readdirSync(join(home, 'keys'))
        .filter((name) => name.endsWith('.key'))
        .filter((name) => present !== `file:${join(home, 'keys', name)}`);
      expect(left.filter((name) => named.includes(join(home, 'keys', name)) !== true)).toEqual([]);
    }
    const { vault, caller } = await openTestVault(home, envOf(present), 'no');
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });
});

describe('a rotation on a disk that is full', () => {
  test.each(['rotateRoot', 'rotateData', 'rotateBox', 'rotateSigning'] as const)(
    '%s succeeds or is refused, and leaves a vault that opens with every value',
    async (name) => {
      const disk = smallDisk(2048);
      if (disk === undefined) return console.warn(NO_DISKS);
      const home = await newVault(join(disk.path, 'home'));
      const before = await revealCredentials(home);
      const outcomes = new Set<string>();
      for (const free_kib of [0, 4, 8, 16, 32, 64, 128, 256]) {
        const { vault, caller } = await openTestVault(home, {}, 'no');
        const { bavail, bsize } = statfsSync(disk.path);
        disk.take((bavail * bsize) / 1024 - free_kib);
        outcomes.add(await outcomeOf(vault.rotations[name](caller())));
        disk.free();
        await vault.close();
        expect(await revealCredentials(home)).toEqual(before);
      }
      const expected = test_engine.is_remote && name !== 'rotateRoot' ? [] : ['UNAVAILABLE disk_full'];
      expect([...outcomes].toSorted()).toEqual([...expected, 'ok']);
      const { vault, caller } = await openTestVault(home, {}, 'no');
      expect((await vault.verifyAudit(caller())).findings).toEqual([]);
      expect(readdirSync(join(home, 'keys')).toSorted()).toEqual(['anchor', 'root.key']);
    },
  );
});
