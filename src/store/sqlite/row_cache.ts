/**
 * Caches rows without their values, and returns the same object while a row is unchanged, with the data
 * that the vault derived from it. Never decides that a row is current: that takes the change counter of the database.
 */
import type { Batch, StoredMeta } from '../store.ts';

/** A full cache is cleared: rows are cheap to read again. More rows make random reads of a large vault slower. */
const ROWS_MAX = 512;
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
  readonly #seen = new Uint32Array(ROWS_MAX);

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
    if (cached === undefined || !isSame(cached.row, row)) {
      if (cached !== undefined || this.#wasSeen(row.index)) this.add(row, counter);
      return row;
    }
    cached.verified_at = counter;
    return cached.row;
  }

  /** Returns the cached object if it equals the row that was just read, else the row. Adds nothing. */
  reuse(row: StoredMeta): StoredMeta {
    const cached = this.byIndex(row.index);
    return cached !== undefined && isSame(cached.row, row) ? cached.row : row;
  }

  add(row: StoredMeta, verified_at = UNVERIFIED): void {
    this.#evict(this.byIndex(row.index));
    this.#evict(this.byId(row.id));
    if (this.#by_index.size >= ROWS_MAX) this.clear();
    const entry = { row, verified_at };
    this.#by_index.set(keyOf(row.index), entry);
    this.#by_id.set(keyOf(row.id), entry);
  }

  /** Updates the cache after a commit of this store. New records are not added: most are not read soon. */
  apply({ writes }: Batch): void {
    for (const write of writes) {
      if (write.do === 'delete') this.#evict(this.byId(write.id));
      else if (write.do === 'put' && write.expected_revision > 0) this.add(write.row);
    }
  }

  clear(): void {
    this.#by_index.clear();
    this.#by_id.clear();
  }

  #wasSeen(index: Buffer): boolean {
    const at = index.readUInt32LE(0) % ROWS_MAX;
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

function isSame(a: StoredMeta, b: StoredMeta): boolean {
  return (
    a.kind === b.kind &&
    a.revision === b.revision &&
    a.key_version === b.key_version &&
    a.sealed_meta.equals(b.sealed_meta) &&
    a.id.equals(b.id) &&
    a.scope.equals(b.scope) &&
    a.index.equals(b.index)
  );
}
