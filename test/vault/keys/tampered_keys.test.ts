/**
 * An attacker with access to the storage and without the key changes the wrapped keys and the header: the vault must
 * not open.
 */
import { describe, expect, test } from 'vitest';
import { outcomeOf } from '../../kit/outcome.ts';
import { bitsToFlip, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import {
  flipBit,
  type HeaderRow,
  openTestDatabase,
  readCredentialRows,
  readWrappedKeyRows,
  test_engine,
  type WrappedKeyRow,
} from '../../kit/vault/database.ts';
import { TABLES } from '../../kit/vault/tables.ts';
import { copyHome, openTestVault } from '../../kit/vault/temp_vault.ts';

const DAMAGED = 'CORRUPT record_damaged';
const LINEAR = { service_id: 'linear' };

/** A closed vault with one credential. */
async function closedVault(): Promise<string> {
  const { vault, caller, home } = await openTestVault();
  await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
  await vault.close();
  return home;
}

const isVaultKey = ({ owner }: WrappedKeyRow): boolean => owner.equals(Buffer.alloc(16));

/** The outcome of opening the vault and reading the credential. */
async function openAndRead(home: string): Promise<string> {
  return outcomeOf(
    openTestVault(home).then(async ({ vault, caller }) => {
      try {
        const { status } = await vault.status(caller(), LINEAR);
        if (status !== 'active') throw new Error(`is ${status}`);
      } finally {
        await vault.close();
      }
    }),
  );
}

describe('a wrapped key', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each([
    ['the vault', 0],
    ['the organization', 1],
  ] as const)('the wrapped key of %s with any byte changed fails to unwrap', async (_, at) => {
    const home = await closedVault();
    const rows = await readWrappedKeyRows(home);
    const row = rows[at];
    if (row === undefined) throw new Error('no wrapped key');
    const database = openTestDatabase(home);
    for (const bit of bitsToFlip(row.wrapped.length)) {
      await database.replaceWrappedKeys(rows.with(at, { ...row, wrapped: flipBit(row.wrapped, bit) }));
      expect([bit, await openAndRead(home)]).toEqual([bit, DAMAGED]);
    }
    await database.replaceWrappedKeys(rows);
    expect(await openAndRead(home)).toBe('ok');
  });

  test.each<readonly [string, (row: WrappedKeyRow, other: WrappedKeyRow) => WrappedKeyRow[], string]>([
    ['cut off', (row) => [{ ...row, wrapped: row.wrapped.subarray(0, -1) }], DAMAGED],
    ['emptied', (row) => [{ ...row, wrapped: Buffer.alloc(0) }], DAMAGED],
    ['in the place of the other', (row, other) => [{ ...row, wrapped: other.wrapped }], DAMAGED],
    ['of another version', (row) => [{ ...row, version: 2 }], DAMAGED],
    ['of a negative version', (row) => [{ ...row, version: -1 }], DAMAGED],
    // The largest that PostgreSQL stores.
    [
      'of a version past what the format holds',
      (row) => [{ ...row, version: test_engine.is_remote ? 2 ** 31 - 1 : 2 ** 32 }],
      DAMAGED,
    ],
    ['of a newer version put beside it', (row) => [row, { ...row, version: 2 }], DAMAGED],
    ['of the vault removed', (row) => (isVaultKey(row) ? [] : [row]), DAMAGED],
    ['removed', () => [], DAMAGED],
    // Without its data key the organization looks new, but the other records contradict that.
    ['of the organization removed', (row) => (isVaultKey(row) ? [row] : []), 'CORRUPT'],
    [
      'of the organization given to another',
      (row) => [isVaultKey(row) ? row : { ...row, owner: Buffer.of(1) }],
      'CORRUPT',
    ],
  ])('a wrapped key %s fails to unwrap, and no new key is created', async (_, change, expected) => {
    const home = await closedVault();
    const [vault_key, organization_key] = await readWrappedKeyRows(home);
    if (vault_key === undefined || organization_key === undefined) throw new Error('no wrapped keys');
    await openTestDatabase(home).replaceWrappedKeys([
      ...change(vault_key, organization_key),
      ...change(organization_key, vault_key),
    ]);
    const keys = await readWrappedKeyRows(home);
    expect(await openAndRead(home)).toContain(expected);
    expect(await readWrappedKeyRows(home)).toEqual(keys);
  });

  test('deleting the organization key and its audit log does not lead to an empty vault', async () => {
    const home = await closedVault();
    const database = openTestDatabase(home);
    await database.replaceWrappedKeys((await database.wrappedKeys()).filter(isVaultKey));
    await database.replaceAuditChains([]);
    await database.replaceAuditEntries([]);
    expect(await readCredentialRows(home)).toHaveLength(1);
    expect(await openAndRead(home)).toMatch(/^CORRUPT/);
    expect(await readWrappedKeyRows(home)).toHaveLength(1);
  });

  test('the wrapped key of another vault fails to unwrap', async () => {
    const home = await closedVault();
    const other = await copyHome(await closedVault());
    const [vault_key, organization_key] = await readWrappedKeyRows(home);
    const [foreign_key] = await readWrappedKeyRows(other);
    if (vault_key === undefined || organization_key === undefined || foreign_key === undefined)
      throw new Error('no wrapped keys');
    await openTestDatabase(home).replaceWrappedKeys([
      { ...vault_key, wrapped: foreign_key.wrapped },
      organization_key,
    ]);
    expect(await openAndRead(home)).toBe(DAMAGED);
  });
});

describe('the vault header', () => {
  test.each<readonly [string, (header: HeaderRow) => HeaderRow | undefined, string]>([
    [
      'with another root key id',
      (header) => ({ ...header, root_key_id: Buffer.from('00112233445566778899aabbccddeeff', 'hex') }),
      'WRONG_KEY',
    ],
    [
      'with a root key id cut off',
      (header) => ({ ...header, root_key_id: header.root_key_id.subarray(1) }),
      'WRONG_KEY',
    ],
    [
      'with another source of the root key',
      (header) => ({ ...header, root_key_source: 'env' }),
      'LOCKED root_key_source_changed',
    ],
    [
      'with a source that there is not',
      (header) => ({ ...header, root_key_source: 'canary' }),
      'LOCKED root_key_source_changed',
    ],
    ['that was removed', () => undefined, DAMAGED],
  ])('a vault with a changed header does not open: %s', async (_, change, expected) => {
    const home = await closedVault();
    const database = openTestDatabase(home);
    const header = await database.header();
    if (header === undefined) throw new Error('no header');
    await database.replaceHeader(change(header));
    expect(await openAndRead(home)).toBe(expected);
  });

  test.each(TABLES)('a vault without the table %s is CORRUPT, and no new vault is created', async (table) => {
    const home = await closedVault();
    await openTestDatabase(home).dropTable(table);
    expect(await openAndRead(home)).toMatch(/^CORRUPT/);
  });
});
