/**
 * An attacker with access to the storage and without the key changes records. Using the record is CORRUPT, or
 * verification finds the change, and no wrong value is returned.
 */
import { describe, expect, test } from 'vitest';
import type { AuditReport } from '../../../src/contract/audit.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { bitsToFlip, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import {
  decryptStoredValues,
  flipBit,
  type RecordRow,
  readAuditEntryRows,
  readCredentialRows,
  replaceRecords,
  test_engine,
} from '../../kit/vault/database.ts';
import { copyHome, openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

const DAMAGED = 'CORRUPT record_damaged';
/** A flip in the version byte may look like a newer format. */
const NEWER = 'UNAVAILABLE newer_format';

/** A closed vault with two credentials that differ in stack, service, revision and values. */
async function twoCredentials() {
  const made = await openTestVault();
  const { vault, caller, home } = made;
  const a_values = { gmail_oauth_token: 'token-of-a', gmail_client_id: 'client-of-a' };
  const b_values = { openai_api_key: 'key-of-b' };
  const a = await vault.update(caller(), { service_id: 'gmail', credentials: a_values });
  const b = await vault.update(caller(), {
    service_id: 'openai',
    stack_id: 'b',
    credentials: { openai_api_key: 'old' },
  });
  await vault.update(caller(), { service_id: 'openai', stack_id: 'b', credentials: b_values });
  await vault.close();
  const id_of = ({ credential_id }: { credential_id: string | null }) => credential_id ?? '';
  return { home, a: { id: id_of(a), values: a_values }, b: { id: id_of(b), values: b_values } };
}

const statusOfA = ({ vault, caller }: TestVault) =>
  outcomeOf(vault.status(caller(), { service_id: 'gmail' }));
const statusOfB = ({ vault, caller }: TestVault) =>
  outcomeOf(vault.status(caller(), { service_id: 'openai', stack_id: 'b' }));
const updateA = ({ vault, caller }: TestVault) =>
  outcomeOf(vault.update(caller(), { service_id: 'gmail', credentials: { gmail_signature: 'added' } }));
const updateB = ({ vault, caller }: TestVault) => {
  const credentials = { openai_project_id: 'added' };
  return outcomeOf(vault.update(caller(), { service_id: 'openai', stack_id: 'b', credentials }));
};
/** Services in the list of a stack, or the outcome if it fails. */
async function servicesListed({ vault, caller }: TestVault, stack_id?: string): Promise<unknown> {
  const listing = vault.listCredentials(caller(), stack_id === undefined ? {} : { stack_id });
  const end = await outcomeOf(listing);
  return end === 'ok' ? (await listing).credentials.map(({ service_id }) => service_id).toSorted() : end;
}
/** The same for all credentials of the user. */
async function servicesById({ vault, caller }: TestVault): Promise<unknown> {
  const listing = vault.credentials.list(caller());
  const end = await outcomeOf(listing);
  return end === 'ok' ? (await listing).map(({ service_id }) => service_id).toSorted() : end;
}
const verify = ({ vault, caller }: TestVault): Promise<AuditReport> => vault.verifyAudit(caller());

async function firstCredential(home: string): Promise<RecordRow> {
  const [row] = await readCredentialRows(home);
  if (row === undefined) throw new Error('no row');
  return row;
}

function kindsFor(report: AuditReport, credential_id: string): string[] {
  return report.findings.filter((one) => one.credential_id === credential_id).map(({ kind }) => kind);
}

describe('a flipped bit in a record', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test('a flipped bit in sealed_meta makes status, update and store fail, is skipped in lists and found by verification', async () => {
    const { home, a } = await twoCredentials();
    const opened = await openTestVault(home);
    const { vault, caller } = opened;
    await vault.update(caller(), { service_id: 'linear', credentials: { linear_api_key: 'key-of-c' } });
    const row = await firstCredential(home);
    for (const bit of bitsToFlip(row.sealed_meta.length)) {
      await replaceRecords(home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, bit) }]);
      const expected = bit > 0 && bit < 8 ? NEWER : DAMAGED;
      const ends = [
        await statusOfA(opened),
        await updateA(opened),
        await outcomeOf(
          vault.store(caller(), { service_id: 'gmail', credential_type: 'bearer', credential_value: 'v' }),
        ),
      ];
      expect([bit, ...ends]).toEqual([bit, ...ends.map(() => expected)]);
      // A damaged credential does not hide others or connected services.
      expect([bit, await servicesListed(opened)]).toEqual([bit, expected === DAMAGED ? ['linear'] : NEWER]);
      expect([bit, await servicesById(opened)]).toEqual([
        bit,
        expected === DAMAGED ? ['linear', 'openai'] : NEWER,
      ]);
      expect(await outcomeOf(vault.listServices(caller(), {}))).toBe(expected === DAMAGED ? 'ok' : NEWER);
      expect([bit, ...kindsFor(await verify(opened), a.id)]).toEqual([bit, 'record_damaged']);
    }
    await replaceRecords(home, [row]);
    expect((await verify(opened)).ok).toBe(true);
    expect([await statusOfA(opened), await updateA(opened)]).toEqual(['ok', 'ok']);
    expect(await decryptStoredValues(home, a.id)).toEqual({ ...a.values, gmail_signature: 'added' });
  });

  test('a flipped bit in sealed_values makes update fail and is found by verification; status still works', async () => {
    const { home, a } = await twoCredentials();
    const opened = await openTestVault(home);
    const row = await firstCredential(home);
    for (const bit of bitsToFlip(row.sealed_values.length)) {
      await replaceRecords(home, [{ ...row, sealed_values: flipBit(row.sealed_values, bit) }]);
      const expected = bit > 0 && bit < 8 ? NEWER : DAMAGED;
      expect([bit, await statusOfA(opened), await updateA(opened)]).toEqual([bit, 'ok', expected]);
      expect([bit, ...kindsFor(await verify(opened), a.id)]).toEqual([bit, 'record_damaged']);
    }
    await replaceRecords(home, [row]);
    expect((await verify(opened)).ok).toBe(true);
    expect(await updateA(opened)).toBe('ok');
    expect(await decryptStoredValues(home, a.id)).toEqual({ ...a.values, gmail_signature: 'added' });
  });

  test.each(['id', 'scope', 'blind_index'] as const)(
    'a flipped bit in %s never leads to a wrong result',
    async (column) => {
      const { home, a } = await twoCredentials();
      const opened = await openTestVault(home);
      const row = await firstCredential(home);
      for (const bit of bitsToFlip(16)) {
        await replaceRecords(home, [{ ...row, [column]: flipBit(row[column], bit) }]);
        // With another index it is not found; otherwise it is found and fails to decrypt.
        const status = await statusOfA(opened);
        expect([bit, status]).toEqual([bit, column === 'blind_index' ? 'ok' : DAMAGED]);
        const expected = column === 'id' ? ['record_missing'] : ['record_damaged'];
        expect([bit, ...kindsFor(await verify(opened), a.id)]).toEqual([bit, ...expected]);
      }
      await replaceRecords(home, [row]);
      expect((await verify(opened)).ok).toBe(true);
    },
  );
});

