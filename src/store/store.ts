/**
 * What the vault asks of a store. A store sees ciphertext and blind indexes only: it cannot tell what it holds, and
 * decides nothing but whether a revision is the expected one.
 */

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
}

export interface StoredRecord extends StoredMeta {
  readonly sealed_values: Buffer;
}

/**
 * One write of a batch. `expected_revision` 0: the record must not be there yet, nor its index. `check` writes nothing:
 * the record must still be there as it was. `check_none` writes nothing either: under the scope there must be no record,
 * once the writes before it are done.
 */
export type RecordWrite =
  | { readonly do: 'check'; readonly expected_revision: number; readonly id: Buffer }
  | { readonly do: 'check_none'; readonly scope: Buffer }
  | { readonly do: 'put'; readonly expected_revision: number; readonly record: StoredRecord }
  | { readonly do: 'delete'; readonly expected_revision: number; readonly id: Buffer };

export interface SealedEntry {
  readonly sealed: Buffer;
  readonly link: Buffer;
  /** Stands in the row only for as long as this is the last entry. */
  readonly end_seal: Buffer;
}

/** The last entry of an organization's audit chain. */
export interface AuditHead extends SealedEntry {
  readonly position: number;
  readonly key_version: number;
  /** `undefined` when the last entry is the first, or when the one before it is gone. */
  readonly previous_link: Buffer | undefined;
}

/**
 * An audit entry that seals itself once its place in the chain is known, which is inside the transaction. Its
 * functions are synchronous; what they throw undoes the batch.
 */
export interface AuditAppend {
  readonly organization: Buffer;
  readonly key_version: number;
  /** Throws where the stored end is not genuine. `undefined`: the chain is empty. */
  checkHead(end: AuditHead | undefined): void;
  sealEntry(position: number, previous_link: Buffer | undefined): SealedEntry;
}

/** Writes and audit entries that happen together or not at all. */
export interface Batch {
  /** Keys to add; CONFLICT where one of that owner and version is there already. */
  readonly keys?: readonly WrappedKey[];
  readonly writes: readonly RecordWrite[];
  readonly audit: readonly AuditAppend[];
}

/** What can be read within the transaction of a change: nobody writes in between. */
export interface StoreNow {
  find(index: Buffer): StoredMeta | undefined;
  get(id: Buffer): StoredRecord | undefined;
}

/**
 * Says what becomes of what is there, and what the change is to resolve with. Called within the transaction, again where
 * that has to be tried again. When it throws, nothing is changed, and the change rejects with that.
 */
export type Plan<Result> = (now: StoreNow) => Planned<Result>;

export interface Planned<Result> {
  readonly batch: Batch;
  readonly result: Result;
}

export interface StoredEntry {
  readonly position: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
}

/** What stands in the clear about the vault as a whole. */
export interface StoreHeader {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  /** Only with a passphrase. */
  readonly passphrase_salt: Buffer | undefined;
  readonly created_at: string;
}

export interface WrappedKey {
  /** 16 bytes: zeros for the vault key, the organization's blind index for a data key. */
  readonly owner: Buffer;
  readonly version: number;
  readonly wrapped: Buffer;
}

export interface Page {
  readonly records: readonly StoredMeta[];
  /** Opaque. Pass it as `after` for the next page; `undefined` at the end. */
  readonly next: string | undefined;
}

/** Told how many batches each transaction carried. */
export type OnCommit = (batches: number) => void;

/** Told of a record, by its id. Must not throw. */
export type OnWritten = (id: Buffer) => void;

/** How a store came through its own examination. */
export interface StoreHealth {
  readonly ok: boolean;
  readonly detail: string;
  readonly size_bytes: number;
  readonly pending_bytes: number;
}

export interface Store {
  /** `undefined` while no vault was made in this store. */
  header(): Promise<StoreHeader | undefined>;
  /** Makes the vault in an empty store, with what it begins with. Returns false, and changes nothing, when another
   * process was first. */
  create(header: StoreHeader, beginning: Batch): Promise<boolean>;
  /** The key of `owner` with that version, or the newest. */
  wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined>;
  get(id: Buffer): Promise<StoredRecord | undefined>;
  find(index: Buffer): Promise<StoredMeta | undefined>;
  /**
   * Another number whenever others may have changed anything: what was read under the same one still is so, but for what
   * this store itself has written, which `onWritten` tells.
   */
  version(): number;
  /** From now on tells the id of each record that a change has written or deleted, before this store reads again. */
  onWritten(told: OnWritten): void;
  /** Whether exactly this row, byte for byte, is still there. Quicker than to read it. */
  stands(row: StoredMeta): Promise<boolean>;
  /** Newest first. `after` is the `next` of the page before. */
  list(scope: Buffer, limit: number, after?: string): Promise<Page>;
  /** Resolves once all of the batch is durable. Rejects with CONFLICT where a revision is not the expected one. */
  commit(batch: Batch): Promise<void>;
  /** Reads and writes at one moment. Resolves and rejects as `commit` does. */
  change<Result>(plan: Plan<Result>): Promise<Result>;
  auditHead(organization: Buffer): Promise<AuditHead | undefined>;
  /** Entries from `from_position` on, upwards, at most `limit`. */
  auditEntries(organization: Buffer, from_position: number, limit: number): Promise<readonly StoredEntry[]>;
  /** Whether it can be read and what is written to it would be kept. Quick. */
  isReady(): Promise<boolean>;
  /** Examines every page of the file. */
  check(): Promise<StoreHealth>;
  /** Overwrites what was replaced or deleted, in the main file and in the write-ahead log. Rejects while others read. */
  scrub(): Promise<void>;
  /** Finishes the writes that were accepted, then closes. */
  close(): Promise<void>;
}
