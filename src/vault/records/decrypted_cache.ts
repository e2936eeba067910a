/**
 * Records that were opened a moment ago, so that whoever comes for one again spares its opening. What is remembered
 * counts for exactly the row that it was opened from: the store is asked every time whether others have changed
 * anything, and if so whether that very row still stands; what the store itself writes, it tells of. A record that was
 * changed, moved or removed, by whatever process, is read anew.
 */
import type { Store, StoredMeta } from '../../store/store.ts';

/** No version of a store. */
const NEVER = -1;

export interface DecryptedRecord<Content> {
  readonly row: StoredMeta;
  readonly content: Content;
}

interface Remembered<Content> extends DecryptedRecord<Content> {
  /** Of the store, when the row was last seen to stand. */
  version: number;
}

export class DecryptedCache<Content> {
  readonly #store: Pick<Store, 'stands' | 'version' | 'onWritten'>;
  readonly #by_key = new Map<string, Remembered<Content>>();
  /** The keys by the ids of the rows. */
  readonly #keys = new Map<string, string>();
  readonly #max: number;
  /** Who came lately: a part of the blind index of each, by another part of it. */
  readonly #comers: Uint32Array;
  #is_told = false;

  /** `max`: how many are remembered at most. */
  constructor(store: Pick<Store, 'stands' | 'version' | 'onWritten'>, max: number) {
    this.#store = store;
    this.#max = max;
    this.#comers = new Uint32Array(max);
  }

  /** `undefined`: not remembered, or no longer so. */
  async get(key: string): Promise<DecryptedRecord<Content> | undefined> {
    const opened = this.#by_key.get(key);
    if (opened === undefined) return undefined;
    const version = this.#store.version();
    if (opened.version === version) return opened;
    if (await this.#store.stands(opened.row)) {
      opened.version = version;
      return opened;
    }
    if (this.#by_key.get(key) === opened) this.#forget(opened);
    return undefined;
  }

  /** What was opened of exactly this row, which was just read. */
  of(key: string, row: StoredMeta): Content | undefined {
    const opened = this.#by_key.get(key);
    return opened !== undefined && isSame(opened.row, row) ? opened.content : undefined;
  }

  /** The index of the record that is known by this key, if it still is there or not. */
  indexOf(key: string): Buffer | undefined {
    return this.#by_key.get(key)?.row.index;
  }

  /** Keeps of the row what it is known by again, and no values. */
  remember(key: string, given: StoredMeta, content: Content): void {
    // Most who come once do not come again soon, and to keep a row costs more than to open it.
    if (!this.#cameBefore(given.index)) return;
    this.#askToBeTold();
    const { kind, id, scope, index, revision, key_version, sealed_meta } = given;
    const row = { kind, id, scope, index, revision, key_version, sealed_meta };
    const before = this.#by_key.get(key);
    if (before !== undefined && !before.row.id.equals(id)) this.#forget(before);
    const name = nameOf(id);
    const former_key = this.#keys.get(name);
    if (former_key !== undefined && former_key !== key) this.#by_key.delete(former_key);
    else if (former_key === undefined && this.#by_key.size >= this.#max) {
      this.#by_key.clear();
      this.#keys.clear();
    }
    this.#by_key.set(key, { row, content, version: NEVER });
    this.#keys.set(name, key);
  }

  /** Only who has something to doubt: the store keeps whoever asks. */
  #askToBeTold(): void {
    if (this.#is_told) return;
    this.#is_told = true;
    this.#store.onWritten((id) => this.#doubt(nameOf(id)));
  }

  /**
   * The row is to be looked for again. Who is just looking, and then notes the version, does so in what was remembered
   * until now, which nobody gets any more.
   */
  #doubt(name: string): void {
    const key = this.#keys.get(name);
    const opened = key === undefined ? undefined : this.#by_key.get(key);
    if (key === undefined || opened === undefined) return;
    const { row, content } = opened;
    this.#by_key.set(key, { row, content, version: NEVER });
  }

  #forget({ row }: DecryptedRecord<Content>): void {
    const name = nameOf(row.id);
    const key = this.#keys.get(name);
    if (key === undefined) return;
    this.#keys.delete(name);
    this.#by_key.delete(key);
  }

  #cameBefore(index: Buffer): boolean {
    const place = index.readUInt32LE(0) % this.#max;
    const name = index.readUInt32LE(4);
    if (this.#comers[place] === name) return true;
    this.#comers[place] = name;
    return false;
  }
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

function nameOf(id: Buffer): string {
  return id.toString('latin1');
}

/** No two lists of parts give the same key, whatever is in them. */
export function keyOfParts(owner: Buffer, parts: readonly string[]): string {
  let key = owner.toString('latin1');
  for (const part of parts) key += `${part.length}:${part}`;
  return key;
}