const HOSTILE: readonly (readonly [string, (row: RecordRow) => Partial<RecordRow>, string])[] = [
  ['the revision before', ({ revision }) => ({ revision: revision - 1 }), DAMAGED],
  ['the revision after', ({ revision }) => ({ revision: revision + 1 }), DAMAGED],
  ['revision 0', () => ({ revision: 0 }), DAMAGED],
  ['a negative revision', () => ({ revision: -1 }), DAMAGED],
  ['a revision past what the format holds', () => ({ revision: 2 ** 48 }), DAMAGED],
  ['the largest revision', () => ({ revision: Number.MAX_SAFE_INTEGER }), DAMAGED],
  ['another key version', ({ key_version }) => ({ key_version: key_version + 1 }), DAMAGED],
  ['a negative key version', () => ({ key_version: -1 }), DAMAGED],
  ['a key version past what the format holds', () => ({ key_version: 2 ** 32 }), DAMAGED],
  ['another kind', () => ({ kind: 'audit' }), DAMAGED],
  ['no kind', () => ({ kind: '' }), DAMAGED],
  ['a kind that looks alike in eight bits', () => ({ kind: '\u0163redential' }), DAMAGED],
  ['a longer kind', ({ kind }) => ({ kind: `${kind}\0` }), DAMAGED],
  ['a scope with a byte more', ({ scope }) => ({ scope: Buffer.concat([scope, Buffer.of(0)]) }), DAMAGED],
  ['a scope with a byte less', ({ scope }) => ({ scope: scope.subarray(1) }), DAMAGED],
  ['a huge scope', () => ({ scope: Buffer.alloc(1_000) }), DAMAGED],
  ['no scope', () => ({ scope: Buffer.alloc(0) }), DAMAGED],
  ['empty sealed meta', () => ({ sealed_meta: Buffer.alloc(0) }), DAMAGED],
  ['the values in place of the meta', ({ sealed_values }) => ({ sealed_meta: sealed_values }), DAMAGED],
  ['the version alone', () => ({ sealed_meta: Buffer.of(1) }), DAMAGED],
  ['a meta cut off', ({ sealed_meta }) => ({ sealed_meta: sealed_meta.subarray(0, -1) }), DAMAGED],
  [
    'a longer meta',
    ({ sealed_meta }) => ({ sealed_meta: Buffer.concat([sealed_meta, Buffer.of(0)]) }),
    DAMAGED,
  ],
  ['a newer format', () => ({ sealed_meta: Buffer.of(2, 1, 0) }), NEWER],
];

