/** The changes that wait for a transaction, in the order in which callers made them. */
import { COMMITS_PER_TRANSACTION_MAX } from '../../../contract/limits.ts';
import type { Batch, LoadedRow, RowRead } from '../../store.ts';

export interface PendingChange {
  readonly reads: readonly RowRead[];
  /** Plans on rows in the order of the reads. Called again if the transaction is retried. */
  readonly plan: (rows: readonly (LoadedRow | undefined)[]) => Batch;
  /** The batch of the last plan; `undefined` before the first. */
  readonly batch: () => Batch | undefined;
  /** Given by the caller: an organization that the batch appends to. */
  readonly organization?: Buffer | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** When the caller made the change, by `performance.now()`. */
  readonly since_ms: number;
}

export class PendingChanges {
  #changes: PendingChange[] = [];
  /** Number of changes at the head of the queue to run each in a transaction without others, to find the failing one. */
  #isolated = 0;

  get length(): number {
    return this.#changes.length;
  }

  add(change: PendingChange): void {
    this.#changes.push(change);
  }

  /** Removes the changes of the next transaction from the head of the queue. */
  takeNext(): readonly PendingChange[] {
    if (this.#isolated === 0) return this.#changes.splice(0, COMMITS_PER_TRANSACTION_MAX);
    this.#isolated -= 1;
    return this.#changes.splice(0, 1);
  }

  /** Returns changes to the head of the queue. */
  restore(changes: readonly PendingChange[], is_isolated: boolean): void {
    if (changes.length === 0) return;
    this.#changes = [...changes, ...this.#changes];
    if (is_isolated) this.#isolated += changes.length;
  }

  /** Rejects the changes that have waited for their whole time limit; the others continue to wait. */
  rejectExpired(limit_ms: number, error: unknown): void {
    const now = performance.now();
    const first_kept = this.#changes.findIndex(({ since_ms }) => now - since_ms < limit_ms);
    const expired = this.#changes.splice(0, first_kept === -1 ? this.#changes.length : first_kept);
    this.#isolated = Math.max(0, this.#isolated - expired.length);
    for (const change of expired) change.reject(error);
  }
}

/** The organizations that these changes append to, as far as they are known before a plan. */
export function organizationsOf(changes: readonly PendingChange[]): Buffer[] {
  return changes.flatMap((change) => {
    const planned = change.batch()?.audit.map(({ organization }) => organization);
    return planned ?? (change.organization === undefined ? [] : [change.organization]);
  });
}

/** Whether the last plan of a change adds or replaces wrapped keys. */
export function changesKeys(change: PendingChange): boolean {
  const batch = change.batch();
  return batch?.keys !== undefined || batch?.root_key !== undefined;
}
