/** The prepared statements that read, and the conversion of their rows. */
import type { Database, Statement } from 'better-sqlite3';
import type { ChainHead, LoadedRow, RowRead, StoredMeta, StoredRecord, WrappedKey } from '../store.ts';
import { POSITIONS_PER_ORGANIZATION } from './schema.ts';

interface HeaderRow {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  readonly passphrase_salt: Buffer | null;
  readonly created_at: string;
}
interface EntryRow {
  readonly seq: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
}

/** The last two entries of the chain whose rowids are between the two bounds, the last one first. */
export const LAST_ENTRIES =
  'SELECT rowid AS seq, key_version, sealed, link, end_seal AS head_mac FROM audit_entry WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC LIMIT 2';
export interface LastEntryRow extends EntryRow {
  readonly head_mac: Buffer;
}

/** The head of a chain, from its last two rows. `start`: the rowid before the first entry of the chain. */
export function headOf([last, before]: readonly LastEntryRow[], start: number): ChainHead | undefined {
  if (last === undefined) return undefined;
  const { seq, key_version, sealed, link, head_mac } = last;
  const previous_link = before?.seq === seq - 1 ? before.link : undefined;
  return { position: seq - start, key_version, sealed, link, head_mac, previous_link };
}

/** In the order of META, by position: faster than an object per row. */
type MetaRow = readonly [string, Buffer, Buffer, Buffer, Buffer, number, number, Buffer];
type RecordRow = readonly [...MetaRow, Buffer];

export interface Statements {
  readonly header: Statement<[], HeaderRow>;
  readonly key: Statement<[Buffer, number], WrappedKey>;
  readonly newest_key: Statement<[Buffer], WrappedKey>;
  readonly get: Statement<[Buffer], RecordRow>;
  readonly find: Statement<[Buffer], MetaRow>;
  readonly find_by_id: Statement<[Buffer], MetaRow>;
  readonly find_with_values: Statement<[Buffer], RecordRow>;
  /** Scope, exclusive upper bound of the rowid, limit. */
  readonly list: Statement<[Buffer, number, number], StoredMeta & { readonly seq: number }>;
  readonly chain: Statement<[Buffer], number>;
  /** Exclusive bounds of the rowid. */
  readonly last_entries: Statement<[number, number], LastEntryRow>;
  /** First rowid, rowid after the last, limit. */
  readonly entries: Statement<[number, number, number], EntryRow>;
}

export function toMeta(row: MetaRow | RecordRow | undefined): StoredMeta | undefined {
  if (row === undefined) return undefined;
  const [kind, id, organization, scope, index, revision, key_version, sealed_meta] = row;
  return { kind, id, organization, scope, index, revision, key_version, sealed_meta };
}

export function toRecord(row: RecordRow | undefined): StoredRecord | undefined {
  if (row === undefined) return undefined;
  const [kind, id, organization, scope, index, revision, key_version, sealed_meta, sealed_values] = row;
  return { kind, id, organization, scope, index, revision, key_version, sealed_meta, sealed_values };
}

/** Reads a row for a change, inside its transaction. */
export function loadRow(sql: Statements, read: RowRead): LoadedRow | undefined {
  if (read.values === true) {
    const found = 'id' in read ? sql.get.get(read.id) : sql.find_with_values.get(read.index);
    const row = toMeta(found);
    return row && { row, sealed_values: found?.[8] };
  }
  const row = toMeta('id' in read ? sql.find_by_id.get(read.id) : sql.find.get(read.index));
  return row && { row, sealed_values: undefined };
}

/** The rowid before the first entry of an organization's chain. */
export function chainStart({ chain }: Statements, organization: Buffer): number | undefined {
  const number = chain.get(organization);
  return number === undefined ? undefined : number * POSITIONS_PER_ORGANIZATION;
}

/** `has_organization`: false for a file of format 1, which has no such column. Throws if a table is missing. */
export function prepareStatements(database: Database, has_organization: boolean): Statements {
  const organization = has_organization ? 'organization' : "x'' AS organization";
  const meta = `kind, id, ${organization}, scope, blind_index AS "index", revision, key_version, sealed_meta`;
  const records = `SELECT ${meta}, sealed_values FROM record`;
  return {
    header: database.prepare('SELECT root_key_id, root_key_source, passphrase_salt, created_at FROM vault'),
    key: database.prepare('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? AND version = ?'),
    newest_key: database.prepare(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version DESC LIMIT 1',
    ),
    get: database.prepare<[Buffer], RecordRow>(`${records} WHERE id = ?`).raw(),
    find: database.prepare<[Buffer], MetaRow>(`SELECT ${meta} FROM record WHERE blind_index = ?`).raw(),
    find_by_id: database.prepare<[Buffer], MetaRow>(`SELECT ${meta} FROM record WHERE id = ?`).raw(),
    find_with_values: database.prepare<[Buffer], RecordRow>(`${records} WHERE blind_index = ?`).raw(),
    list: database.prepare(
      `SELECT rowid AS seq, ${meta} FROM record WHERE scope = ? AND rowid < ? ORDER BY rowid DESC LIMIT ?`,
    ),
    chain: database
      .prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?')
      .pluck(),
    last_entries: database.prepare(LAST_ENTRIES),
    entries: database.prepare(
      'SELECT rowid AS seq, key_version, sealed, link FROM audit_entry WHERE rowid >= ? AND rowid < ? ORDER BY rowid LIMIT ?',
    ),
  };
}
