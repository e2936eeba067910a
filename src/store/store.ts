/**
 * The interface between the vault and a storage engine, local or over a network: no method
 * reads synchronously. A store sees ciphertext and blind indexes only, and decides nothing but whether a revision is current.
 */

import type { VaultMove } from './move.ts';

/** A record without its values: all that status and lists need. */
export interface StoredMeta {
  readonly kind: string;
  /** 16 bytes of a UUID. */
  readonly id: Buffer;
  readonly scope: Buffer;
  readonly index: Buffer;
  /** Counts up from 1 with every write. */
  readonly revision: number;
  readonly key_version: number;
  readonly sealed_meta: Buffer;
  /** Data that the vault derived from a row found by its index. Cached with the object, and never stored. */
  derived?: unknown;
}

/** Whether nothing of a row has changed but its values. */
export function isSameRow(a: StoredMeta, b: StoredMeta): boolean {
  return (
    a === b ||
    (a.kind === b.kind &&
      a.revision === b.revision &&
      a.key_version === b.key_version &&
      a.sealed_meta.equals(b.sealed_meta) &&
      a.id.equals(b.id) &&
      a.scope.equals(b.scope) &&
      a.index.equals(b.index))
  );
}

export interface StoredRecord extends StoredMeta {
  readonly sealed_values: Buffer;
}

/**
 * One write of a batch. `put` with `expected_revision` 0 creates: neither the id nor the index may exist. `check` only
 * requires that the record has this revision; `check_none`, that the scope is empty after the writes before it.
 */
export type RecordWrite =
  | { readonly do: 'check'; readonly expected_revision: number; readonly id: Buffer }
  | { readonly do: 'check_none'; readonly scope: Buffer }
  | {
      readonly do: 'put';
      readonly expected_revision: number;
      /** 16 bytes: the blind index of the organization that the record belongs to. Does not change. */
      readonly organization: Buffer;
      readonly row: StoredMeta;
      readonly sealed_values: Buffer;
    }
  | { readonly do: 'delete'; readonly expected_revision: number; readonly id: Buffer };

export type RecordPut = Extract<RecordWrite, { readonly do: 'put' }>;

export interface SealedEntry {
  readonly sealed: Buffer;
  readonly link: Buffer;
  /** Proves that this entry is the head of its chain. Kept for the head only: zeros in every other entry. */
  readonly head_mac: Buffer;
}

/** The last entry of an organization's audit chain. */
export interface ChainHead extends SealedEntry {
  readonly position: number;
  readonly key_version: number;
  /** `undefined` if the head is the first entry, or the entry before it is missing. */
  readonly previous_link: Buffer | undefined;
}

/**
 * An audit entry that is sealed once its position in the chain is known, inside the transaction. Both functions are
 * synchronous and pure; an exception undoes the batch.
 */
export interface AuditAppend {
  readonly organization: Buffer;
  /** Never below that of the head: the store rejects such an append with CONFLICT, reason `key_rotated`, before `checkHead`. */
  readonly key_version: number;
  /** Throws if the stored head is not genuine. `undefined`: the chain is empty. */
  checkHead(head: ChainHead | undefined): void;
  sealEntry(position: number, previous_link: Buffer | undefined): SealedEntry;
}

/** Writes and audit entries that are committed together or not at all. */
export interface Batch {
  /**
   * Keys to add; CONFLICT if the owner has a key of that version. A version above 1 must be higher than every version in the
   * vault before the batch, so that a reader that knows all keys up to a version knows them for every owner.
   */
  readonly keys?: readonly WrappedKey[];
  /** The root key that wrapped `keys`; CONFLICT if the vault has another one. */
  readonly root_key_id?: Buffer;
  readonly root_key?: RootKeyChange;
  readonly writes: readonly RecordWrite[];
  readonly audit: readonly AuditAppend[];
}

/**
 * Replaces the header and every wrapped key. CONFLICT if the vault has another root key than the expected one, or other keys
 * than these.
 */
