/**
 * An attacker with access to the storage restores, deletes or adds rows. The vault sealed each of them, so they may
 * decrypt; the audit log must show it, also after later writes.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { outcomeOf } from '../../kit/outcome.ts';
import {
  decryptStoredValues,
  type RecordRow,
  readAuditEntryRows,
  readCredentialRows,
  replaceAuditEntries,
  replaceRecords,
} from '../../kit/vault/database.ts';
import { copyHome, openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

const DAMAGED = 'CORRUPT record_damaged';
const LINEAR = { service_id: 'linear' };

const store = ({ vault, caller }: TestVault, credential_value: string) =>
  vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value });
const update = ({ vault, caller }: TestVault, linear_api_key: string) =>
  vault.update(caller(), { ...LINEAR, credentials: { linear_api_key } });
const status = ({ vault, caller }: TestVault) => vault.status(caller(), LINEAR);
const remove = ({ vault, caller }: TestVault) => vault.delete(caller(), LINEAR);

async function findings({ vault, caller }: TestVault): Promise<(readonly [string, string | null])[]> {
  const { ok, findings: found } = await vault.verifyAudit(caller());
  expect(ok).toBe(found.length === 0);
  return found.map(({ kind, credential_id }) => [kind, credential_id]);
}

/**
 * A closed vault whose credential was written once, a copy of its rows at that time, and the result of later writes.
 */
async function olderCopy(after: (made: TestVault) => Promise<unknown>) {
  const made = await openTestVault();
  const { credential_id } = await store(made, 'old');
  const rows = await readCredentialRows(made.home);
  const entries = await readAuditEntryRows(made.home);
  await after(made);
  await made.vault.close();
  return { home: made.home, credential_id, rows, entries };
}

function only(rows: readonly RecordRow[]): RecordRow {
  const [row] = rows;
  if (row === undefined) throw new Error('no row');
  return row;
}

describe('a record restored from an older copy', () => {
  test('verification finds a rolled-back record', async () => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, rows);
    expect(await findings(await openTestVault(home))).toEqual([['record_rolled_back', credential_id]]);
  });

  test.each<readonly [string, (made: TestVault) => Promise<unknown>, string]>([
    ['updated', (made) => update(made, 'newer'), 'record_rolled_back'],
    ['stored again', (made) => store(made, 'newer'), 'record_rolled_back'],
    ['deleted', remove, 'record_rolled_back'],
  ])('verification still finds a rolled-back record after it was %s', async (_, after, kind) => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, rows);
    const opened = await openTestVault(home);
    await after(opened);
    expect(await findings(opened)).toContainEqual([kind, credential_id]);
  });

  test('verification finds a rolled-back record whose revision has passed the one in the log', async () => {
    const { home, credential_id, rows } = await olderCopy(async (made) => {
      await update(made, 'new');
      await update(made, 'newest');
    });
    await replaceRecords(home, rows);
    const opened = await openTestVault(home);
    for (const value of ['a', 'b', 'c', 'd']) await update(opened, value);
    expect(await findings(opened)).toContainEqual(['record_rolled_back', credential_id]);
  });

  test('an older record under the current revision fails to decrypt', async () => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, [{ ...only(rows), revision: 2 }]);
    const opened = await openTestVault(home);
    expect(await outcomeOf(status(opened))).toBe(DAMAGED);
    expect(await findings(opened)).toEqual([['record_damaged', credential_id]]);
  });

  const rename = ({ vault, caller }: TestVault, id: string) =>
    vault.credentials.change(caller(), id, { name: 'renamed' });

  test.each([
    ['sealed_meta', (made: TestVault) => update(made, 'newer')],
    ['sealed_values', rename],
  ] as const)('a record with only an older %s fails to decrypt', async (column, act) => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    const present = only(await readCredentialRows(home));
    await replaceRecords(home, [{ ...present, [column]: only(rows)[column] }]);
    const opened = await openTestVault(home);
    expect(await outcomeOf(act(opened, credential_id))).toBe(DAMAGED);
    expect(await findings(opened)).toEqual([['record_damaged', credential_id]]);
  });

  test('a record with only older sealed_values is fixed by an update of every value', async () => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, [
      { ...only(await readCredentialRows(home)), sealed_values: only(rows).sealed_values },
    ]);
    const opened = await openTestVault(home);
    await update(opened, 'newest');
    expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'newest' });
    expect(await findings(opened)).toEqual([]);
  });

  test('an older record with the audit log of the same time is found by the anchor outside the file only', async () => {
    const { home, credential_id, rows, entries } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, rows);
    await replaceAuditEntries(home, entries);
    expect((await findings(await openTestVault(home))).map(([kind]) => kind)).toEqual(['vault_rolled_back']);
    rmSync(join(home, 'keys', 'anchor'));
    expect(await findings(await openTestVault(home))).toEqual([]);
    expect(await decryptStoredValues(home, credential_id)).toEqual({ linear_api_key: 'old' });
  });

  test('verification finds a record newer than a rolled-back audit log', async () => {
    const { home, credential_id, entries } = await olderCopy((made) => update(made, 'new'));
    await replaceAuditEntries(home, entries);
    const opened = await openTestVault(home);
    expect(await findings(opened)).toEqual([['record_unlogged', credential_id]]);
    // The head is genuine, so writes are accepted; the gap stays visible.
    await update(opened, 'newest');
    expect((await findings(opened)).map(([kind]) => kind)).toContain('record_unlogged');
  });
});

