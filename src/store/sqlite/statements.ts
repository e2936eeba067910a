/** The prepared statements that read. */
import type { Database, Statement } from 'better-sqlite3';
import type { AuditHead, StoredMeta, StoredRecord, StoreNow, WrappedKey } from '../store.ts';
import { POSITIONS_PER_ORGANIZATION } from './schema.ts';

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

/** The last two entries of the chain whose places lie between the two bounds, the last one first. */
export const LAST_ENTRIES =
  'SELECT place, key_version, sealed, link, end_seal FROM audit_entry WHERE place > ? AND place < ? ORDER BY place DESC LIMIT 2';
export interface LastEntryRow extends EntryRow {
  readonly end_seal: Buffer;
}

/** The end of a chain, of its last two rows. `start`: the place before the first of the chain. */
export function headOf([last, before]: readonly LastEntryRow[], start: number): AuditHead | undefined {
  if (last === undefined) return undefined;
  const { place, key_version, sealed, link, end_seal } = last;
  const previous_link = before?.place === place - 1 ? before.link : undefined;
  return { position: place - start, key_version, sealed, link, end_seal, previous_link };
}

/** Kind, id, scope, revision, key version, sealed meta. */
type FoundRow = readonly [string, Buffer, Buffer, number, number, Buffer];

const META = 'kind, id, scope, blind_index AS "index", revision, key_version, sealed_meta';

export interface Statements {
  readonly header: Statement<[], HeaderRow>;
  readonly key: Statement<[Buffer, number], WrappedKey>;
  readonly newest_key: Statement<[Buffer], WrappedKey>;
  readonly get: Statement<[Buffer], StoredRecord>;
  readonly find: Statement<[Buffer], FoundRow>;
  /** A whole row but its values. */
  readonly stands: Statement<[Buffer, string, Buffer, Buffer, number, number, Buffer], 1>;
  /** Scope, place to start below, limit. */
  readonly list: Statement<[Buffer, number, number], StoredMeta & { readonly place: number }>;
  readonly chain: Statement<[Buffer], number>;
  /** Place before the first, place after the last. */
  readonly last_entries: Statement<[number, number], LastEntryRow>;
  /** First place, place after the last, limit. */
  readonly entries: Statement<[number, number, number], EntryRow>;
}

/** The record at `index`, without its values. */
export function findMeta({ find }: Statements, index: Buffer): StoredMeta | undefined {
  const row = find.get(index);
  if (row === undefined) return undefined;
  const [kind, id, scope, revision, key_version, sealed_meta] = row;
  return { kind, id, scope, index, revision, key_version, sealed_meta };
}

/** The place before the first one of an organization's chain. */
export function chainStart({ chain }: Statements, organization: Buffer): number | undefined {
  const number = chain.get(organization);
  return number === undefined ? undefined : number * POSITIONS_PER_ORGANIZATION;
}

/** For plans, within a transaction. */
export function storeNow(prepared: () => Statements): StoreNow {
  return { find: (index) => findMeta(prepared(), index), get: (id) => prepared().get.get(id) };
}

/** Throws when the tables are not there. */
export function prepareStatements(database: Database): Statements {
  return {
    header: database.prepare('SELECT root_key_id, root_key_source, passphrase_salt, created_at FROM vault'),
    key: database.prepare('SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? AND version = ?'),
    newest_key: database.prepare(
      'SELECT owner, version, wrapped FROM wrapped_key WHERE owner = ? ORDER BY version DESC LIMIT 1',
    ),
    get: database.prepare(`SELECT ${META}, sealed_values FROM record WHERE id = ?`),
    // The read that statuses and writes make: as an array, and without the index, which whoever asks has.
    find: database
      .prepare<[Buffer], FoundRow>(
        'SELECT kind, id, scope, revision, key_version, sealed_meta FROM record WHERE blind_index = ?',
      )
      .raw(),
    stands: database
      .prepare<[Buffer, string, Buffer, Buffer, number, number, Buffer], 1>(
        `SELECT 1 FROM record WHERE id = ? AND kind = ? AND scope = ? AND blind_index = ? AND revision = ?
         AND key_version = ? AND sealed_meta = ?`,
      )
      .pluck(),
    list: database.prepare(
      `SELECT place, ${META} FROM record WHERE scope = ? AND place < ? ORDER BY place DESC LIMIT ?`,
    ),
    chain: database
      .prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?')
      .pluck(),
    last_entries: database.prepare(LAST_ENTRIES),
    entries: database.prepare(
      'SELECT place, key_version, sealed, link FROM audit_entry WHERE place >= ? AND place < ? ORDER BY place LIMIT ?',
    ),
  };
}