export interface RootKeyChange {
  readonly expected_root_key_id: Buffer;
  readonly header: StoreHeader;
  /** All keys of the vault, wrapped by the new root key. */
  readonly keys: readonly WrappedKey[];
}

/** Names a row that a change decides on. `values`: load its sealed values too. */
export type RowRead = ({ readonly index: Buffer } | { readonly id: Buffer }) & { readonly values?: boolean };

export interface LoadedRow {
  readonly row: StoredMeta;
  /** `undefined` unless the read has `values`. */
  readonly sealed_values: Buffer | undefined;
}

/**
 * Decides on the loaded rows, in the order of the reads; `undefined` for a missing row. Pure, synchronous and
 * repeatable: the store may call it again if it must retry the transaction. An exception rejects the change.
 */
export type Plan<Result> = (rows: readonly (LoadedRow | undefined)[]) => ChangePlan<Result>;

export interface ChangePlan<Result> {
  readonly batch: Batch;
  readonly result: Result;
}

export interface StoredEntry extends SealedEntry {
  readonly position: number;
  readonly key_version: number;
}

/** The position and link of an organization's last audit entry. */
export interface StoredHead {
  readonly organization: Buffer;
  readonly position: number;
  readonly link: Buffer;
}

/** Unencrypted facts about the vault as a whole. */
export interface StoreHeader {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  /** Only with a passphrase. */
  readonly passphrase_salt: Buffer | undefined;
  /** Only with a keychain or a key service: which key, as in KEYHOLD_ROOT_KEY. Never a secret. */
  readonly root_key_ref: string | undefined;
  /** Only with a key service: the root key, encrypted by the service. */
  readonly root_key_sealed: Buffer | undefined;
  readonly created_at: string;
}

export interface WrappedKey {
  /** 16 bytes: zeros for the vault key, the organization's blind index for a data key. */
  readonly owner: Buffer;
  readonly version: number;
  readonly wrapped: Buffer;
}

/** A record for copies of the whole vault. */
export interface CopiedRecord extends StoredRecord {
  /** Lists are in this order. Counts up with the creation of records, with gaps. */
  readonly seq: number;
  /** Empty for a record that format 1 of the SQLite store created. */
  readonly organization: Buffer;
}

export interface Page {
  readonly records: readonly StoredMeta[];
  /** Opaque. Pass it as `after` for the next page; `undefined` at the end. */
  readonly next: string | undefined;
}

/** As `Page`, with the values of the records. */
export interface RecordPage {
  readonly records: readonly StoredRecord[];
  readonly next: string | undefined;
}

export interface ScopeUsage {
  readonly count: number;
  readonly values_bytes: number;
}

/** Receives the number of batches in each transaction. */
export type OnCommit = (batches: number) => void;

export interface RowCounts {
  readonly keys: number;
  readonly records: number;
  readonly entries: number;
  /** Of the newest record; 0 without records. */
  readonly last_seq: number;
}

/** Reads all rows, in pages. */
export interface RowReader {
  counts(): Promise<RowCounts>;
  /** In the order of owner and version, from after the key `after`. */
  keys(after: WrappedKey | undefined): Promise<readonly WrappedKey[]>;
  /** In the order of `seq`, from above `after`. */
  records(after: number): Promise<readonly CopiedRecord[]>;
  heads(): Promise<readonly StoredHead[]>;
  /** Ascending, from `from_position` on. */
  entries(organization: Buffer, from_position: number): Promise<readonly StoredEntry[]>;
}

/** A consistent view of a store while writes go on. Close it soon: the engine keeps old rows for it. */
export interface StoreSnapshot extends RowReader {
  readonly header: StoreHeader;
  readonly move: VaultMove | undefined;
  close(): Promise<void>;
}

/** The result of a store's check of itself. */
export interface StoreHealth {
  readonly ok: boolean;
  readonly detail: string;
  readonly size_bytes: number;
  readonly pending_bytes: number;
  /** What slows the store down or limits it, and how to fix it. */
  readonly warning: { readonly message: string; readonly remedy: string } | undefined;
}