describe('a restored record that was deleted', () => {
  test('verification finds a deleted record that was restored', async () => {
    const { home, credential_id, rows } = await olderCopy(remove);
    await replaceRecords(home, rows);
    expect(await findings(await openTestVault(home))).toEqual([['record_rolled_back', credential_id]]);
  });

  test.each<readonly [string, (made: TestVault) => Promise<unknown>]>([
    ['updated', (made) => update(made, 'newer')],
    ['stored again', (made) => store(made, 'newer')],
    ['deleted again', remove],
  ])('verification still finds a restored record after it was %s', async (_, after) => {
    const { home, credential_id, rows } = await olderCopy(remove);
    await replaceRecords(home, rows);
    const opened = await openTestVault(home);
    await after(opened);
    expect(await findings(opened)).toContainEqual(['record_rolled_back', credential_id]);
  });

  test('a restored record cannot exist together with its successor, and is found if it replaces it', async () => {
    const { home, credential_id, rows } = await olderCopy(async (made) => {
      await remove(made);
      await store(made, 'new');
    });
    const successor = only(await readCredentialRows(home));
    await expect(replaceRecords(home, [{ ...only(rows), seq: successor.seq + 1 }])).rejects.toThrow(
      /unique/i,
    );
    await replaceRecords(home, rows, [successor.seq]);
    const found = await findings(await openTestVault(home));
    expect(found).toContainEqual(['record_rolled_back', credential_id]);
    expect(found.map(([kind]) => kind)).toContain('record_missing');
  });
});

describe('a record deleted from the database', () => {
  test('a record deleted from the database is missing for status and verify, also after another is stored', async () => {
    const { home, credential_id, rows } = await olderCopy((made) => update(made, 'new'));
    await replaceRecords(home, [], [only(rows).seq]);
    const opened = await openTestVault(home);
    expect((await status(opened)).status).toBe('missing');
    expect(await findings(opened)).toEqual([['record_missing', credential_id]]);
    const again = await store(opened, 'newest');
    expect(again.credential_id).not.toBe(credential_id);
    expect(await findings(opened)).toEqual([['record_missing', credential_id]]);
  });
});

describe('a record inserted into the database', () => {
  const FOREIGN_ID = Buffer.from('01890a5d0000700080000000000000aa', 'hex');
  const FOREIGN = '01890a5d-0000-7000-8000-0000000000aa';

  test.each<readonly [string, Partial<RecordRow>]>([
    ['under another id and index', {}],
    ['with revision 0', { revision: 0 }],
    ['with a negative revision', { revision: -1 }],
    ['with another kind', { kind: 'audit' }],
  ])('verification finds a copied record %s, and the list does not show it', async (_, change) => {
    const { home, credential_id, rows } = await olderCopy(async () => undefined);
    const row = only(rows);
    const copy = {
      ...row,
      seq: row.seq + 1,
      id: FOREIGN_ID,
      blind_index: Buffer.alloc(16, 7),
      ...change,
    };
    await replaceRecords(home, [copy]);
    const opened = await openTestVault(home);
    const { credentials } = await opened.vault.listCredentials(opened.caller(), {});
    expect(credentials.map((one) => one.credential_id)).toEqual([credential_id]);
    expect(await findings(opened)).toEqual([['record_unlogged', FOREIGN]]);
    // The original record is unchanged.
    expect((await status(opened)).credential_id).toBe(credential_id);
  });

  test('a record inserted for another service fails to decrypt, and verification finds it', async () => {
    const made = await openTestVault();
    await store(made, 'of-linear');
    const { vault, caller } = made;
    await vault.store(caller(), {
      service_id: 'notion',
      credential_type: 'bearer',
      credential_value: 'of-notion',
    });
    await vault.close();
    const [linear, notion] = await readCredentialRows(made.home);
    if (linear === undefined || notion === undefined) throw new Error('no rows');
    const without_notion = await copyHome(made.home);
    await replaceRecords(
      without_notion,
      [{ ...linear, seq: notion.seq, id: FOREIGN_ID, blind_index: notion.blind_index }],
      [notion.seq],
    );
    const opened = await openTestVault(without_notion);
    expect(await outcomeOf(opened.vault.status(opened.caller(), { service_id: 'notion' }))).toBe(DAMAGED);
    expect((await findings(opened)).map(([kind]) => kind)).toEqual(['record_missing', 'record_unlogged']);
  });
});
