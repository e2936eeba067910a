/**
 * An attacker with access to the storage and without the key changes the audit log. Verification must find it, and if
 * the chain's head is not genuine, writes are refused: a new entry would make a forged head genuine.
 */
import { describe, expect, test, vi } from 'vitest';
import { AuditLog } from '../../../src/vault/audit/log.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { bitsToFlip, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import {
  type AuditChainRow,
  type AuditEntryRow,
  flipBit,
  openTestDatabase,
  readAuditEntryRows,
  readCredentialRows,
  replaceAuditEntries,
  replaceRecords,
  test_engine,
} from '../../kit/vault/database.ts';
import { copyHome, openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

const BROKEN = 'CORRUPT audit_broken';
const LINEAR = { service_id: 'linear' };
const NO_SEAL = Buffer.alloc(32);

/** A closed vault with five entries: init, store, store, a denied delete, update. */
async function fiveEntries(): Promise<string> {
  const { vault, caller, home } = await openTestVault();
  await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
  await vault.store(caller(), { service_id: 'openai', credential_type: 'api_key', credential_value: 'two' });
  expect(await outcomeOf(vault.delete(caller(), { ...LINEAR, name: 'none' }))).toBe('NOT_FOUND');
  await vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: 'three' } });
  await vault.close();
  expect(await readAuditEntryRows(home)).toHaveLength(5);
  return home;
}

async function verified({ vault, caller }: TestVault): Promise<(readonly [string, number | null])[]> {
  const { ok, findings } = await vault.verifyAudit(caller());
  expect(ok).toBe(findings.length === 0);
  return findings.map(({ kind, position }) => [kind, position]);
}

const WRITES: readonly (readonly [string, (made: TestVault) => Promise<unknown>])[] = [
  [
    'store',
    ({ vault, caller }) =>
      vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'v' }),
  ],
  [
    'update',
    ({ vault, caller }) => vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: 'v' } }),
  ],
  ['delete', ({ vault, caller }) => vault.delete(caller(), LINEAR)],
  ['a refused delete', ({ vault, caller }) => vault.delete(caller(), { ...LINEAR, name: 'none' })],
  [
    'a forbidden store',
    ({ vault, caller }) =>
      vault.store(
        { ...caller(), scopes: new Set() },
        { ...LINEAR, credential_type: 'bearer', credential_value: 'v' },
      ),
  ],
];

/** Expects every kind of write to be refused twice, without a change to records or entries. */
async function expectWritesRefused(opened: TestVault): Promise<void> {
  const before = [await readCredentialRows(opened.home), await readAuditEntryRows(opened.home)];
  for (const [name, write] of [...WRITES, ...WRITES]) {
    expect([name, await outcomeOf(write(opened))]).toEqual([name, BROKEN]);
  }
  expect([await readCredentialRows(opened.home), await readAuditEntryRows(opened.home)]).toEqual(before);
  // Reads still work.
  expect(await outcomeOf(opened.vault.status(opened.caller(), LINEAR))).toBe('ok');
}

