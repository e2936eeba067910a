/**
 * A vault file that two folders have: by a hard link, or because it is mounted by itself. Each folder would have a
 * write-ahead log of its own, and writes would be lost, so the vault does not open.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { snapshot } from '../../kit/file_system.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

async function closedVault(): Promise<{ home: string; file: string }> {
  const { home, vault, caller } = await openTestVault();
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'kept' });
  await vault.close();
  return { home, file: join(home, 'data', 'vault.db') };
}

async function expectRefused(home: string, message: RegExp): Promise<void> {
  const before = snapshot(home);
  const error = { code: 'UNAVAILABLE', reason: 'vault_file_linked', message: expect.stringMatching(message) };
  await expect(openTestVault(home)).rejects.toMatchObject(error);
  const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const status = await runProgram(['status', '--json'], { env });
  expect({ code: status.code, ...JSON.parse(status.stderr) }).toMatchObject({ code: 13, error });
  const doctor = await runProgram(['doctor', '--json'], { env });
  expect(JSON.parse(doctor.stdout).checks).toContainEqual(
    expect.objectContaining({ check: 'vault', state: 'fail', message: error.message }),
  );
  expect(snapshot(home)).toEqual(before);
}

async function expectOpens(home: string): Promise<void> {
  const { vault, caller } = await openTestVault(home);
  expect(await vault.status(caller(), { service_id: 'linear' })).toMatchObject({ status: 'active' });
  await vault.close();
}

describe('a vault file with a hard link', () => {
  test.each(['beside it', 'in another folder'])(
    'a vault file with a hard link %s is refused with the remedy, and opens once the link is deleted',
    async (where) => {
      const { home, file } = await closedVault();
      const link = where === 'beside it' ? `${file}.old` : join(temporaryFolder(), 'vault.db');
      fs.linkSync(file, link);
      await expectRefused(home, /hard link.*Delete the link/);
      fs.rmSync(link);
      await expectOpens(home);
    },
  );

  test('a vault file that is linked while the vault is open does not open through the link', async () => {
    const { home, vault, caller } = await openTestVault();
    const other = temporaryFolder();
    for (const folder of ['data', 'keys']) fs.mkdirSync(join(other, folder), { mode: 0o700 });
    fs.copyFileSync(join(home, 'keys', 'root.key'), join(other, 'keys', 'root.key'));
    fs.chmodSync(join(other, 'keys', 'root.key'), 0o600);
    fs.linkSync(join(home, 'data', 'vault.db'), join(other, 'data', 'vault.db'));
    await expect(openTestVault(other)).rejects.toMatchObject({ reason: 'vault_file_linked' });
    await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' });
    expect((await vault.verifyAudit(caller())).ok).toBe(true);
  });

  test('a symbolic link to the vault file opens: the write-ahead log is beside the file itself', async () => {
    const { home, file } = await closedVault();
    const link = join(temporaryFolder(), 'link.db');
    fs.symlinkSync(file, link);
    const { vault, caller } = await openTestVault(home, { KEYHOLD_STORE: `sqlite:${link}` });
    const second = await openTestVault(home);
    await second.vault.store(second.caller(), {
      service_id: 'github',
      credential_type: 'bearer',
      credential_value: 'x',
    });
    expect((await vault.listCredentials(caller(), {})).credentials).toHaveLength(2);
  });
});

const NO_MOUNTS = 'mounting a file takes root on Linux, so this was not tested';

describe('a vault file that is mounted by itself', () => {
  test.each(['vault.db', 'a vault with \\ and blanks.db'])(
    'a vault file %j that is mounted by itself is refused with the remedy, and opens in a mounted folder',
    async (name) => {
      const { home, file } = await closedVault();
      const host = temporaryFolder();
      fs.renameSync(file, join(host, name));
      fs.writeFileSync(join(home, 'data', name), '');
      const env = { KEYHOLD_STORE: `sqlite:${join(home, 'data', name)}` };
      if (!bindMount(join(host, name), join(home, 'data', name))) {
        console.log(NO_MOUNTS);
        return;
      }
      const before = snapshot(home);
      await expect(openTestVault(home, env)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'vault_file_linked',
        message: expect.stringMatching(/Mount the folder/),
      });
      expect(snapshot(home)).toEqual(before);
      spawnSync('umount', [join(home, 'data', name)]);

      expect(bindMount(host, join(home, 'data'))).toBe(true);
      const { vault, caller } = await openTestVault(home, env);
      expect(await vault.status(caller(), { service_id: 'linear' })).toMatchObject({ status: 'active' });
      await vault.close();
    },
  );
});

function bindMount(from: string, to: string): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  if (spawnSync('mount', ['--bind', from, to]).status !== 0) return false;
  onTestFinished(() => void spawnSync('umount', ['-l', to]));
  return true;
}
