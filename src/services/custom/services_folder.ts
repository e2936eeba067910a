/** Finds out whether a process must read the folder of custom definitions again. Reads no file. */
import fs from 'node:fs';

/** Two changes within the resolution of timestamps have the same one. */
const SETTLED_AFTER_MS = 1_000;
/** How often definitions that no person has approved are looked at again. */
const REFUSED_AFTER_MS = 1_000;

export class ServicesFolder {
  readonly #path: string;
  #changed_at_ns: bigint | undefined;
  #seen_ms = 0;
  #read_ms = 0;
  #is_settled = false;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Whether files may have been added since the last call that returned true. With `has_refused`, also whether a person may
   * have approved a file in between. Takes some microseconds.
   */
  isToRead(has_refused: boolean): boolean {
    const changed_at_ns = this.#changedAt();
    const now_ms = performance.now();
    if (changed_at_ns !== this.#changed_at_ns) {
      this.#changed_at_ns = changed_at_ns;
      this.#seen_ms = now_ms;
      this.#is_settled = false;
    }
    if (this.#is_settled && !(has_refused && now_ms - this.#read_ms >= REFUSED_AFTER_MS)) return false;
    this.#read_ms = now_ms;
    this.#is_settled = now_ms - this.#seen_ms >= SETTLED_AFTER_MS;
    return true;
  }

  #changedAt(): bigint | undefined {
    try {
      return fs.statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.mtimeNs;
    } catch {
      return undefined;
    }
  }
}
