/** Concurrent writes to one credential by id: each is applied, and none undoes another. */
import { describe, expect, test } from 'vitest';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const SFTP = { service_id: 'sftp', credential_type: 'user_password', credentials: { host: 'h' } } as const;
const WRITES = 30;

describe('concurrent writes by credential id', () => {
  test('concurrent writes by id find the credential under any name', async () => {
    const { vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), SFTP);
    const write = (at: number) =>
      at % 2 === 0
        ? vault.credentials.change(caller(), id, { name: `name ${at}` })
        : vault.credentials.replace(caller(), id, {
            credential_type: 'sftp',
            credentials: { host: `${at}` },
          });
    const results = await Promise.all(Array.from({ length: WRITES }, (_, at) => write(at)));
    expect(new Set(results.map((result) => result.id))).toEqual(new Set([id]));
    const { entries } = await vault.listAudit(caller(), { credential_id: id });
    expect(entries).toHaveLength(WRITES + 1);
    const refused = await vault.listAudit(caller(), { outcome: 'denied' });
    expect(refused.entries).toEqual([]);
    expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
  });

  test('concurrent writes by id through two vaults find the credential', async () => {
    const home = temporaryFolder();
    const vaults = [await openTestVault(home), await openTestVault(home)] as const;
    const { id } = await vaults[0].vault.credentials.create(vaults[0].caller(), SFTP);
    const write = (at: number) => {
      const { vault, caller } = vaults[at % 2 === 0 ? 0 : 1];
      return at % 3 === 0
        ? vault.credentials.change(caller(), id, { name: `name ${at}` })
        : vault.credentials.replace(caller(), id, {
            credential_type: 'sftp',
            credentials: { host: `${at}` },
          });
    };
    await Promise.all(Array.from({ length: WRITES }, (_, at) => write(at)));
    const { vault, caller } = vaults[0];
    expect((await vault.listAudit(caller(), { outcome: 'denied' })).entries).toEqual([]);
    expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
  });

  test('a change of the type and a concurrent deactivation of a credential are both kept', async () => {
    const { vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), SFTP);
    await Promise.all([
      vault.credentials.replace(caller(), id, { credential_type: 'key_file', credentials: { host: 'new' } }),
      vault.credentials.change(caller(), id, { inactive: true }),
      vault.credentials.change(caller(), id, { name: 'renamed' }),
    ]);
    expect(await vault.credentials.get(caller(), id)).toMatchObject({
      credential_type: 'key_file',
      inactive: true,
      name: 'renamed',
    });
  });

  test('writes to a credential deleted concurrently are NOT_FOUND and do not restore it', async () => {
    const { vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), SFTP);
    const outcomes = await Promise.allSettled([
      vault.credentials.change(caller(), id, { name: 'renamed' }),
      vault.credentials.delete(caller(), id),
      vault.credentials.delete(caller(), id),
      vault.credentials.change(caller(), id, { inactive: true }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    await expect(vault.credentials.get(caller(), id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await vault.credentials.list(caller())).toEqual([]);
  });
});
