/** A map with a maximum size, for caches whose entries are cheap to compute again. Owns no expiry and no eviction order. */

/** Clears itself before an entry is added to a full map: simpler and faster than tracking the least recently used. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #max: number;

  constructor(max: number) {
    super();
    this.#max = max;
  }

  override set(key: Key, value: Value): this {
    if (this.size >= this.#max && !this.has(key)) this.clear();
    return super.set(key, value);
  }
}