/** PostgreSQL cannot store these, and a write there replaces and deletes no row whose revision is not positive. */
const SQLITE_ONLY = [
  'a key version past what the format holds',
  'a longer kind',
  'revision 0',
  'a negative revision',
];

describe('a record with a changed column', () => {
  test.each(HOSTILE.filter(([what]) => !(test_engine.is_remote && SQLITE_ONLY.includes(what))))(
    'a record with %s fails for status and update, is found by verification, and can be deleted unless it has a newer format',
    async (_, change, expected) => {
      const { home, b } = await twoCredentials();
      const row = (await readCredentialRows(home))[1];
      if (row === undefined) throw new Error('no row');
      await replaceRecords(home, [{ ...row, ...change(row) }]);
      const opened = await openTestVault(home);
      const { vault, caller } = opened;
      expect([await statusOfB(opened), await updateB(opened)]).toEqual([expected, expected]);
      expect(kindsFor(await verify(opened), b.id)).toContain('record_damaged');
      const target = { service_id: 'openai', stack_id: 'b' };
      expect(await outcomeOf(vault.delete(caller(), target))).toBe(expected === NEWER ? NEWER : 'ok');
      if (expected === NEWER) return;
      expect((await vault.status(caller(), target)).status).toBe('missing');
      const [entry] = (await vault.listAudit(caller(), {}, 1)).entries;
      expect(entry).toMatchObject({ action: 'delete', credential_id: b.id, outcome: 'allowed' });
      expect(await updateB(opened)).toBe('ok');
    },
  );

  test.each<readonly [string, (row: RecordRow) => Buffer]>([
    ['a byte more', ({ blind_index }) => Buffer.concat([blind_index, Buffer.of(0)])],
    ['a byte less', ({ blind_index }) => blind_index.subarray(1)],
    ['nothing in it', () => Buffer.alloc(0)],
    ['a thousand bytes', () => Buffer.alloc(1_000)],
  ])(
    'a record whose index has %s is not found by name or listed, and is found by verification',
    async (_, change) => {
      const { home, b } = await twoCredentials();
      const row = (await readCredentialRows(home))[1];
      if (row === undefined) throw new Error('no row');
      await replaceRecords(home, [{ ...row, blind_index: change(row) }]);
      const opened = await openTestVault(home);
      const { vault, caller } = opened;
      expect((await vault.status(caller(), { service_id: 'openai', stack_id: 'b' })).status).toBe('missing');
      expect(await servicesListed(opened, 'b')).toEqual([]);
      expect(kindsFor(await verify(opened), b.id)).toEqual(['record_damaged']);
    },
  );
});

describe('a damaged credential', () => {
  async function damagedA() {
    const { home, a } = await twoCredentials();
    const row = (await readCredentialRows(home))[0];
    if (row === undefined) throw new Error('no row');
    await replaceRecords(home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    return { opened: await openTestVault(home), a };
  }

  test('deleting a damaged credential leaves a valid audit log and frees its name', async () => {
    const { opened, a } = await damagedA();
    const { vault, caller } = opened;
    const gmail = { service_id: 'gmail' };
    expect(await servicesListed(opened)).toEqual([]);
    await vault.delete(caller(), gmail);
    expect((await verify(opened)).findings).toEqual([]);
    expect(await outcomeOf(vault.delete(caller(), gmail))).toBe('NOT_FOUND');
    const again = await vault.update(caller(), { ...gmail, credentials: { gmail_oauth_token: 'new' } });
    expect(again.credential_id).not.toBe(a.id);
    expect((await vault.listCredentials(caller(), {})).credentials).toHaveLength(1);
    expect((await verify(opened)).findings).toEqual([]);
  });

  test('a damaged credential is not deleted without credentials:write, nor by its id, which does not show its owner', async () => {
    const { opened, a } = await damagedA();
    const { vault, caller } = opened;
    const reader = () => ({ ...caller(), scopes: new Set(['credentials:read'] as const) });
    expect(await outcomeOf(vault.delete(reader(), { service_id: 'gmail' }))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.credentials.delete(caller(), a.id))).toBe('NOT_FOUND');
    expect(await readCredentialRows(opened.home)).toHaveLength(2);
  });
});