describe('a flipped bit in the audit log', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each(['sealed', 'link'] as const)(
    'verification finds a flipped bit in any byte of the %s of any audit entry',
    async (column) => {
      const opened = await openTestVault(await fiveEntries());
      const rows = await readAuditEntryRows(opened.home);
      for (const [at, row] of rows.entries()) {
        for (const bit of bitsToFlip(row[column].length)) {
          await replaceAuditEntries(
            opened.home,
            rows.with(at, { ...row, [column]: flipBit(row[column], bit) }),
          );
          const found = await verified(opened);
          const expected: [string, number] =
            column === 'link' && at === 4 ? ['log_truncated', 5] : ['entry_changed', at + 1];
          expect([at, bit, found]).toEqual([at, bit, expect.arrayContaining([expected])]);
        }
      }
      await replaceAuditEntries(opened.home, rows);
      expect(await verified(opened)).toEqual([]);
    },
  );

  // In PostgreSQL, the head MAC is in the row of the chain.
  test.skipIf(test_engine.is_remote)(
    'verification finds a flipped bit where an entry before the last one would have its head MAC',
    async () => {
      const opened = await openTestVault(await fiveEntries());
      const rows = await readAuditEntryRows(opened.home);
      for (const [at, row] of rows.slice(0, 4).entries()) {
        for (const bit of bitsToFlip(32)) {
          await replaceAuditEntries(
            opened.home,
            rows.with(at, { ...row, head_mac: flipBit(row.head_mac, bit) }),
          );
          expect([at, bit, await verified(opened)]).toEqual([at, bit, [['entry_changed', at + 1]]]);
        }
      }
      // Another length is a change too.
      for (const head_mac of [Buffer.alloc(0), Buffer.alloc(33)]) {
        await replaceAuditEntries(opened.home, rows.with(0, { ...(rows[0] ?? lastOf(rows)), head_mac }));
        expect(await verified(opened)).toEqual([['entry_changed', 1]]);
      }
      await replaceAuditEntries(opened.home, rows);
      expect(await verified(opened)).toEqual([]);
    },
  );

  test('verification finds a flipped bit in any byte of the head MAC, and writes are refused', async () => {
    const home = await fiveEntries();
    const last = lastOf(await readAuditEntryRows(home));
    for (const bit of bitsToFlip(32)) {
      await replaceAuditEntries(home, [
        ...(await readAuditEntryRows(home)).slice(0, 4),
        { ...last, head_mac: flipBit(last.head_mac, bit) },
      ]);
      const opened = await openTestVault(home);
      expect([bit, await verified(opened)]).toEqual([bit, [['log_truncated', 5]]]);
      if (bit < 8) await expectWritesRefused(opened);
      await opened.vault.close();
    }
  });

  test('the audit list is refused if the last entry has a flipped bit', async () => {
    const home = await fiveEntries();
    const rows = await readAuditEntryRows(home);
    const last = lastOf(rows);
    await replaceAuditEntries(home, [...rows.slice(0, 4), { ...last, sealed: flipBit(last.sealed, 200) }]);
    const { vault, caller } = await openTestVault(home);
    expect(await outcomeOf(vault.listAudit(caller()))).toBe('CORRUPT record_damaged');
  });

  test.each([-1, 2, test_engine.is_remote ? 2 ** 31 - 1 : 2 ** 32])(
    'verification finds key version %d of an audit entry, and the audit list is refused',
    async (key_version) => {
      const home = await fiveEntries();
      await replaceAuditEntries(
        home,
        (await readAuditEntryRows(home)).map((row, at) => (at === 2 ? { ...row, key_version } : row)),
      );
      const opened = await openTestVault(home);
      expect(await verified(opened)).toContainEqual(['entry_changed', 3]);
      expect(await outcomeOf(opened.vault.listAudit(opened.caller()))).toBe('CORRUPT record_damaged');
    },
  );
});

/** Change, expected findings, and whether the head is still genuine. */
const CHANGES: readonly (readonly [
  string,
  (rows: readonly AuditEntryRow[]) => readonly AuditEntryRow[],
  readonly (readonly [string, number | null])[],
  'end is genuine' | 'end is forged',
])[] = [
  ['the first entry removed', (rows) => rows.slice(1), [['entry_missing', 1]], 'end is genuine'],
  ['an entry in the middle removed', (rows) => without(rows, 2), [['entry_missing', 3]], 'end is genuine'],
  ['several in the middle removed', (rows) => without(rows, 1, 2), [['entry_missing', 2]], 'end is genuine'],
  [
    'the entry before the last removed',
    (rows) => without(rows, 3),
    [
      ['log_truncated', 5],
      ['entry_missing', 4],
    ],
    'end is forged',
  ],
  [
    'all but the last removed',
    (rows) => rows.slice(4),
    [
      ['log_truncated', 5],
      ['entry_missing', 1],
    ],
    'end is forged',
  ],
  ['the last entry removed', (rows) => rows.slice(0, 4), [['log_truncated', 4]], 'end is forged'],
  ['the last two entries removed', (rows) => rows.slice(0, 3), [['log_truncated', 3]], 'end is forged'],
  ['all but the first removed', (rows) => rows.slice(0, 1), [['log_truncated', 1]], 'end is forged'],
  [
    'the last entry removed and its seal put on the one before',
    (rows) =>
      rows.slice(0, 4).map((row, at) => (at === 3 ? { ...row, head_mac: lastOf(rows).head_mac } : row)),
    [['log_truncated', 4]],
    'end is forged',
  ],
  [
    'the last entry removed, its link and seal put on the one before',
    (rows) => {
      const { link, head_mac } = lastOf(rows);
      return rows.slice(0, 4).map((row, at) => (at === 3 ? { ...row, link, head_mac } : row));
    },
    [['log_truncated', 4]],
    'end is forged',
  ],
  [
    'the last entry moved to the place before',
    (rows) => [...rows.slice(0, 3), { ...lastOf(rows), position: lastOf(rows).position - 1 }],
    [
      ['log_truncated', 4],
      ['entry_changed', 4],
    ],
    'end is forged',
  ],
  [
    'the whole log moved one place on',
    (rows) => rows.map((row) => ({ ...row, position: row.position + 1 })),
    [
      ['log_truncated', 6],
      ['entry_missing', 1],
    ],
    'end is forged',
  ],
  [
    'two entries in each other’s places',
    (rows) => traded(rows, 1, 2),
    [
      ['entry_changed', 2],
      ['entry_changed', 3],
    ],
    'end is genuine',
  ],
  [
    'the last two in each other’s places',
    (rows) => traded(rows, 3, 4),
    [
      ['log_truncated', 5],
      ['entry_changed', 4],
    ],
    'end is forged',
  ],
  [
    'one entry in the place of another',
    (rows) => rows.map((row, at) => (at === 2 ? { ...rowAt(rows, 1), position: row.position } : row)),
    [['entry_changed', 3]],
    'end is genuine',
  ],
  [
    'an entry repeated at the end',
    (rows) => [...rows, { ...lastOf(rows), position: lastOf(rows).position + 1 }],
    [
      ['log_truncated', 6],
      ['entry_changed', 6],
    ],
    'end is forged',
  ],
  [
    'an entry repeated far behind the end',
    (rows) => [...rows, { ...lastOf(rows), position: lastOf(rows).position + 1_000 }],
    [
      ['log_truncated', 1_005],
      ['entry_missing', 6],
    ],
    'end is forged',
  ],
  [
    'the seal of the end cleared',
    (rows) => rows.map((row) => ({ ...row, head_mac: NO_SEAL })),
    [['log_truncated', 5]],
    'end is forged',
  ],
  ['every entry removed', () => [], [['log_truncated', null]], 'end is forged'],
];

