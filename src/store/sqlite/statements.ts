/** The prepared statements that read, and the conversion of their rows. */
import type { Database, Statement } from 'better-sqlite3';
import type {
  ChainHead,
  LoadedRow,
  Page,
  RecordPage,
  RowRead,
  ScopeUsage,
  StoredEntry,
  StoredHead,
  StoredMeta,
  StoredRecord,
  StoreHeader,
  WrappedKey,
} from '../store.ts';
import { formatOf, POSITIONS_PER_ORGANIZATION } from './schema.ts';

interface HeaderRow {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  readonly passphrase_salt: Buffer | null;
  readonly root_key_ref: string | null;
  readonly root_key_sealed: Buffer | null;
  readonly created_at: string;
}
export interface EntryRow {
  readonly seq: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
  readonly head_mac: Buffer;
}

const SELECT_ENTRIES =
  'SELECT rowid AS seq, key_version, sealed, link, end_seal AS head_mac FROM audit_entry';
/** The last two entries of the chain whose rowids are between the two bounds, the last one first. */
export const LAST_ENTRIES = `${SELECT_ENTRIES} WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC LIMIT 2`;

/** The head of a chain, from its last two rows. `start`: the rowid before the first entry of the chain. */
export function headOf([last, before]: readonly EntryRow[], start: number): ChainHead | undefined {
  if (last === undefined) return undefined;
  const { seq, key_version, sealed, link, head_mac } = last;
  const previous_link = before?.seq === seq - 1 ? before.link : undefined;
  return { position: seq - start, key_version, sealed, link, head_mac, previous_link };
}

/** The columns that a row has beside its key, by position: faster than an object per row. */
type FoundRow = readonly [kind: string, scope: Buffer, revision: number, key_version: number, meta: Buffer];
type FoundByIndex = readonly [...FoundRow, id: Buffer];
type FoundById = readonly [...FoundRow, index: Buffer];
type WithValues<Row extends readonly unknown[]> = readonly [...Row, sealed_values: Buffer];

export interface Statements {
  readonly key: Statement<[Buffer, number], WrappedKey>;
  readonly newest_key: Statement<[Buffer], WrappedKey>;
  readonly key_versions: Statement<[Buffer], WrappedKey>;
  readonly newest_version: Statement<[], number | null>;
  /** Owner and version of the key before the first, limit. */
  readonly keys_after: Statement<[Buffer, number, number], WrappedKey>;
  /** Exclusive lower bound of the rowid, limit. */
  readonly last_of_page: Statement<[number, number], number | null>;
  /** Exclusive lower bound and inclusive upper bound of the rowid, key version, organization. */
  readonly below_version: Statement<[number, number, number, Buffer], StoredRecord>;
  readonly find: Statement<[Buffer], FoundByIndex>;
  readonly find_with_values: Statement<[Buffer], WithValues<FoundByIndex>>;
  readonly find_by_id: Statement<[Buffer], FoundById>;
  readonly get: Statement<[Buffer], WithValues<FoundById>>;
  /** Scope, exclusive upper bound of the rowid, limit. */
  readonly list: Statement<[Buffer, number, number], StoredMeta & { readonly seq: number }>;
  readonly usage: Statement<[Buffer], ScopeUsage>;
  readonly chain: Statement<[Buffer], number>;
  readonly heads: Statement<[], HeadRow>;
  /** Exclusive bounds of the rowid. */
  readonly last_entries: Statement<[number, number], EntryRow>;
  /** First rowid, rowid after the last, limit. */
  readonly entries: Statement<[number, number, number], EntryRow>;
}

export function findMeta(sql: Statements, index: Buffer): StoredMeta | undefined {
  const row = sql.find.get(index);
  return row && toMeta(row, row[5], index);
}

export function findMetaById(sql: Statements, id: Buffer): StoredMeta | undefined {
  const row = sql.find_by_id.get(id);
  return row && toMeta(row, id, row[5]);
}

export function getRecord(sql: Statements, id: Buffer): StoredRecord | undefined {
  const row = sql.get.get(id);
  return row && { ...toMeta(row, id, row[5]), sealed_values: row[6] };
}

/** Reads a row for a change, inside its transaction. */
export function loadRow(sql: Statements, read: RowRead): LoadedRow | undefined {
  if (read.values !== true) {
    const row = 'id' in read ? findMetaById(sql, read.id) : findMeta(sql, read.index);
    return row && { row, sealed_values: undefined };
  }
  if ('id' in read) {
    const row = sql.get.get(read.id);
    return row && { row: toMeta(row, read.id, row[5]), sealed_values: row[6] };
  }
  const row = sql.find_with_values.get(read.index);
  return row && { row: toMeta(row, row[5], read.index), sealed_values: row[6] };
}

/** Not among the prepared statements: another process may have upgraded the file. Throws what the driver throws. */
export function readHeader(database: Database): StoreHeader | undefined {
  // A file of an earlier format is read before it is upgraded; one that is read-only never is.
  const has_root_key_columns = formatOf(database) > 2;
  const row = database
    .prepare<[], HeaderRow>(
      `SELECT root_key_id, root_key_source, passphrase_salt, created_at,
       ${has_root_key_columns ? 'root_key_ref, root_key_sealed' : 'NULL AS root_key_ref, NULL AS root_key_sealed'} FROM vault`,
    )
    .get();
  if (row === undefined) return undefined;
  const { passphrase_salt, root_key_ref, root_key_sealed } = row;
  return {
    ...row,
    passphrase_salt: passphrase_salt ?? undefined,
    root_key_ref: root_key_ref ?? undefined,
    root_key_sealed: root_key_sealed ?? undefined,
  };
}

