/** Limits how many tests a user makes in a minute, with all nodes together. */
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import type { MinuteWindows } from '../io/minute_windows.ts';
import type { Nodes } from '../vault/nodes/nodes.ts';

const PRINCIPALS_MAX = 10_000;

export class TestLimit {
  readonly #max: number;
  readonly #windows: MinuteWindows;

  /** `name`: of what is counted. */
  constructor(nodes: Pick<Nodes, 'windows'>, name: string, max: number) {
    this.#max = max;
    this.#windows = nodes.windows(name, max, PRINCIPALS_MAX);
  }

  /** Counts a test. Throws RATE_LIMITED. */
  count({ organization, user }: Pick<Caller, 'organization' | 'user'>): void {
    const key = `${organization}\0${user}`;
    const now_ms = performance.now();
    const window = this.#windows.read(key, now_ms);
    if (window !== undefined && window.count >= this.#max) {
      const seconds = Math.max(1, Math.ceil((window.ends_ms - now_ms) / 1000));
      const message = `Only ${this.#max} tests a minute are allowed. Try again in ${seconds} seconds.`;
      throw new VaultError('RATE_LIMITED', message, { retry_after: seconds });
    }
    this.#windows.add(key, now_ms);
  }
}