describe('a changed audit log', () => {
  test.each(CHANGES)('verification finds a changed audit log: %s', async (_, change, expected, end) => {
    const home = await fiveEntries();
    await replaceAuditEntries(home, change(await readAuditEntryRows(home)));
    const opened = await openTestVault(home);
    expect(await verified(opened)).toEqual(expect.arrayContaining([...expected]));
    if (end === 'end is forged') await expectWritesRefused(opened);
    else {
      // Verification still finds it after later writes.
      await opened.vault.store(opened.caller(), {
        ...LINEAR,
        credential_type: 'bearer',
        credential_value: 'next',
      });
      expect(await verified(opened)).toEqual(expect.arrayContaining([...expected]));
    }
  });

  test.each([
    ['the middle', 2],
    ['the end', 4],
  ] as const)(
    'verification finds an audit entry at %s that comes from a diverged copy of the vault',
    async (_, at) => {
      // Sealed with the same keys for the same position, the entry decrypts: only the chain shows that it is from
      // another history.
      const { vault, caller, home } = await openTestVault();
      await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
      await vault.close();
      const fork = await copyHome(home);
      const goOn = async (where: string) => {
        const opened = await openTestVault(where);
        for (const name of ['two', 'three', 'four']) {
          await opened.vault.store(opened.caller(), {
            ...LINEAR,
            name,
            credential_type: 'bearer',
            credential_value: name,
          });
        }
        await opened.vault.close();
      };
      await goOn(home);
      await goOn(fork);
      const foreign_entry = rowAt(await readAuditEntryRows(fork), at);
      await replaceAuditEntries(
        home,
        (await readAuditEntryRows(home)).map((row, index) => (index === at ? foreign_entry : row)),
      );
      const found = await verified(await openTestVault(home));
      expect(found).toContainEqual(at === 4 ? ['log_truncated', 5] : ['entry_changed', at + 2]);
    },
  );

  // A store of PostgreSQL refuses a database that has lost an entry which it confirmed, before it reads the log.
  test.skipIf(test_engine.is_remote)(
    'the next write finds an audit entry that was deleted while the vault is open',
    async () => {
      const opened = await openTestVault(await fiveEntries());
      await opened.vault.store(opened.caller(), {
        ...LINEAR,
        credential_type: 'bearer',
        credential_value: 'next',
      });
      await replaceAuditEntries(opened.home, (await readAuditEntryRows(opened.home)).slice(0, -1));
      await expectWritesRefused(opened);
      expect(await verified(opened)).toContainEqual(['log_truncated', 5]);
    },
  );

  test('the next write finds an audit entry that was added while the vault is open', async () => {
    const opened = await openTestVault(await fiveEntries());
    await opened.vault.store(opened.caller(), {
      ...LINEAR,
      credential_type: 'bearer',
      credential_value: 'next',
    });
    const rows = await readAuditEntryRows(opened.home);
    await replaceAuditEntries(opened.home, [
      ...rows,
      { ...lastOf(rows), position: lastOf(rows).position + 1 },
    ]);
    await expectWritesRefused(opened);
    expect(await verified(opened)).toContainEqual(['log_truncated', 7]);
  });

  test.each<readonly [string, (row: AuditChainRow) => AuditChainRow[]]>([
    ['its row of the chain removed', () => []],
    ['its row of the chain named otherwise', (row) => [{ ...row, organization: Buffer.of(0) }]],
    ['its row of the chain numbered otherwise', (row) => [{ ...row, number: row.number + 1 }]],
    ['its row of the chain numbered below zero', (row) => [{ ...row, number: -row.number }]],
  ])('verification finds a changed audit log: %s', async (_, change) => {
    const home = await fiveEntries();
    const database = openTestDatabase(home);
    await database.replaceAuditChains((await database.auditChains()).flatMap(change));
    const opened = await openTestVault(home);
    const found = await verified(opened);
    // In PostgreSQL, entries name their chain themselves, so that their positions are known without its row.
    if (test_engine.is_remote) expect(found.map(([kind]) => kind)).toContain('log_truncated');
    else expect(found).toContainEqual(['log_truncated', null]);
    await expectWritesRefused(opened);
  });

  test('verification finds an audit log that was deleted with its chain', async () => {
    const home = await fiveEntries();
    const database = openTestDatabase(home);
    await database.replaceAuditChains([]);
    await database.replaceAuditEntries([]);
    const opened = await openTestVault(home);
    expect(await verified(opened)).toContainEqual(['log_truncated', null]);
    await expectWritesRefused(opened);
  });

  test('verification finds the audit entries of another vault', async () => {
    const home = await fiveEntries();
    const other = await copyHome(await fiveEntries());
    await replaceAuditEntries(home, await readAuditEntryRows(other));
    const opened = await openTestVault(home);
    const found = await verified(opened);
    expect(found).toEqual([['log_truncated', 5], ...[1, 2, 3, 4, 5].map((at) => ['entry_changed', at])]);
    await expectWritesRefused(opened);
  });
});

