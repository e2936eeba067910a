/**
 * Somebody with the disk and without the key changes the audit log. Verification finds it, and where the end of the log
 * is not the one the vault wrote, nothing more is written: a new entry would make a forged end look genuine.
 */
import { describe, expect, test } from 'vitest';
import { bitsToFlip, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import {
  copyHome,
  type EntryRow,
  endOf,
  entryRows,
  openDatabase,
  passMoment,
  recordRows,
  replaceEntries,
  tamper,
  withFlippedBit,
} from '../../kit/vault/database.ts';
import { openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

const BROKEN = 'CORRUPT audit_broken';
const LINEAR = { service_id: 'linear' };
const NO_SEAL = Buffer.alloc(32);

/** A closed vault with five entries: init, store, store, a refused delete, update. */
async function fiveEntries(): Promise<string> {
  const { vault, caller, home } = await openTestVault();
  await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
  await vault.store(caller(), { service_id: 'openai', credential_type: 'api_key', credential_value: 'two' });
  expect(await endOf(vault.delete(caller(), { ...LINEAR, name: 'none' }))).toBe('NOT_FOUND');
  await vault.update(caller(), { ...LINEAR, credentials: { linear_api_key: 'three' } });
  await vault.close();
  expect(entryRows(home)).toHaveLength(5);
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

/** No write of any kind goes through, twice over, and neither records nor entries are touched. */
async function expectWritesRefused(opened: TestVault): Promise<void> {
  const before = [recordRows(opened.home), entryRows(opened.home)];
  for (const [name, write] of [...WRITES, ...WRITES]) {
    expect([name, await endOf(write(opened))]).toEqual([name, BROKEN]);
  }
  expect([recordRows(opened.home), entryRows(opened.home)]).toEqual(before);
  // What is stored can still be asked for.
  expect(await endOf(opened.vault.status(opened.caller(), LINEAR))).toBe('ok');
}

describe('a flipped bit', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each(['sealed', 'link'] as const)(
    'in any byte of the %s of any entry is found at that entry or its end',
    async (column) => {
      const opened = await openTestVault(await fiveEntries());
      const rows = entryRows(opened.home);
      const database = openDatabase(opened.home);
      const put = database.prepare(`UPDATE audit_entry SET ${column} = ? WHERE place = ?`);
      for (const [at, row] of rows.entries()) {
        for (const bit of bitsToFlip(row[column].length)) {
          put.run(withFlippedBit(row[column], bit), row.place);
          passMoment();
          const found = await verified(opened);
          const expected: [string, number] =
            column === 'link' && at === 4 ? ['log_truncated', 5] : ['entry_changed', at + 1];
          expect([at, bit, found]).toEqual([at, bit, expect.arrayContaining([expected])]);
        }
        put.run(row[column], row.place);
        passMoment();
      }
      database.close();
      expect(await verified(opened)).toEqual([]);
    },
  );

  test('in any byte of the seal of the end is found, and nothing more is written', async () => {
    const home = await fiveEntries();
    const last = lastOf(entryRows(home));
    for (const bit of bitsToFlip(32)) {
      replaceEntries(home, [
        ...entryRows(home).slice(0, 4),
        { ...last, end_seal: withFlippedBit(last.end_seal, bit) },
      ]);
      const opened = await openTestVault(home);
      expect([bit, await verified(opened)]).toEqual([bit, [['log_truncated', 5]]]);
      if (bit < 8) await expectWritesRefused(opened);
      await opened.vault.close();
    }
  });

  test('in the last entry makes the list refuse to show it', async () => {
    const home = await fiveEntries();
    const rows = entryRows(home);
    const last = lastOf(rows);
    replaceEntries(home, [...rows.slice(0, 4), { ...last, sealed: withFlippedBit(last.sealed, 200) }]);
    const { vault, caller } = await openTestVault(home);
    expect(await endOf(vault.listAudit(caller()))).toBe('CORRUPT record_damaged');
  });

  test.each([-1, 2, 2 ** 32])(
    'key version %d of an entry is found, and the list refuses to show it',
    async (key_version) => {
      const home = await fiveEntries();
      replaceEntries(
        home,
        entryRows(home).map((row, at) => (at === 2 ? { ...row, key_version } : row)),
      );
      const opened = await openTestVault(home);
      expect(await verified(opened)).toContainEqual(['entry_changed', 3]);
      expect(await endOf(opened.vault.listAudit(opened.caller()))).toBe('CORRUPT record_damaged');
    },
  );
});

/** Changed rows, what verify must find, and whether the end is still the genuine one. */
const CHANGES: readonly (readonly [
  string,
  (rows: readonly EntryRow[]) => readonly EntryRow[],
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
      rows.slice(0, 4).map((row, at) => (at === 3 ? { ...row, end_seal: lastOf(rows).end_seal } : row)),
    [['log_truncated', 4]],
    'end is forged',
  ],
  [
    'the last entry removed, its link and seal put on the one before',
    (rows) => {
      const { link, end_seal } = lastOf(rows);
      return rows.slice(0, 4).map((row, at) => (at === 3 ? { ...row, link, end_seal } : row));
    },
    [['log_truncated', 4]],
    'end is forged',
  ],
  [
    'the last entry moved to the place before',
    (rows) => [...rows.slice(0, 3), { ...lastOf(rows), place: lastOf(rows).place - 1 }],
    [
      ['log_truncated', 4],
      ['entry_changed', 4],
    ],
    'end is forged',
  ],
  [
    'the whole log moved one place on',
    (rows) => rows.map((row) => ({ ...row, place: row.place + 1 })),
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
    (rows) => rows.map((row, at) => (at === 2 ? { ...rowAt(rows, 1), place: row.place } : row)),
    [['entry_changed', 3]],
    'end is genuine',
  ],
  [
    'an entry repeated at the end',
    (rows) => [...rows, { ...lastOf(rows), place: lastOf(rows).place + 1 }],
    [
      ['log_truncated', 6],
      ['entry_changed', 6],
    ],
    'end is forged',
  ],
  [
    'an entry repeated far behind the end',
    (rows) => [...rows, { ...lastOf(rows), place: lastOf(rows).place + 1_000 }],
    [
      ['log_truncated', 1_005],
      ['entry_missing', 6],
    ],
    'end is forged',
  ],
  [
    'the seal of the end cleared',
    (rows) => rows.map((row) => ({ ...row, end_seal: NO_SEAL })),
    [['log_truncated', 5]],
    'end is forged',
  ],
  ['every entry removed', () => [], [['log_truncated', null]], 'end is forged'],
];

describe('a log with', () => {
  test.each(CHANGES)('%s is found out', async (_, change, expected, end) => {
    const home = await fiveEntries();
    replaceEntries(home, change(entryRows(home)));
    const opened = await openTestVault(home);
    expect(await verified(opened)).toEqual(expect.arrayContaining([...expected]));
    if (end === 'end is forged') await expectWritesRefused(opened);
    else {
      // It goes on being found behind whatever is written next.
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
  ] as const)('an entry at %s from a copy of the vault that went another way is found out', async (_, at) => {
    // Sealed by the same keys for the same place, it opens: only the chain tells that it is of another history.
    const { vault, caller, home } = await openTestVault();
    await vault.store(caller(), { ...LINEAR, credential_type: 'bearer', credential_value: 'one' });
    await vault.close();
    const fork = copyHome(home);
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
    const theirs = rowAt(entryRows(fork), at);
    replaceEntries(
      home,
      entryRows(home).map((row, place) => (place === at ? theirs : row)),
    );
    const found = await verified(await openTestVault(home));
    expect(found).toContainEqual(at === 4 ? ['log_truncated', 5] : ['entry_changed', at + 2]);
  });

  test('an entry taken away while the vault is open is found out by its next write', async () => {
    const opened = await openTestVault(await fiveEntries());
    await opened.vault.store(opened.caller(), {
      ...LINEAR,
      credential_type: 'bearer',
      credential_value: 'next',
    });
    replaceEntries(opened.home, entryRows(opened.home).slice(0, -1));
    await expectWritesRefused(opened);
    expect(await verified(opened)).toContainEqual(['log_truncated', 5]);
  });

  test('an entry added while the vault is open is found out by its next write', async () => {
    const opened = await openTestVault(await fiveEntries());
    await opened.vault.store(opened.caller(), {
      ...LINEAR,
      credential_type: 'bearer',
      credential_value: 'next',
    });
    const rows = entryRows(opened.home);
    replaceEntries(opened.home, [...rows, { ...lastOf(rows), place: lastOf(rows).place + 1 }]);
    await expectWritesRefused(opened);
    expect(await verified(opened)).toContainEqual(['log_truncated', 7]);
  });

  test.each<readonly [string, string]>([
    ['its row of the chain removed', 'DELETE FROM audit_chain'],
    ['its row of the chain named otherwise', "UPDATE audit_chain SET organization = x'00'"],
    ['its row of the chain numbered otherwise', 'UPDATE audit_chain SET number = number + 1'],
    ['its row of the chain numbered below zero', 'UPDATE audit_chain SET number = -number'],
    ['everything about it removed', 'DELETE FROM audit_chain; DELETE FROM audit_entry'],
  ])('%s is found out', async (_, sql) => {
    const home = await fiveEntries();
    tamper(home, (database) => database.exec(sql));
    const opened = await openTestVault(home);
    expect(await verified(opened)).toContainEqual(['log_truncated', null]);
    await expectWritesRefused(opened);
  });

  test('the entries of another vault is found out', async () => {
    const home = await fiveEntries();
    const other = copyHome(await fiveEntries());
    replaceEntries(home, entryRows(other));
    const opened = await openTestVault(home);
    const found = await verified(opened);
    expect(found).toEqual([['log_truncated', 5], ...[1, 2, 3, 4, 5].map((at) => ['entry_changed', at])]);
    await expectWritesRefused(opened);
  });
});

test('a log that nobody touched is sound, and so is one that two processes wrote to in turn', async () => {
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
  // Only the last entry says that it is the last.
  const seals = entryRows(one.home).map(({ end_seal }) => end_seal.equals(NO_SEAL));
  expect(seals).toEqual([...Array(9).fill(true), false]);
});

function rowAt(rows: readonly EntryRow[], at: number): EntryRow {
  const row = rows.at(at);
  if (row === undefined) throw new Error(`no entry ${at}`);
  return row;
}

function lastOf(rows: readonly EntryRow[]): EntryRow {
  return rowAt(rows, -1);
}

function without(rows: readonly EntryRow[], ...gone: readonly number[]): EntryRow[] {
  return rows.filter((_, at) => !gone.includes(at));
}

function traded(rows: readonly EntryRow[], one: number, other: number): EntryRow[] {
  const places = rows.map(({ place }) => place);
  return rows.map((row, at) => {
    const from = at === one ? other : at === other ? one : at;
    return { ...rowAt(rows, from), place: places[at] ?? row.place };
  });
}
