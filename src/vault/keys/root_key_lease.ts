/**
 * Limits how long unwrapped keys are used without the key service. The first request after half of the limit reads the root key
 * again, in the background; keys that are cached go on being used until the limit, and no other key is unwrapped. After the limit
 * every request needs the service: a key that was disabled there stops the vault. Requests do this, and not a timer, so that an
 * idle process sends nothing.
 */

/** Between requests to a service that failed. */
const RETRY_PAUSE_MS = 5_000;

export interface RootKeyLeaseOptions {
  /** Reads the root key from its source, and rejects if it is not the one of the vault. */
  readonly read: () => Promise<unknown>;
  readonly limit_ms: number;
  /** Only tests change it. */
  readonly now_ms?: () => number;
}

export class RootKeyLease {
  readonly #read: RootKeyLeaseOptions['read'];
  readonly #limit_ms: number;
  readonly #now_ms: () => number;
  #read_at_ms: number;
  #failed_at_ms = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #renewal: Promise<void> | undefined;

  constructor({ read, limit_ms, now_ms = () => performance.now() }: RootKeyLeaseOptions) {
    this.#read = read;
    this.#limit_ms = limit_ms;
    this.#now_ms = now_ms;
    this.#read_at_ms = now_ms();
  }

  /** Throws the error of the service if a cached key may not be used any more. Resolves at once before the limit. */
  async checkCached(): Promise<void> {
    if (this.#age() < this.#limit_ms / 2) return;
    const renewal = this.#renew();
    if (this.#age() >= this.#limit_ms) await renewal;
    else renewal.catch(() => undefined);
  }

  /** Throws the error of the service if a key that is not cached may not be unwrapped. */
  async checkUncached(): Promise<void> {
    if (this.#age() >= this.#limit_ms / 2) await this.#renew();
  }

  /**
   * Whether cached keys may be used now. Does not wait for the service: reads the root key again in the background once that is due,
   * so that a node that gets no requests becomes usable again.
   */
  isCurrent(): boolean {
    if (this.#age() >= this.#limit_ms / 2) this.#renew().catch(() => undefined);
    return this.#age() < this.#limit_ms;
  }

  #age(): number {
    return this.#now_ms() - this.#read_at_ms;
  }

  /** One request at a time. Within the pause after a failure, rejects with it again. */
  async #renew(): Promise<void> {
    if (this.#renewal === undefined && this.#now_ms() - this.#failed_at_ms < RETRY_PAUSE_MS)
      throw this.#failure;
    this.#renewal ??= this.#readAgain().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  async #readAgain(): Promise<void> {
    // The time of the request: the service may refuse the next one.
    const started_ms = this.#now_ms();
    try {
      await this.#read();
      this.#read_at_ms = started_ms;
    } catch (error) {
      this.#failed_at_ms = this.#now_ms();
      this.#failure = error;
      throw error;
    }
  }
}
