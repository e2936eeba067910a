/** The prepared statements that read. */
import type { Database, Statement } from 'better-sqlite3';
import type { StoredMeta, StoredRecord, WrappedKey } from './store.ts';

interface HeaderRow {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  readonly passphrase_salt: Buffer | null;
  readonly created_at: string;
}
interface EntryRow {
  readonly place: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
}

/** The last entry of the chain whose places lie between the two bounds. */
export const LAST_ENTRY =
  'SELECT place, link, end_seal FROM audit_entry WHERE place > ? AND place < ? ORDER BY place DESC LIMIT 1';
export interface LastEntryRow {
  readonly place: number;
  readonly link: Buffer;
  readonly end_seal: Buffer;
}

const META = 'kind, id, scope, blind_index AS "index", revision, key_version, sealed_meta';

export type Reads = ReturnType<typeof prepareReads>;

/** Throws when the tables are not there. */
export function prepareReads(database: Database) {
  const prepare = <Parameters extends unknown[], Row>(sql: string): Statement<Parameters, Row> => database.prepare(sql);
  return {
    header: prepare<[], HeaderRow>('SELECT root_key_id, root_key_source, passphrase_salt, created_at FROM vault'),
    key: prepare<[Buffer, number], WrappedKey>('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? AND version = ?'),
    newest_key: prepare<[Buffer], WrappedKey>(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version DESC LIMIT 1',
    ),
    get: prepare<[Buffer], StoredRecord>(`SELECT ${META}, sealed_values FROM record WHERE id = ?`),
    find: prepare<[Buffer], StoredMeta>(`SELECT ${META} FROM record WHERE blind_index = ?`),
    list: prepare<[Buffer, number, number], StoredMeta & { readonly place: number }>(
      `SELECT place, ${META} FROM record WHERE scope = ? AND place < ? ORDER BY place DESC LIMIT ?`,
    ),
    chain: prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?').pluck(),
    last_entry: prepare<[number, number], LastEntryRow>(LAST_ENTRY),
    entries: prepare<[number, number, number], EntryRow>(
      'SELECT place, key_version, sealed, link FROM audit_entry WHERE place >= ? AND place < ? ORDER BY place LIMIT ?',
    ),
  };
}
