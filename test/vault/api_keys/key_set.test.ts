/**
 * The set of valid API keys: revoked keys and old secrets stay invalid when somebody puts old rows back into the file.
 * Vaults of earlier versions get the set when a key is first used or written.
 */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../../src/contract/caller.ts';
import { FORMAT_VERSION } from '../../../src/crypto/record_cipher.ts';
import { fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import {
  changeRecords,
  damageRecords,
  type RecordRow,
  readAuditEntryRows,
  readRowById,
  readRowsOfKind,
  replaceAuditEntries,
  replaceRecords,
} from '../../kit/vault/database.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const REFUSED = '["UNAUTHENTICATED",null,"A valid API key is needed."]';
const UNUSABLE = 'CORRUPT record_damaged';

async function rowOf({ home }: Tenants, id: string): Promise<RecordRow> {
  const row = await readRowById(home, id);
  if (row === undefined) throw new Error('no row');
  return row;
}

/** Deletes the rows of the sets, as in a vault of an earlier version. */
async function removeSets({ home }: Tenants): Promise<void> {
  const sets = await readRowsOfKind(home, 'api_key_set');
  await replaceRecords(
    home,
    [],
    sets.map(({ seq }) => seq),
  );
}

describe('the set of valid API keys', () => {
  test.each(['the same vault', 'another open vault', 'a vault that is opened later'])(
    'the replayed row of a revoked key is refused by %s',
    async (which) => {
      const tenants = await openTenants();
      const other = which === 'another open vault' ? await openTenants(tenants.home) : tenants;
      const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
      await other.caller(key);
      await other.caller(key);
      const row = await rowOf(tenants, id);
      await tenants.vault.api_keys.revoke(tenants.operator(), id);
      await replaceRecords(tenants.home, [row]);
      const later = which === 'a vault that is opened later' ? await openTenants(tenants.home) : other;
      expect(await fullOutcomeOf(later.caller(key))).toBe(REFUSED);
    },
  );

  test('the old secret of a rotated key is refused when the old row is replayed, in every open vault', async () => {
    const tenants = await openTenants();
    const other = await openTenants(tenants.home);
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    await other.caller(key);
    const row = await rowOf(tenants, id);
    const rotated = await tenants.vault.api_keys.rotate(tenants.operator(), id);
    await replaceRecords(tenants.home, [row]);
    for (const one of [tenants, other]) {
      expect(await fullOutcomeOf(one.caller(key))).toBe(REFUSED);
      expect(await fullOutcomeOf(one.caller(rotated.key))).toBe(REFUSED);
    }
  });

  test('the replayed rows of a revoked key and of the set are refused by a vault that has used a key since', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const rows = [await rowOf(tenants, id), ...(await readRowsOfKind(tenants.home, 'api_key_set'))];
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    const { key: another } = await tenants.newKey({ organization: 'acme', user: 'bob' });
    await tenants.caller(another);
    await replaceRecords(tenants.home, rows);
    expect(await outcomeOf(tenants.caller(key))).toBe(UNUSABLE);
  });

  test('a set in a newer format is UNAVAILABLE and the command line does not overwrite it', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const [set] = await readRowsOfKind(tenants.home, 'api_key_set');
    if (set === undefined) throw new Error('no set');
    const sealed_meta = Buffer.from(set.sealed_meta);
    sealed_meta.writeUInt8(FORMAT_VERSION + 1);
    await replaceRecords(tenants.home, [{ ...set, sealed_meta, revision: set.revision + 1 }]);
    const newer = await readRowsOfKind(tenants.home, 'api_key_set');
    for (const one of [tenants, await openTenants(tenants.home)]) {
      expect(await outcomeOf(one.caller(key))).toBe('UNAVAILABLE newer_format');
      const created = one.newKey({ organization: 'acme', user: 'ann' });
      expect(await outcomeOf(created)).toBe('UNAVAILABLE newer_format');
    }
    expect(await readRowsOfKind(tenants.home, 'api_key_set')).toEqual(newer);
  });

  /** Revokes a key, then replays its row and that of the set as they were before. */
  async function replayRevoked(tenants: Tenants) {
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { key: other } = await tenants.newKey({ organization: 'acme', user: 'bob' });
    const rows = [await rowOf(tenants, id), ...(await readRowsOfKind(tenants.home, 'api_key_set'))];
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    await replaceRecords(tenants.home, rows);
    return { key, other, id };
  }

  test('a new key of the command line does not make the replayed row of a revoked key valid again', async () => {
    const tenants = await openTenants();
    const { key, other } = await replayRevoked(tenants);
    expect(await outcomeOf(tenants.caller(key))).toBe(UNUSABLE);
    expect(
      await outcomeOf(
        tenants.vault.api_keys.create(tenants.operator(), { organization: 'acme', user: 'bob' }),
      ),
    ).toBe(UNUSABLE);
    const made = await tenants.newKey({ organization: 'acme', user: 'bob' });
    for (const one of [tenants, await openTenants(tenants.home)]) {
      expect(await fullOutcomeOf(one.caller(key))).toBe(REFUSED);
      expect(await fullOutcomeOf(one.caller(other))).toBe(REFUSED);
      expect(await outcomeOf(one.caller(made.key))).toBe('ok');
    }
  });

  test('the replayed rows of a revoked key and of the set are refused by a vault that is opened later', async () => {
    const tenants = await openTenants();
    const { key, id } = await replayRevoked(tenants);
    const later = await openTenants(tenants.home);
    expect(await outcomeOf(later.caller(key))).toBe(UNUSABLE);
    expect(await outcomeOf(later.vault.api_keys.rotate(later.operator(), id))).toBe(UNUSABLE);
    const command_line = await openTenants(tenants.home);
    const made = await command_line.newKey({ organization: 'acme', user: 'bob' });
    const repaired = await openTenants(tenants.home);
    expect(await fullOutcomeOf(repaired.caller(key))).toBe(REFUSED);
    expect(await outcomeOf(repaired.caller(made.key))).toBe('ok');
  });

  test('the audit verification finds a set that was rolled back', async () => {
    const tenants = await openTenants();
    const { id } = await replayRevoked(tenants);
    const acme = { ...tenants.operator(), organization: 'acme' };
    const { findings } = await tenants.vault.verifyAudit(acme);
    expect(findings.map(({ kind, record_id }) => [kind, record_id])).toEqual([
      ['record_rolled_back', id],
      ['record_rolled_back', null],
    ]);
  });

  test('a damaged audit entry does not keep keys out', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({});
    const rows = await readAuditEntryRows(tenants.home);
    await replaceAuditEntries(
      tenants.home,
      rows.map((row, at) => (at === 1 ? { ...row, sealed: Buffer.alloc(row.sealed.length, 1) } : row)),
    );
    expect(await outcomeOf((await openTenants(tenants.home)).caller(key))).toBe('ok');
  });

  test.each<readonly [string, (tenants: Tenants) => Promise<void>]>([
    ['deleted', removeSets],
    ['damaged', ({ home }) => damageRecords(home, ({ kind }) => kind === 'api_key_set')],
    [
      'moved to another revision',
      ({ home }) => changeRecords(home, ({ kind }) => kind === 'api_key_set', { revision: 9 }),
    ],
  ])(
    'no key is accepted or changed while the set is %s, until each is rotated on the command line',
    async (_, harm) => {
      const tenants = await openTenants();
      const { key, id } = await tenants.newKey({});
      const { key: other } = await tenants.newKey({});
      await harm(tenants);
      const again = await openTenants(tenants.home);
      expect(await outcomeOf(again.caller(key))).toBe(UNUSABLE);
      expect(await outcomeOf(again.vault.api_keys.create(again.operator(), {}))).toBe(UNUSABLE);
      expect(await outcomeOf(again.vault.api_keys.rotate(again.operator(), id))).toBe(UNUSABLE);
      const person = { ...again.operator(), edge: 'cli' } as const;
      const rotated = await again.vault.api_keys.rotate(person, id);
      const repaired = await openTenants(tenants.home);
      expect((await repaired.caller(rotated.key)).user).toBe('me');
      expect(await fullOutcomeOf(repaired.caller(other))).toBe(REFUSED);
    },
  );

  test('concurrent changes of keys by two open vaults keep every key valid', async () => {
    const tenants = await openTenants();
    const other = await openTenants(tenants.home);
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? tenants : other).newKey({})),
    );
    for (const { key } of made) expect(await outcomeOf(tenants.caller(key))).toBe('ok');
    expect(await readRowsOfKind(tenants.home, 'api_key_set')).toHaveLength(1);
  });
});

