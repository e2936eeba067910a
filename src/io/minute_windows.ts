/**
 * Counts events per key in windows of one minute that begin with the first event. In memory, together with the counts that
 * other processes report; knows no limit.
 */
export const WINDOW_MS = 60_000;

export interface Window {
  readonly count: number;
  /** By `performance.now()`. */
  readonly ends_ms: number;
}

export class MinuteWindows {
  readonly #keys_max: number;
  /** In the order in which the windows end. */
  readonly #windows = new Map<string, { count: number; readonly ends_ms: number }>();
  #others: ReadonlyMap<string, readonly Window[]> = new Map();

  /** `keys_max`: counted at a time; a further one replaces the oldest. */
  constructor(keys_max: number) {
    this.#keys_max = keys_max;
  }

  /** Counts one event. */
  add(key: string, now_ms: number): Window {
    const window = this.#windowOf(key, now_ms);
    window.count++;
    return this.#withOthers(key, now_ms, window);
  }

  /** `undefined`: no event in the last minute. */
  read(key: string, now_ms: number): Window | undefined {
    const window = this.#windows.get(key);
    const own = window !== undefined && window.ends_ms > now_ms ? window : undefined;
    return own === undefined ? this.#ofOthers(key, now_ms) : this.#withOthers(key, now_ms, own);
  }

  /** The windows of this process that have not ended. */
  *own(now_ms: number): Generator<readonly [key: string, window: Window]> {
    for (const [key, window] of this.#windows) if (window.ends_ms > now_ms) yield [key, window];
  }

  /** Replaces the windows of other processes. */
  setOthers(others: ReadonlyMap<string, readonly Window[]>): void {
    this.#others = others;
  }

  #withOthers(key: string, now_ms: number, own: Window): Window {
    const others = this.#ofOthers(key, now_ms);
    return others === undefined ? own : sum([own, others]);
  }

  #ofOthers(key: string, now_ms: number): Window | undefined {
    const live = this.#others.get(key)?.filter(({ ends_ms }) => ends_ms > now_ms) ?? [];
    return live.length === 0 ? undefined : sum(live);
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

/** Ends with the first of them: then a part of the count is over. */
function sum(windows: readonly Window[]): Window {
  return {
    count: windows.reduce((total, { count }) => total + count, 0),
    ends_ms: Math.min(...windows.map(({ ends_ms }) => ends_ms)),
  };
}