export interface Store {
  /** `undefined` if the store contains no vault yet. */
  header(): Promise<StoreHeader | undefined>;
  /** Creates the vault with its first batch. Returns false, and changes nothing, if another process was first. */
  create(header: StoreHeader, batch: Batch): Promise<boolean>;
  /** The key of `owner` with that version, or the newest. */
  wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined>;
  /** All keys of `owner`, the newest version last. */
  keyVersions(owner: Buffer): Promise<readonly WrappedKey[]>;
  /** The highest version of any key in the vault. */
  newestKeyVersion(): Promise<number>;
  /** All keys in the order of owner and version, at most `limit`, after the given one. */
  wrappedKeys(limit: number, after?: Pick<WrappedKey, 'owner' | 'version'>): Promise<readonly WrappedKey[]>;
  /**
   * Records of the organization, and of none, with a key version below `version`, in the order of creation. Looks at `limit`
   * records at most, so a page can be empty and still have a `next`.
   */
  recordsBelowVersion(
    organization: Buffer,
    version: number,
    limit: number,
    after?: string,
  ): Promise<RecordPage>;
  get(id: Buffer): Promise<StoredRecord | undefined>;
  /** In the order of the ids; `undefined` for a missing record. */
  getMany(ids: readonly Buffer[]): Promise<readonly (StoredRecord | undefined)[]>;
  /**
   * Returns the same object again while the row is unchanged and cached, with its `derived` data. A
   * committed write is visible at once, whichever process made it. The same holds for `findById`.
   */
  find(index: Buffer): Promise<StoredMeta | undefined>;
  findById(id: Buffer): Promise<StoredMeta | undefined>;
  /** Newest first. `after` is the `next` of the page before. */
  list(scope: Buffer, limit: number, after?: string): Promise<Page>;
  /** The number of records of a scope, and the size of their sealed values. Reads no content. */
  usage(scope: Buffer): Promise<ScopeUsage>;
  /** Resolves once all of the batch is durable. Rejects with CONFLICT if a revision is not the expected one. */
  commit(batch: Batch): Promise<void>;
  /** As `commit`, with a plan on rows that the transaction loads. `organization`: the plan appends to its chain, which may be locked first. */
  change<Result>(reads: readonly RowRead[], plan: Plan<Result>, organization?: Buffer): Promise<Result>;
  /** The last entry of every chain. */
  auditHeads(): Promise<readonly StoredHead[]>;
  auditHead(organization: Buffer): Promise<ChainHead | undefined>;
  /** Entries from `from_position` on, ascending, at most `limit`. */
  auditEntries(organization: Buffer, from_position: number, limit: number): Promise<readonly StoredEntry[]>;
  /** Whether the store still is the one that was opened. Fast. */
  isReady(): Promise<boolean>;
  /** The time of the database server. Absent: the store is on this machine. */
  readonly clock?: () => Promise<Date>;
  /** Checks all stored data. Slow. */
  check(): Promise<StoreHealth>;
  /** A view of the present state that stays as it is while writes go on. For copies of the whole vault. */
  snapshot(): Promise<StoreSnapshot>;
  move(): Promise<VaultMove | undefined>;
  /**
   * Begins, changes or, with `undefined`, cancels the move of this vault. Resolves when no other process can commit a write any
   * more that does not see it. CONFLICT if the present move is neither the expected one nor `next`.
   */
  setMove(expected: VaultMove | undefined, next: VaultMove | undefined): Promise<void>;
  /**
   * `immediate`: replaced and deleted data is overwritten. `with_retention`: the engine keeps it in its log, in standbys
   * and in backups, for as long as it is configured to; `scrub` does nothing.
   */
  readonly erasure: 'immediate' | 'with_retention';
  /** Overwrites replaced and deleted data, also in the write-ahead log. Rejects while others read. */
  scrub(): Promise<void>;
  /** Finishes accepted writes, then closes. */
  close(): Promise<void>;
}
