/**
 * Limits requests, connections or resolutions at the same time, in total and for each principal, so that no principal uses
 * up the total.
 */
import { VaultError } from '../contract/errors.ts';

export class Shares {
  readonly #total_max: number;
  readonly #each_max: number;
  readonly #message: string;
  readonly #used = new Map<string, number>();
  #total = 0;

  /** `message`: of the error past a limit. */
  constructor(total_max: number, each_max: number, message: string) {
    this.#total_max = total_max;
    this.#each_max = each_max;
    this.#message = message;
  }

  /** Returns the function that gives the share back. Throws RATE_LIMITED past a limit. */
  take(principal: string): () => void {
    const used = this.#used.get(principal) ?? 0;
    if (used >= this.#each_max || this.#total >= this.#total_max)
      throw new VaultError('RATE_LIMITED', this.#message, { retry_after: 1 });
    this.#used.set(principal, used + 1);
    this.#total += 1;
    let is_held = true;
    return () => {
      if (!is_held) return;
      is_held = false;
      this.#total -= 1;
      const left = (this.#used.get(principal) ?? 1) - 1;
      if (left === 0) this.#used.delete(principal);
      else this.#used.set(principal, left);
    };
  }
}
