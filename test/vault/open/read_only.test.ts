/**
 * Files and disks without write or read permission: reads work if possible, other operations are refused with a
 * remedy, and work once the permission is granted.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { NO_USER, type OrdinaryUser, ordinaryUser } from '../../kit/child/ordinary_user.ts';
import { NO_DISKS, smallDisk, snapshot } from '../../kit/file_system.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';

const STORE = ['store', 'linear', '--json'] as const;
const VALUE = 'lin_api_value\n';

interface Outcome {
  readonly exit_code: number | null;
  readonly code?: string;
  readonly reason?: string;
  readonly message?: string;
}

interface Run {
  readonly code: number | null;
  readonly stderr: string;
}

function outcomeOf({ code, stderr }: Run): Outcome {
  return { exit_code: code, ...(code === 0 ? {} : JSON.parse(stderr).error) };
}

/** A vault of this user with one credential; call `give` for files that others create in it. */
async function vaultOf(user: OrdinaryUser): Promise<{ home: string; env: NodeJS.ProcessEnv }> {
  const home = join(user.newFolder(), 'home');
  const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  expect(outcomeOf(await user.run(STORE, env, VALUE))).toEqual({ exit_code: 0 });
  return { home, env };
}

async function callOf(user: OrdinaryUser, env: NodeJS.ProcessEnv) {
  const client = await connectStdioClient(user.start(['mcp'], env));
  expect(await client.listTools()).toContain('store_credential');
  const { error } = await client.call('store_credential', {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'new',
  });
  expect(await client.end()).toBe(0);
  return error;
}

/** Expects each interface to refuse without a change, and to work after the fix. */
async function expectRefusal(
  user: OrdinaryUser,
  { home, env }: { home: string; env: NodeJS.ProcessEnv },
  expected: { readonly code: string; readonly reason: string; readonly message: unknown },
  fix: () => void,
): Promise<void> {
  const before = snapshot(home);
  expect(outcomeOf(await user.run(STORE, env, VALUE))).toMatchObject(expected);
  expect(await callOf(user, env)).toMatchObject(expected);
  expect(snapshot(home)).toEqual(before);
  fix();
  expect(outcomeOf(await user.run(STORE, env, VALUE))).toEqual({ exit_code: 0 });
  const { code, stdout } = await user.run(['audit', 'verify', '--json'], env);
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, ok: true });
}

async function expectStatus(run: Promise<{ code: number | null; stdout: string }>): Promise<void> {
  const { code, stdout } = await run;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ credentials: [{ service_id: 'linear', status: 'active' }] });
}

describe('a user without write permission', () => {
  test('without write permission for the vault file, reads work and writes fail with the reason', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    const file = join(made.home, 'data', 'vault.db');
    chmodSync(file, 0o400);
    await expectStatus(user.run(['status', '--json'], made.env));
    const expected = {
      code: 'UNAVAILABLE',
      reason: 'read_only',
      message: expect.stringMatching(/write permission/),
    };
    await expectRefusal(user, made, expected, () => {
      // Reading created files with the same restrictive mode.
      for (const name of readdirSync(join(made.home, 'data')))
        chmodSync(join(made.home, 'data', name), 0o600);
    });
  });

  test('without write permission for the vault folder, the error names its permissions', async ({ skip }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    const folder = join(made.home, 'data');
    chmodSync(folder, 0o500);
    const message = expect.stringMatching(/permission/);
    const expected = {
      code: 'UNAVAILABLE',
      reason: expect.stringMatching(/^(?:read_only|unreadable)$/),
      message,
    };
    await expectRefusal(user, made, expected as never, () => chmodSync(folder, 0o700));
  });

  test('without write permission for an empty home, the error names the cause and no file is created', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const home = user.newFolder();
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    chmodSync(home, 0o500);
    const message = expect.stringMatching(/permissions/);
    const expected = { code: 'UNAVAILABLE', reason: 'unreadable', message };
    await expectRefusal(user, { home, env }, expected, () => chmodSync(home, 0o700));
  });

  test('without write permission for an empty keys folder, the error names the cause and the next attempt works', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const home = user.newFolder();
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    mkdirSync(join(home, 'keys'), { mode: 0o500 });
    user.give(join(home, 'keys'));
    const refused = outcomeOf(await user.run(STORE, env, VALUE));
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', reason: 'unreadable' });
    expect(refused.message).toMatch(/root key file cannot be written/);
    expect(readdirSync(join(home, 'keys'))).toEqual([]);
    chmodSync(join(home, 'keys'), 0o700);
    expect(outcomeOf(await user.run(STORE, env, VALUE))).toEqual({ exit_code: 0 });
  });
});

