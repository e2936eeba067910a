/** Somebody with the disk and without the key changes the wrapped keys and the header: the vault does not open. */
import { describe, expect, test } from 'vitest';
import { bitsToFlip, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import {
  copyHome,
  endOf,
  openDatabase,
  recordRows,
  tamper,
  withFlippedBit,
  wrappedKeyRows,
} from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const DAMAGED = 'CORRUPT record_damaged';
const LINEAR = { service_id: 'linear' };

/** A closed vault with one credential. */
async function closedVault(): Promise<string> {
  const { vault, caller, home } = await openTestVault();
  await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
  await vault.close();
  return home;
}

/** How opening ends, and using the credential once it is open. */
async function opening(home: string): Promise<string> {
  return endOf(
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
  ] as const)('of %s with any one byte changed does not open', async (_, at) => {
    const home = await closedVault();
    const row = wrappedKeyRows(home)[at];
    const database = openDatabase(home);
    const put = database.prepare('UPDATE wrapped_key SET wrapped = ? WHERE owner = ?');
    for (const bit of bitsToFlip(row?.wrapped.length ?? 0)) {
      put.run(withFlippedBit(row?.wrapped ?? Buffer.alloc(0), bit), row?.owner);
      expect([bit, await opening(home)]).toEqual([bit, DAMAGED]);
    }
    put.run(row?.wrapped, row?.owner);
    database.close();
    expect(await opening(home)).toBe('ok');
  });

  test.each<readonly [string, string, string]>([
    ['cut off', 'UPDATE wrapped_key SET wrapped = substr(wrapped, 1, length(wrapped) - 1)', DAMAGED],
    ['emptied', "UPDATE wrapped_key SET wrapped = x''", DAMAGED],
    [
      'in the place of the other',
      'UPDATE wrapped_key SET wrapped = (SELECT other.wrapped FROM wrapped_key AS other WHERE other.owner <> wrapped_key.owner)',
      DAMAGED,
    ],
    ['of another version', 'UPDATE wrapped_key SET version = 2', DAMAGED],
    ['of a negative version', 'UPDATE wrapped_key SET version = -1', DAMAGED],
    ['of a version past what the format holds', 'UPDATE wrapped_key SET version = 4294967296', DAMAGED],
    [
      'of a newer version put beside it',
      'INSERT INTO wrapped_key SELECT owner, 2, wrapped FROM wrapped_key',
      DAMAGED,
    ],
    [
      'of the vault removed',
      "DELETE FROM wrapped_key WHERE owner = x'00000000000000000000000000000000'",
      DAMAGED,
    ],
    ['removed', 'DELETE FROM wrapped_key', DAMAGED],
    // Without its data key, the organization looks new; all the rest says that it is not.
    [
      'of the organization removed',
      "DELETE FROM wrapped_key WHERE owner <> x'00000000000000000000000000000000'",
      'CORRUPT',
    ],
    [
      'of the organization given to another',
      "UPDATE wrapped_key SET owner = x'01' WHERE owner <> x'00000000000000000000000000000000'",
      'CORRUPT',
    ],
  ])('%s does not open, and no new one is made', async (_, sql, expected) => {
    const home = await closedVault();
    tamper(home, (database) => database.exec(sql));
    const keys = wrappedKeyRows(home);
    expect(await opening(home)).toContain(expected);
    expect(wrappedKeyRows(home)).toEqual(keys);
  });

  test('of the organization removed together with its audit log does not make way for an empty vault', async () => {
    const home = await closedVault();
    tamper(home, (database) => {
      database.exec("DELETE FROM wrapped_key WHERE owner <> x'00000000000000000000000000000000'");
      database.exec('DELETE FROM audit_chain; DELETE FROM audit_entry');
    });
    expect(recordRows(home)).toHaveLength(1);
    expect(await opening(home)).toMatch(/^CORRUPT/);
    expect(wrappedKeyRows(home)).toHaveLength(1);
  });

  test('of another vault does not open', async () => {
    const home = await closedVault();
    const other = copyHome(await closedVault());
    const rows = wrappedKeyRows(other);
    tamper(home, (database) => {
      const put = database.prepare('UPDATE wrapped_key SET wrapped = ? WHERE owner = ?');
      put.run(rows[0]?.wrapped, Buffer.alloc(16));
    });
    expect(await opening(home)).toBe(DAMAGED);
  });
});

describe('the header', () => {
  test.each<readonly [string, string, string]>([
    [
      'with another root key id',
      "UPDATE vault SET root_key_id = x'00112233445566778899aabbccddeeff'",
      'WRONG_KEY',
    ],
    ['with a root key id cut off', 'UPDATE vault SET root_key_id = substr(root_key_id, 2)', 'WRONG_KEY'],
    [
      'with another source of the root key',
      "UPDATE vault SET root_key_source = 'env'",
      'LOCKED root_key_source_changed',
    ],
    [
      'with a source that there is not',
      "UPDATE vault SET root_key_source = 'canary'",
      'LOCKED root_key_source_changed',
    ],
    ['that was removed', 'DELETE FROM vault', DAMAGED],
  ])('%s keeps the vault shut', async (_, sql, expected) => {
    const home = await closedVault();
    tamper(home, (database) => database.exec(sql));
    expect(await opening(home)).toBe(expected);
  });

  test.each(['vault', 'wrapped_key', 'record', 'audit_entry', 'audit_chain'])(
    'without the table %s: an error of ours, and no new vault',
    async (table) => {
      const home = await closedVault();
      tamper(home, (database) => database.exec(`DROP TABLE ${table}`));
      expect(await opening(home)).toMatch(/^CORRUPT/);
    },
  );
});
