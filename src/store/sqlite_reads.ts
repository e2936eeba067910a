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

export interface Reads {
  readonly header: Statement<[], HeaderRow>;
  readonly key: Statement<[Buffer, number], WrappedKey>;
  readonly newest_key: Statement<[Buffer], WrappedKey>;
  readonly get: Statement<[Buffer], StoredRecord>;
  readonly find: Statement<[Buffer], StoredMeta>;
  /** Scope, place to start below, limit. */
  readonly list: Statement<[Buffer, number, number], StoredMeta & { readonly place: number }>;
  readonly chain: Statement<[Buffer], number>;
  /** Place before the first, place after the last. */
  readonly last_entry: Statement<[number, number], LastEntryRow>;
  /** First place, place after the last, limit. */
  readonly entries: Statement<[number, number, number], EntryRow>;
}

/** Throws when the tables are not there. */
export function prepareReads(database: Database): Reads {
  return {
    header: database.prepare('SELECT root_key_id, root_key_source, passphrase_salt, created_at FROM vault'),
    key: database.prepare('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? AND version = ?'),
    newest_key: database.prepare('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version DESC LIMIT 1'),
    get: database.prepare(`SELECT ${META}, sealed_values FROM record WHERE id = ?`),
    find: database.prepare(`SELECT ${META} FROM record WHERE blind_index = ?`),
    list: database.prepare(`SELECT place, ${META} FROM record WHERE scope = ? AND place < ? ORDER BY place DESC LIMIT ?`),
    chain: database.prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?').pluck(),
    last_entry: database.prepare(LAST_ENTRY),
    entries: database.prepare('SELECT place, key_version, sealed, link FROM audit_entry WHERE place >= ? AND place < ? ORDER BY place LIMIT ?'),
  };
}
