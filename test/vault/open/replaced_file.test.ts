/**
 * A vault file that is moved, deleted or replaced under an open vault: no write to the wrong file is acknowledged.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const store = ({ vault, caller }: TestVault, name: string) =>
  vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'x', name });

async function expectRefused(write: Promise<unknown>): Promise<void> {
  await expect(write).rejects.toBeInstanceOf(VaultError);
  await expect(write).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/moved, replaced or deleted/),
  });
}

describe.skipIf(process.platform === 'win32')('a write to an open vault', () => {
  test('a write is refused if the folder of the vault was deleted', async () => {
    const home = temporaryFolder();
    const opened = await openTestVault(home);
    await store(opened, 'before');
    fs.rmSync(join(home, 'data'), { recursive: true });
    await expectRefused(store(opened, 'after'));
    await expectRefused(store(opened, 'after'));
    await opened.vault.close();
    expect(fs.existsSync(join(home, 'data'))).toBe(false);
  });

  test('a write is refused if the file was replaced by another vault, which is not changed', async () => {
    const home = temporaryFolder();
    const opened = await openTestVault(home);
    await store(opened, 'before');
    const elsewhere = temporaryFolder();
    await (await openTestVault(elsewhere)).vault.close();
    const file = join(home, 'data', 'vault.db');
    for (const end of ['', '-wal', '-shm']) fs.rmSync(file + end);
    fs.copyFileSync(join(elsewhere, 'data', 'vault.db'), file);
    const before = fs.readFileSync(file);
    await expectRefused(store(opened, 'after'));
    await opened.vault.close();
    expect(fs.readFileSync(file).equals(before)).toBe(true);
  });

  test('a write succeeds once the original file is restored', async () => {
    const home = temporaryFolder();
    const opened = await openTestVault(home);
    await store(opened, 'before');
    fs.renameSync(join(home, 'data'), join(home, 'aside'));
    await expectRefused(store(opened, 'in between'));
    fs.renameSync(join(home, 'aside'), join(home, 'data'));
    await store(opened, 'after');
    const { credentials } = await opened.vault.listCredentials(opened.caller(), {});
    expect(credentials.map(({ name }) => name)).toEqual(['after', 'before']);
    expect((await opened.vault.verifyAudit(opened.caller())).findings).toEqual([]);
  });
});