const COLUMNS = ['id', 'scope', 'blind_index', 'revision', 'sealed_meta', 'sealed_values'] as const;

describe('two records with swapped columns', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test('two records that swap any columns are CORRUPT or found by verification, and never give a wrong value', async () => {
    const { home, a, b } = await twoCredentials();
    const [row_a, row_b] = await readCredentialRows(home);
    if (row_a === undefined || row_b === undefined) throw new Error('no rows');
    const combinations = Array.from({ length: 2 ** COLUMNS.length }, (_, bits) =>
      COLUMNS.filter((__, at) => (bits >> at) & 1),
    );
    const opened = await openTestVault(home);
    const entries = (await readAuditEntryRows(home)).length;
    for (const columns of combinations.slice(1, -1)) {
      const traded = (to: RecordRow, from: RecordRow): RecordRow => ({
        ...to,
        ...Object.fromEntries(columns.map((column) => [column, from[column]])),
      });
      await replaceRecords(home, [traded(row_a, row_b), traded(row_b, row_a)]);
      const report = await verify(opened);
      const found = report.findings.map(({ kind }) => kind);
      expect([columns, found]).toEqual([columns, expect.arrayContaining(['record_damaged'])]);
      expect([columns, new Set([...kindsFor(report, a.id), ...kindsFor(report, b.id)]).size > 0]).toEqual([
        columns,
        true,
      ]);
      // No update succeeds: each record has lost a bound column.
      expect([columns, await updateA(opened), await updateB(opened)]).toEqual([columns, DAMAGED, DAMAGED]);
    }
    expect(await readAuditEntryRows(home)).toHaveLength(entries);
    await replaceRecords(home, [row_a, row_b]);
    expect((await verify(opened)).ok).toBe(true);
  });

  test('two records that swap only their sequence numbers stay valid', async () => {
    const { home, a, b } = await twoCredentials();
    const [row_a, row_b] = await readCredentialRows(home);
    if (row_a === undefined || row_b === undefined) throw new Error('no rows');
    await replaceRecords(home, [
      { ...row_a, seq: row_b.seq },
      { ...row_b, seq: row_a.seq },
    ]);
    const opened = await openTestVault(home);
    expect([await updateA(opened), await updateB(opened), (await verify(opened)).ok]).toEqual([
      'ok',
      'ok',
      true,
    ]);
    expect(await decryptStoredValues(home, a.id)).toEqual({ ...a.values, gmail_signature: 'added' });
    expect(await decryptStoredValues(home, b.id)).toEqual({ ...b.values, openai_project_id: 'added' });
  });

  test('records of one vault fail to decrypt in another, in parts or as a whole', async () => {
    const one = await twoCredentials();
    const other = await twoCredentials();
    const [own_row] = await readCredentialRows(one.home);
    const [foreign_row] = await readCredentialRows(other.home);
    if (own_row === undefined || foreign_row === undefined) throw new Error('no rows');
    const sealed = { sealed_meta: foreign_row.sealed_meta, sealed_values: foreign_row.sealed_values };
    const with_foreign_parts = await copyHome(one.home);
    await replaceRecords(with_foreign_parts, [{ ...own_row, ...sealed }]);
    expect(await statusOfA(await openTestVault(with_foreign_parts))).toBe(DAMAGED);
    const with_foreign_row = await copyHome(one.home);
    await replaceRecords(with_foreign_row, [
      { ...foreign_row, seq: own_row.seq, scope: own_row.scope, blind_index: own_row.blind_index },
    ]);
    const opened = await openTestVault(with_foreign_row);
    expect(await statusOfA(opened)).toBe(DAMAGED);
    expect((await verify(opened)).findings.map(({ kind }) => kind)).toEqual([
      'record_missing',
      'record_unlogged',
    ]);
  });
});