test('an unchanged audit log written by two vaults in turn verifies without findings', async () => {
  const one = await openTestVault(await fiveEntries());
  const other = await openTestVault(one.home);
  for (const { vault, caller } of [one, other, one, one, other]) {
    await vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: 'again' } });
  }
  expect(await verified(one)).toEqual([]);
  expect(await one.vault.verifyAudit(one.caller())).toEqual({
    ok: true,
    entries: 10,
    credentials: 2,
    findings: [],
  });
  // Only the last entry has a head MAC.
  const seals = (await readAuditEntryRows(one.home)).map(({ head_mac }) => head_mac.equals(NO_SEAL));
  expect(seals).toEqual([...Array(9).fill(true), false]);
});

function rowAt(rows: readonly AuditEntryRow[], at: number): AuditEntryRow {
  const row = rows.at(at);
  if (row === undefined) throw new Error(`no entry ${at}`);
  return row;
}

function lastOf(rows: readonly AuditEntryRow[]): AuditEntryRow {
  return rowAt(rows, -1);
}

function without(rows: readonly AuditEntryRow[], ...removed: readonly number[]): AuditEntryRow[] {
  return rows.filter((_, at) => !removed.includes(at));
}

function traded(rows: readonly AuditEntryRow[], one: number, other: number): AuditEntryRow[] {
  const positions = rows.map(({ position }) => position);
  return rows.map((row, at) => {
    const from = at === one ? other : at === other ? one : at;
    return { ...rowAt(rows, from), position: positions[at] ?? row.position };
  });
}

test('verification reads each entry once, however many records are missing', async () => {
  const { vault, caller, home } = await openTestVault();
  for (let at = 0; at < 20; at++)
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'bearer',
      name: `n${at}`,
      credential_value: 'v',
    });
  const rows = await readCredentialRows(home);
  await replaceRecords(
    home,
    [],
    rows.map(({ seq }) => seq),
  );
  const decrypting = vi.spyOn(AuditLog.prototype, 'open');
  const report = await vault.verifyAudit(caller());
  const decrypted = decrypting.mock.calls.length;
  decrypting.mockRestore();
  expect(report.findings.map(({ kind }) => kind)).toEqual(Array(20).fill('record_missing'));
  // And the entry of the anchor, once.
  expect(decrypted).toBeLessThanOrEqual(report.entries + 1);
});