function toMeta(row: readonly [...FoundRow, ...Buffer[]], id: Buffer, index: Buffer): StoredMeta {
  const [kind, scope, revision, key_version, sealed_meta] = row;
  return { kind, id, scope, index, revision, key_version, sealed_meta, derived: undefined };
}

/** See `Store.recordsBelowVersion`. */
export function recordsBelowVersion(
  sql: Statements,
  organization: Buffer,
  version: number,
  limit: number,
  after = '0',
): RecordPage {
  const last = sql.last_of_page.get(Number(after), limit) ?? undefined;
  if (last === undefined) return { records: [], next: undefined };
  const records = sql.below_version.all(Number(after), last, version, organization);
  return { records, next: String(last) };
}

/** See `Store.list`. */
export function listScope(sql: Statements, scope: Buffer, limit: number, after?: string): Page {
  const rows = sql.list.all(scope, Number(after ?? Number.MAX_SAFE_INTEGER), limit + 1);
  const more = rows.length > limit;
  const records = more ? rows.slice(0, limit) : rows;
  return { records, next: more ? String(records.at(-1)?.seq) : undefined };
}

/** See `Store.auditHead`. */
export function headOfChain(sql: Statements, organization: Buffer): ChainHead | undefined {
  const start = chainStart(sql, organization);
  if (start === undefined) return undefined;
  return headOf(sql.last_entries.all(start, start + POSITIONS_PER_ORGANIZATION), start);
}

/** See `Store.auditEntries`. */
export function entriesFrom(
  sql: Statements,
  organization: Buffer,
  from_position: number,
  limit: number,
): readonly StoredEntry[] {
  const start = chainStart(sql, organization);
  if (start === undefined) return [];
  const rows = sql.entries.all(start + from_position, start + POSITIONS_PER_ORGANIZATION, limit);
  return rows.map(({ seq, ...entry }) => ({ position: seq - start, ...entry }));
}

interface HeadRow {
  readonly organization: Buffer;
  readonly number: number;
  readonly seq: number;
  readonly link: Buffer;
}

export function toStoredHead({ organization, number, seq, link }: HeadRow): StoredHead {
  return { organization, position: seq - number * POSITIONS_PER_ORGANIZATION, link };
}

/** The rowid before the first entry of an organization's chain. */
export function chainStart({ chain }: Statements, organization: Buffer): number | undefined {
  const number = chain.get(organization);
  return number === undefined ? undefined : number * POSITIONS_PER_ORGANIZATION;
}

/** Throws if a table is missing. */
export function prepareStatements(database: Database): Statements {
  const found = 'kind, scope, revision, key_version, sealed_meta';
  // A file of format 1 has no such column until the first write, and one that is read-only never gets it.
  const organization = formatOf(database) === 1 ? "x''" : 'organization';
  return {
    key: database.prepare('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? AND version = ?'),
    newest_key: database.prepare(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version DESC LIMIT 1',
    ),
    key_versions: database.prepare(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version',
    ),
    newest_version: database.prepare<[], number | null>('SELECT max(version) FROM wrapped_key').pluck(),
    keys_after: database.prepare(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE (owner, version) > (?, ?) ORDER BY owner, version LIMIT ?',
    ),
    last_of_page: database
      .prepare<[number, number], number | null>(
        'SELECT max(seq) FROM (SELECT rowid AS seq FROM record WHERE rowid > ? ORDER BY rowid LIMIT ?)',
      )
      .pluck(),
    // Files that were upgraded from format 1 have records without an organization.
    below_version: database.prepare(
      `SELECT ${found}, id, blind_index AS "index", sealed_values FROM record
       WHERE rowid > ? AND rowid <= ? AND key_version < ? AND ${organization} IN (?, x'') ORDER BY rowid`,
    ),
    find: database
      .prepare<[Buffer], FoundByIndex>(`SELECT ${found}, id FROM record WHERE blind_index = ?`)
      .raw(),
    find_with_values: database
      .prepare<[Buffer], WithValues<FoundByIndex>>(
        `SELECT ${found}, id, sealed_values FROM record WHERE blind_index = ?`,
      )
      .raw(),
    find_by_id: database
      .prepare<[Buffer], FoundById>(`SELECT ${found}, blind_index FROM record WHERE id = ?`)
      .raw(),
    get: database
      .prepare<[Buffer], WithValues<FoundById>>(
        `SELECT ${found}, blind_index, sealed_values FROM record WHERE id = ?`,
      )
      .raw(),
    list: database.prepare(
      `SELECT rowid AS seq, ${found}, id, blind_index AS "index" FROM record WHERE scope = ? AND rowid < ? ORDER BY rowid DESC LIMIT ?`,
    ),
    usage: database.prepare(
      'SELECT count(*) AS count, coalesce(sum(length(sealed_values)), 0) AS values_bytes FROM record WHERE scope = ?',
    ),
    chain: database
      .prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?')
      .pluck(),
    heads: database.prepare(
      `SELECT organization, number, e.rowid AS seq, link FROM audit_chain JOIN audit_entry e ON e.rowid =
       (SELECT max(rowid) FROM audit_entry WHERE rowid > number * ${POSITIONS_PER_ORGANIZATION} AND rowid < (number + 1) * ${POSITIONS_PER_ORGANIZATION})`,
    ),
    last_entries: database.prepare(LAST_ENTRIES),
    entries: database.prepare(`${SELECT_ENTRIES} WHERE rowid >= ? AND rowid < ? ORDER BY rowid LIMIT ?`),
  };
}
