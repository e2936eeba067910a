/**
 * Records that were opened a moment ago, so that whoever comes for one again spares its opening. What is remembered
 * counts for exactly the row that it was opened from: the store is asked every time whether that very row still stands,
 * so a record that was changed, moved or removed, by whatever process, is read anew.
 */
import type { Store, StoredMeta } from '../store/store.ts';

const RECORDS_REMEMBERED_MAX = 5_000;

export interface Opened<Content> {
  readonly row: StoredMeta;
  readonly content: Content;
}

export class OpenedRecords<Content> {
  readonly #store: Pick<Store, 'stands'>;
  readonly #by_key = new Map<string, Opened<Content>>();

  constructor(store: Pick<Store, 'stands'>) {
    this.#store = store;
  }

  /** `undefined`: not remembered, or no longer so. */
  async get(key: string): Promise<Opened<Content> | undefined> {
    const opened = this.#by_key.get(key);
    if (opened === undefined) return undefined;
    if (await this.#store.stands(opened.row)) return opened;
    if (this.#by_key.get(key) === opened) this.#by_key.delete(key);
    return undefined;
  }

  /** Keeps of the row what it is known by again, and no values. */
  remember(key: string, given: StoredMeta, content: Content): void {
    if (this.#by_key.size >= RECORDS_REMEMBERED_MAX) this.#by_key.clear();
    const { kind, id, scope, index, revision, key_version, sealed_meta } = given;
    const row = { kind, id, scope, index, revision, key_version, sealed_meta };
    this.#by_key.set(key, { row, content });
  }
}

/** No two lists of parts give the same key, whatever is in them. */
export function keyOfParts(owner: Buffer, parts: readonly string[]): string {
  let key = owner.toString('latin1');
  for (const part of parts) key += `${part.length}:${part}`;
  return key;
}
