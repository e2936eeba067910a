/** Counts events per key in windows of one minute that begin with the first event. In memory; knows no limit. */
const WINDOW_MS = 60_000;

export interface Window {
  readonly count: number;
  /** By `performance.now()`. */
  readonly ends_ms: number;
}

export class MinuteWindows {
  readonly #keys_max: number;
  /** In the order in which the windows end. */
  readonly #windows = new Map<string, { count: number; readonly ends_ms: number }>();

  /** `keys_max`: counted at a time; a further one replaces the oldest. */
  constructor(keys_max: number) {
    this.#keys_max = keys_max;
  }

  /** Counts one event. */
  add(key: string, now_ms: number): Window {
    const window = this.#windowOf(key, now_ms);
    window.count++;
    return window;
  }

  /** `undefined`: no event in the last minute. */
  read(key: string, now_ms: number): Window | undefined {
    const window = this.#windows.get(key);
    return window !== undefined && window.ends_ms > now_ms ? window : undefined;
  }

  /** Removes the windows that have ended, and the oldest one if there are too many: clients can invent keys. */
  #windowOf(key: string, now_ms: number) {
    const known = this.#windows.get(key);
    if (known !== undefined && known.ends_ms > now_ms) return known;
    this.#windows.delete(key);
    for (const [oldest, { ends_ms }] of this.#windows) {
      if (ends_ms > now_ms && this.#windows.size < this.#keys_max) break;
      this.#windows.delete(oldest);
    }
    const window = { count: 0, ends_ms: now_ms + WINDOW_MS };
    this.#windows.set(key, window);
    return window;
  }
}
