/** The commits that wait for a transaction, in the order in which callers made them. */
import { COMMITS_PER_TRANSACTION_MAX, STORE_BUSY_TIMEOUT_MS } from '../../contract/limits.ts';
import type { Batch } from '../store.ts';
import { storeError } from './errors.ts';

export interface PendingCommit {
  /** Loads and plans. Called again if the transaction is retried. */
  readonly plan: () => Batch;
  /** The batch of the last plan. */
  readonly batch: () => Batch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** When the caller made the change, by `performance.now()`. */
  readonly since_ms: number;
}

export class PendingCommits {
  #commits: PendingCommit[] = [];
  /**
   * Number of commits at the head of the queue to run each in its own savepoint. Set after a shared transaction failed, to
   * find the failing one. Not the default, because a savepoint copies every page that it touches.
   */
  #isolated = 0;

  get length(): number {
    return this.#commits.length;
  }

  /** Whether each of the next commits runs in its own savepoint. */
  get is_isolated(): boolean {
    return this.#isolated > 0;
  }

  add(commit: PendingCommit): void {
    this.#commits.push(commit);
  }

  /** Removes the commits of the next transaction from the head of the queue. */
  takeNext(): readonly PendingCommit[] {
    const commits = this.#commits.splice(0, this.#isolated || COMMITS_PER_TRANSACTION_MAX);
    this.#isolated = 0;
    return commits;
  }

  /** Puts commits at the head of the queue again. */
  putBack(commits: readonly PendingCommit[], is_isolated: boolean): void {
    if (commits.length === 0) return;
    this.#commits = [...commits, ...this.#commits];
    if (is_isolated) this.#isolated = commits.length;
  }

  rejectNext(error: Error): void {
    for (const commit of this.takeNext()) commit.reject(error);
  }

  /** Rejects the commits that have waited for their whole time limit; the others continue to wait. */
  rejectExpired(): void {
    const now = performance.now();
    // In the order of arrival: commits that are put back go to the head.
    const first_kept = this.#commits.findIndex(({ since_ms }) => now - since_ms < STORE_BUSY_TIMEOUT_MS);
    const expired = this.#commits.splice(0, first_kept === -1 ? this.#commits.length : first_kept);
    this.#isolated = Math.max(0, this.#isolated - expired.length);
    const error = storeError('SQLITE_BUSY');
    for (const commit of expired) commit.reject(error);
  }

  /** Of the oldest commit. */
  timeLeftMs(): number {
    const [oldest] = this.#commits;
    return STORE_BUSY_TIMEOUT_MS - (oldest === undefined ? 0 : performance.now() - oldest.since_ms);
  }
}
