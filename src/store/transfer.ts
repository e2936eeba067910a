/**
 * What an engine offers for receiving a copy of a whole vault. Rows are copied as bytes: ids, revisions, order of creation, keys
 * and chains stay the same.
 */
import type {
  CopiedRecord,
  RowReader,
  Store,
  StoredEntry,
  StoreHeader,
  StoreSnapshot,
  WrappedKey,
} from './store.ts';

/** Rows in one page, and their bytes, unless a page is one row. */
export const TRANSFER_PAGE_ROWS = 1_000;
export const TRANSFER_PAGE_BYTES = 4 * 1024 * 1024;

/** Entries that follow one another in the chain of one organization. */
export interface CopiedEntries {
  readonly organization: Buffer;
  readonly entries: readonly StoredEntry[];
}

/** Rows that are written in one transaction, in the order of these properties. */
export interface RowWrites {
  readonly header?: StoreHeader;
  readonly removed_keys?: readonly WrappedKey[];
  /** Replace keys of the same owner and version. */
  readonly keys?: readonly WrappedKey[];
  /** By `seq`. */
  readonly removed_records?: readonly number[];
  /** Replace all records that have the same `seq`, id or index. */
  readonly records?: readonly CopiedRecord[];
  /** Follow the last entry of their chain, which loses its head MAC. */
  readonly entries?: CopiedEntries;
}

/** A vault that is being received, and that no process can open yet. Reads the rows that it has so far. */
export interface StoreReceiver extends RowReader {
  write(rows: RowWrites): Promise<void>;
  close(): Promise<void>;
}

/** Where a restore or a move puts a vault. */
export interface TransferTarget {
  /** The present vault, or `undefined`. Rejects with VaultError if it cannot be read. */
  openExisting(): Promise<StoreSnapshot | undefined>;
  /**
   * Begins to receive, or continues the transfer of the same id. Rejects with UNAVAILABLE while another process receives.
   * `keeps_former`: a vault that was moved away from a database is kept in another schema; else it rejects with CONFLICT.
   */
  receive(transfer_id: string, header: StoreHeader, keeps_former?: boolean): Promise<StoreReceiver>;
  /** Opens the received vault for checks and its first write. */
  openReceived(transfer_id: string): Promise<Store>;
  /** Makes the received vault, which must be closed, the vault. `former`: how to treat the present one. */
  publish(transfer_id: string, former: FormerVault): Promise<Published>;
  /** Deletes what was received. */
  discard(): Promise<void>;
}

export interface FormerVault {
  /**
   * Rejects unless the present vault may be replaced. Called while no other process can write to it. `present`:
   * `undefined` if it cannot be read.
   */
  mayReplace(present: RowReader | undefined, received: RowReader): Promise<void>;
  /** Called last before the received vault can be opened, once nothing refuses it. An exception leaves the present vault. */
  beforePublish?(): void;
}

export interface Published {
  /** The path of the former vault; `undefined` if there was none. */
  readonly kept: string | undefined;
}