describe('a vault of an earlier version, without the set', () => {
  /** The log of such a vault has no entry of a key with its limits: here, none of a key at all. */
  async function openOldVault() {
    const tenants = await openTenants();
    await tenants.vault.organizations.createUnit(tenants.operator(), 'sales', 'acme');
    const entries = await readAuditEntryRows(tenants.home);
    const made = await tenants.newKey({ organization: 'acme', user: 'ann' });
    await removeSets(tenants);
    await replaceAuditEntries(tenants.home, entries);
    return { tenants: await openTenants(tenants.home), ...made };
  }

  test('a key of a vault of an earlier version stays valid, and its first use creates the set', async () => {
    const { tenants, key, id } = await openOldVault();
    const ann = await tenants.caller(key);
    const admin = { ...ann, scopes: new Set(SCOPES) };
    expect(await readRowsOfKind(tenants.home, 'api_key_set')).toHaveLength(1);
    const { entries } = await tenants.vault.listAudit(admin, { action: 'create_key_set' });
    expect(entries.map(({ user, outcome }) => [user, outcome])).toEqual([['ann', 'allowed']]);
    const row = await rowOf(tenants, id);
    await tenants.vault.api_keys.revoke(admin, id);
    await replaceRecords(tenants.home, [row]);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
  });

  test('a new key in a vault of an earlier version leaves the others valid', async () => {
    const { tenants, key } = await openOldVault();
    const made = await tenants.newKey({ organization: 'acme', user: 'bob' });
    expect((await tenants.caller(key)).user).toBe('ann');
    expect((await tenants.caller(made.key)).user).toBe('bob');
  });

  test('a deleted set is not taken for a vault of an earlier version: the audit log shows that it existed', async () => {
    const { tenants, key } = await openOldVault();
    await tenants.caller(key);
    await removeSets(tenants);
    expect(await outcomeOf((await openTenants(tenants.home)).caller(key))).toBe(UNUSABLE);
  });
});
