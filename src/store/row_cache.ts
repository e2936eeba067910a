/**
 * Caches rows without their values, and returns the same object while a row is unchanged, with the data
 * that the vault derived from it. Never decides that a row is current: that takes the change counter of the database.
 */
import { type Batch, isSameRow, type StoredMeta } from './store.ts';

/** A full cache is cleared: rows are cheap to read again. 16,384 rows made random reads of a large vault 15 % slower. */
const ROWS_MAX = 512;
/** More than rows, so that few of the rows that are read often share a slot. */
const SEEN_SLOTS = 4_096;
/** No value of the change counter. */
const UNVERIFIED = -1;

export interface CachedRow {
  readonly row: StoredMeta;
  /** Value of the change counter when the row was last known to be current. */
  verified_at: number;
}

export class RowCache {
  readonly #readCounter: () => number;
  readonly #by_index = new Map<string, CachedRow>();
  readonly #by_id = new Map<string, CachedRow>();
  /** Rows that were read before: a part of the index of each, at a position given by another part. */
  readonly #seen = new Uint32Array(SEEN_SLOTS);

  /** `readCounter`: a number that differs whenever another connection may have changed the file. */
  constructor(readCounter: () => number) {
    this.#readCounter = readCounter;
  }

  byIndex(index: Buffer): CachedRow | undefined {
    return this.#by_index.get(keyOf(index));
  }

  byId(id: Buffer): CachedRow | undefined {
    return this.#by_id.get(keyOf(id));
  }

  /**
   * The row of a cache entry, read again if another connection may have changed it. A row that is not cached is added
   * when it is read for the second time, since adding one costs more than reading it and most are not read again soon;
   * unverified, since reading the counter costs about as much as reading a row.
   */
  read(cached: CachedRow | undefined, readRow: () => StoredMeta | undefined): StoredMeta | undefined {
    const counter = cached === undefined ? UNVERIFIED : this.#readCounter();
    if (cached?.verified_at === counter) return cached.row;
    const row = readRow();
    if (row === undefined) return undefined;
    if (cached === undefined || !isSameRow(cached.row, row)) {
      if (cached !== undefined || this.#wasSeen(row.index)) this.add(row, counter);
      return row;
    }
    cached.verified_at = counter;
    return cached.row;
  }

  /** Returns the cached object if it equals the row that was just read, else the row. Adds nothing. */
  reuse(row: StoredMeta): StoredMeta {
    const cached = this.byIndex(row.index);
    return cached !== undefined && isSameRow(cached.row, row) ? cached.row : row;
  }

  add(row: StoredMeta, verified_at = UNVERIFIED): void {
    this.#evict(this.byIndex(row.index));
    this.#evict(this.byId(row.id));
    if (this.#by_index.size >= ROWS_MAX) this.clear();
    const entry = { row, verified_at };
    this.#by_index.set(keyOf(row.index), entry);
    this.#by_id.set(keyOf(row.id), entry);
  }

  /** Updates the cache after a commit of this store. A row that was not cached is not added: most are not read soon. */
  apply({ writes }: Batch): void {
    for (const write of writes) {
      if (write.do === 'delete') this.#evict(this.byId(write.id));
      else if (write.do === 'put' && write.expected_revision > 0) this.#replace(write.row);
    }
  }

  #replace(row: StoredMeta): void {
    if (this.byId(row.id) !== undefined || this.#wasSeen(row.index)) this.add(row);
    else this.#evict(this.byIndex(row.index));
  }

  clear(): void {
    this.#by_index.clear();
    this.#by_id.clear();
  }

  #wasSeen(index: Buffer): boolean {
    // A damaged row.
    if (index.length < 8) return false;
    const at = index.readUInt32LE(0) % SEEN_SLOTS;
    const seen = index.readUInt32LE(4);
    if (this.#seen[at] === seen) return true;
    this.#seen[at] = seen;
    return false;
  }

  #evict(entry: CachedRow | undefined): void {
    if (entry === undefined) return;
    this.#by_index.delete(keyOf(entry.row.index));
    this.#by_id.delete(keyOf(entry.row.id));
  }
}

function keyOf(bytes: Buffer): string {
  return bytes.toString('latin1');
}
