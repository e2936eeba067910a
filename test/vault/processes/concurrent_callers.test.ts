/** Many concurrent callers in one process, through one vault and through several on the same file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const writers = useVaultProcesses();
const FIELDS = 50;
const CREDENTIALS = 4;

/** A home with a custom service that has many fields. */
function homeWithService(): string {
  const home = temporaryFolder();
  const fields = Array.from({ length: FIELDS }, (_, at) => ({
    field_id: `field_${at}`,
    name: `Field ${at}`,
    description: 'One of many.',
    required: false,
    secret: true,
    max_length: 100,
  }));
  const definition = {
    slug: 'many',
    name: 'Many fields',
    description: 'A service with many fields.',
    category: 'other',
    fields,
    value_field: {},
    credential_types: ['custom'],
    hosts: [],
    injection: { in: 'none' },
  };
  mkdirSync(join(home, 'services'), { mode: 0o700 });
  writeFileSync(join(home, 'services', 'many.json'), JSON.stringify(definition));
  return home;
}

/** Updates every field of every credential concurrently, one field per update, spread over the vaults. */
async function updateAll(opened: readonly TestVault[]): Promise<void> {
  const updates: Promise<unknown>[] = [];
  for (let credential = 0; credential < CREDENTIALS; credential++) {
    for (let field = 0; field < FIELDS; field++) {
      const { vault, caller } = opened[updates.length % opened.length] ?? fail();
      updates.push(
        vault.update(caller(), {
          service_id: 'many',
          name: `credential ${credential}`,
          credentials: { [`field_${field}`]: `${credential}/${field}` },
        }),
      );
    }
  }
  await Promise.all(updates);
}

function fail(): never {
  throw new Error('no vault was opened');
}

async function expectAllThere(home: string, opened: readonly TestVault[]): Promise<void> {
  for (const { vault, caller } of opened) {
    expect(await vault.verifyAudit(caller())).toMatchObject({
      findings: [],
      // With those of `init` and of the approved definition.
      entries: 2 + FIELDS * CREDENTIALS,
    });
    await vault.close();
  }
  const revealed = await revealCredentials(home);
  expect(revealed.size).toBe(CREDENTIALS);
  for (let credential = 0; credential < CREDENTIALS; credential++) {
    const values = Array.from({ length: FIELDS }, (_, at) => [`field_${at}`, `${credential}/${at}`]);
    expect(revealed.get(`many/credential ${credential}`)).toMatchObject({
      revision: FIELDS,
      values: Object.fromEntries(values),
    });
  }
}

describe(`${FIELDS * CREDENTIALS} updates of different fields at once`, () => {
  test('concurrent updates of different fields through one vault are all kept', async () => {
    const home = homeWithService();
    const opened = [await openTestVault(home)];
    await updateAll(opened);
    await expectAllThere(home, opened);
  });

  test('concurrent updates of different fields through three vaults on the same file are all kept', async () => {
    const home = homeWithService();
    const opened = [await openTestVault(home), await openTestVault(home), await openTestVault(home)];
    await updateAll(opened);
    await expectAllThere(home, opened);
  });
});

describe('two vaults of one process on the same file', () => {
  const put = ({ vault, caller }: TestVault, name: string) =>
    vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: name, name });
  const names = async ({ vault, caller }: TestVault) =>
    (await vault.listCredentials(caller(), {})).credentials.map(({ name }) => name).sort();

  test("two vaults of one process see each other's writes at once, and each works after the other closes", async () => {
    const home = temporaryFolder();
    const first = await openTestVault(home);
    const second = await openTestVault(home);
    await put(first, 'a');
    expect(await names(second)).toEqual(['a']);
    await put(second, 'b');
    expect(await names(first)).toEqual(['a', 'b']);
    await first.vault.close();
    await put(second, 'c');
    expect(await names(second)).toEqual(['a', 'b', 'c']);
  });

  test('two vaults of one process lose no write when another process opens and closes the vault', async () => {
    const home = temporaryFolder();
    const first = await openTestVault(home);
    const second = await openTestVault(home);
    await put(first, 'a');
    const other = writers.startWriter(home, { task: 'store_once', name: 'b' });
    await other.waitFor('finished');
    expect(await other.exited).toEqual({ code: 0, stderr: '' });
    await put(second, 'c');
    await put(first, 'd');
    const third = writers.startWriter(home, { task: 'store_once', name: 'e' });
    await third.waitFor('finished');
    for (const opened of [first, second]) expect(await names(opened)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect((await first.vault.verifyAudit(first.caller())).findings).toEqual([]);
  });
});
