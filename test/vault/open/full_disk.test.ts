/** A full disk during creation and during writes: refused with a remedy, and no acknowledged write is lost. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE, VaultError } from '../../../src/contract/errors.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { NO_DISKS, smallDisk } from '../../kit/file_system.ts';
import { connectStdioClient } from '../../kit/mcp/stdio_client.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const DISK_KIB = 1024;
/** The space that is freed after the disk was full. */
const ROOM_KIB = 200;
const DISK_FULL = {
  code: 'UNAVAILABLE',
  reason: 'disk_full',
  message: expect.stringMatching(/Free some space/),
};
/** As large as a value of this field may be, to fill the disk quickly. */
const LARGE = 'x'.repeat(8_000);

async function refusalOf(act: Promise<unknown>): Promise<Pick<VaultError, 'code' | 'reason' | 'message'>> {
  try {
    await act;
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return { code: error.code, reason: error.reason, message: error.message };
  }
  throw new Error('it was not refused');
}

function storeLarge({ vault, caller }: Pick<TestVault, 'vault' | 'caller'>, name: string): Promise<unknown> {
  const target = { service_id: 'linear', credential_type: 'api_key' as const, name };
  return vault.store(caller(), { ...target, credential_value: `${name}-${LARGE}` });
}

/** Stores until a write is refused. Returns the acknowledged names and the error. */
async function storeUntilRefused(opened: TestVault) {
  const acknowledged: string[] = [];
  for (let at = 0; at < DISK_KIB; at++) {
    const name = `filler-${at}`;
    try {
      await storeLarge(opened, name);
      acknowledged.push(name);
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return { acknowledged, refused: { code: error.code, reason: error.reason, message: error.message } };
    }
  }
  throw new Error('the disk never filled up');
}

async function namesIn(vault: Vault, caller: TestVault['caller']): Promise<(string | null)[]> {
  const { credentials } = await vault.listCredentials(caller(), {});
  return credentials.map(({ name }) => name).sort();
}

describe('a disk that fills up', () => {
  test('a full disk refuses the write that does not fit, keeps acknowledged writes, and accepts writes once space is free', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB);
    if (disk === undefined) return skip(NO_DISKS);
    const home = join(disk.path, 'home');
    disk.take(ROOM_KIB);
    const opened = await openTestVault(home);
    const { vault, caller } = opened;
    const { acknowledged, refused } = await storeUntilRefused(opened);
    expect(refused).toEqual(DISK_FULL);
    expect(acknowledged.length).toBeGreaterThan(3);
    disk.fill();

    // Repeated and concurrent attempts get the same error, and nothing is lost.
    const more = Array.from({ length: 5 }, (_, at) => refusalOf(storeLarge(opened, `more-${at}`)));
    for (const refusal of await Promise.all(more)) expect(refusal).toEqual(DISK_FULL);
    expect(await namesIn(vault, caller)).toEqual([...acknowledged].sort());
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);

    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    const { code, stderr } = await runProgram(['store', 'linear', '--json'], { env, input: `${LARGE}\n` });
    expect({ code, ...JSON.parse(stderr) }).toEqual({
      code: ERROR_TABLE.UNAVAILABLE.exit_code,
      error: DISK_FULL,
    });
    const client = await connectStdioClient(startProgram(['mcp'], { env }));
    expect(await client.listTools()).toContain('store_credential');
    const input = { service_id: 'linear', credential_type: 'api_key', credential_value: LARGE };
    expect((await client.call('store_credential', input)).error).toMatchObject(DISK_FULL);

    disk.free();
    // Neither process opens the vault again.
    await storeLarge(opened, 'after');
    expect((await client.call('store_credential', input)).structured).toMatchObject({ success: true });
    expect(await client.end()).toBe(0);
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
    expect(await vault.health()).toMatchObject({ ok: true });
    await vault.close();

    // From a copy: reading values appends audit entries, and this disk is full again.
    const copy = join(temporaryFolder(), 'home');
    cpSync(home, copy, { recursive: true });
    const revealed = await revealCredentials(copy);
    for (const name of [...acknowledged, 'after']) {
      expect(revealed.get(`linear/${name}`)?.values).toEqual({ linear_api_key: `${name}-${LARGE}` });
    }
    expect(revealed.size).toBe(acknowledged.length + 2);
  });

  test('a full disk allows reads, and deletes once a little space is free', async ({ skip }) => {
    const disk = smallDisk(DISK_KIB);
    if (disk === undefined) return skip(NO_DISKS);
    const home = join(disk.path, 'home');
    disk.take(ROOM_KIB);
    const opened = await openTestVault(home);
    const { acknowledged } = await storeUntilRefused(opened);
    await opened.vault.close();

    const again = await openTestVault(home);
    expect(await namesIn(again.vault, again.caller)).toEqual([...acknowledged].sort());
    disk.free();
    await again.vault.delete(again.caller(), { service_id: 'linear', name: 'filler-0' });
    expect(await namesIn(again.vault, again.caller)).toEqual(acknowledged.slice(1).sort());
  });
});

describe('a full disk when the vault is opened', () => {
  test('opening a vault on a full disk fails with disk_full, and succeeds once space is free', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB);
    if (disk === undefined) return skip(NO_DISKS);
    const home = join(disk.path, 'home');
    const opened = await openTestVault(home);
    await storeLarge(opened, 'before');
    await opened.vault.close();
    disk.fill();
    expect(await refusalOf(openTestVault(home))).toEqual(DISK_FULL);
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    expect(JSON.parse((await runProgram(['status', '--json'], { env })).stderr)).toEqual({
      error: DISK_FULL,
    });
    const client = await connectStdioClient(startProgram(['mcp'], { env }));
    expect((await client.call('list_services')).error).toMatchObject(DISK_FULL);

    disk.free();
    expect((await client.call('list_services')).error).toBeUndefined();
    expect(await client.end()).toBe(0);
    const again = await openTestVault(home);
    expect(await namesIn(again.vault, again.caller)).toEqual(['before']);
  });
});

describe('a full disk when the vault is created', () => {
  test('creating a vault on a full disk fails with disk_full, and succeeds once space is free', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB);
    if (disk === undefined) return skip(NO_DISKS);
    const home = join(disk.path, 'home');
    disk.fill();
    expect(await refusalOf(openTestVault(home))).toEqual({
      ...DISK_FULL,
      message: expect.stringMatching(/space|disk/),
    });

    disk.free();
    const opened = await openTestVault(home);
    await storeLarge(opened, 'after');
    expect(await namesIn(opened.vault, opened.caller)).toEqual(['after']);
  });

  test('`keyhold init` after a full disk creates the vault with the key on the other disk', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB);
    if (disk === undefined) return skip(NO_DISKS);
    const home = join(disk.path, 'home');
    const env = { KEYHOLD_ROOT_KEY: `file:${join(temporaryFolder(), 'root.key')}` };
    disk.fill();
    expect(await refusalOf(openTestVault(home, env))).toEqual(DISK_FULL);

    disk.free();
    expect(await refusalOf(openTestVault(home, env))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'vault_missing',
      message: expect.stringMatching(/keyhold init/),
    });
    const opened = await openTestVault(home, env, 'yes');
    await storeLarge(opened, 'after');
    expect(await namesIn(opened.vault, opened.caller)).toEqual(['after']);
  });
});