describe('a user without read permission', () => {
  const UNREADABLE = {
    code: 'UNAVAILABLE',
    reason: 'unreadable',
    message: expect.stringMatching(/permissions/),
  };

  test('without read permission for the vault file, the error names its permissions', async ({ skip }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    const file = join(made.home, 'data', 'vault.db');
    chmodSync(file, 0o000);
    expect(outcomeOf(await user.run(['status', '--json'], made.env))).toMatchObject(UNREADABLE);
    await expectRefusal(user, made, UNREADABLE, () => chmodSync(file, 0o600));
  });

  test('without read permission for the vault folder, the vault is not reported as missing', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    const folder = join(made.home, 'data');
    chmodSync(folder, 0o000);
    expect(outcomeOf(await user.run(['status', '--json'], made.env))).toMatchObject(UNREADABLE);
    await expectRefusal(user, made, UNREADABLE, () => chmodSync(folder, 0o700));
  });

  test('without read permission for the home, the vault is not reported as missing and no second one is created', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    chmodSync(made.home, 0o000);
    const status = outcomeOf(await user.run(['status', '--json'], made.env));
    expect(['LOCKED', 'UNAVAILABLE']).toContain(status.code);
    expect(status.message).toMatch(/permission|may read/);
    await expectRefusal(user, made, { ...UNREADABLE, message: expect.any(String) }, () =>
      chmodSync(made.home, 0o700),
    );
  });

  test('without read permission for the key file or its folder, the error names the cause and no new key is created', async ({
    skip,
  }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const made = await vaultOf(user);
    const message = expect.stringMatching(/read permission/);
    const expected = { code: 'LOCKED', reason: 'root_key_missing', message };
    const key = join(made.home, 'keys', 'root.key');
    chmodSync(key, 0o000);
    await expectRefusal(user, made, expected, () => chmodSync(key, 0o600));
    const folder = join(made.home, 'keys');
    chmodSync(folder, 0o000);
    await expectRefusal(user, made, expected, () => chmodSync(folder, 0o700));
  });
});

describe('a disk that is mounted read-only', () => {
  test('a read-only disk refuses writes with the reason, and accepts them once remounted', async ({
    skip,
  }) => {
    const disk = smallDisk(4096) ?? skip(NO_DISKS);
    const home = join(disk.path, 'home');
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    expect(outcomeOf(await runProgram(STORE, { env, input: VALUE }))).toEqual({ exit_code: 0 });
    const before = snapshot(home);
    disk.remount('ro');
    const refused = outcomeOf(await runProgram(STORE, { env, input: VALUE }));
    expect(refused).toMatchObject({ code: 'UNAVAILABLE' });
    expect(refused.reason).toMatch(/^(?:read_only|unreadable)$/);
    expect(snapshot(home)).toEqual(before);
    disk.remount('rw');
    expect(outcomeOf(await runProgram(STORE, { env, input: VALUE }))).toEqual({ exit_code: 0 });
  });

  test('a read-only disk refuses to create a vault with the reason', async ({ skip }) => {
    const disk = smallDisk(4096) ?? skip(NO_DISKS);
    const home = join(disk.path, 'home');
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    disk.remount('ro');
    const refused = outcomeOf(await runProgram(STORE, { env, input: VALUE }));
    expect(refused).toMatchObject({ code: 'UNAVAILABLE' });
    expect(refused.reason).toMatch(/^(?:read_only|unreadable)$/);
    expect(refused.message).toMatch(/disk|mount/i);
    expect(existsSync(home)).toBe(false);
  });
});
