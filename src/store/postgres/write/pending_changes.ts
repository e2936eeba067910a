/** The changes that wait for a transaction, in the order in which callers made them. */
import { COMMITS_PER_TRANSACTION_MAX } from '../../../contract/limits.ts';
import type { Batch, ChangePlan, LoadedRow, Plan, RowRead } from '../../store.ts';
import { keyOf } from '../statements.ts';

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

/** Calls `add` with a change that is made now, and resolves or rejects as it does. */
export function newChange<Result>(
  { reads, plan, organization }: NewChange<Result>,
  add: (change: PendingChange) => void,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let planned: ChangePlan<Result> | undefined;
    add({
      reads,
      plan: (rows) => {
        planned = plan(rows);
        return planned.batch;
      },
      batch: () => planned?.batch,
      organization,
      resolve: () => resolve((planned as ChangePlan<Result>).result),
      reject,
      since_ms: performance.now(),
    });
  });
}

interface NewChange<Result> {
  readonly reads: readonly RowRead[];
  readonly plan: Plan<Result>;
  readonly organization: Buffer | undefined;
}

export class PendingChanges {
  #changes: PendingChange[] = [];
  /** Changes to run each in a transaction without others, to find the failing one. */
  readonly #isolated = new WeakSet<PendingChange>();

  get length(): number {
    return this.#changes.length;
  }

  add(change: PendingChange): void {
    this.#changes.push(change);
  }

  /** Removes the changes of the next transaction from the head of the queue. */
  takeNext(): readonly PendingChange[] {
    const first_isolated = this.#changes
      .slice(0, COMMITS_PER_TRANSACTION_MAX)
      .findIndex((change) => this.#isolated.has(change));
    if (first_isolated === -1) return this.#changes.splice(0, COMMITS_PER_TRANSACTION_MAX);
    return this.#changes.splice(0, Math.max(1, first_isolated));
  }

  /** Returns changes to the head of the queue. */
  restore(changes: readonly PendingChange[], is_isolated: boolean): void {
    this.#changes = [...changes, ...this.#changes];
    if (is_isolated) for (const change of changes) this.#isolated.add(change);
  }

  /**
   * Returns changes to the end of the queue, isolated, so that they delay the others least. Rejects those that have waited for
   * their whole time limit.
   */
  postpone(changes: readonly PendingChange[], limit_ms: number, error: unknown): void {
    const kept = rejectOlder(changes, limit_ms, error);
    this.#changes = [...this.#changes, ...kept];
    for (const change of kept) this.#isolated.add(change);
  }

  /** Removes the changes that append to one of these organizations, as far as that is known. */
  takeOf(organizations: readonly Buffer[]): PendingChange[] {
    const keys = new Set(organizations.map(keyOf));
    const isTaken = (change: PendingChange) =>
      organizationsOf([change]).some((organization) => keys.has(keyOf(organization)));
    const taken = this.#changes.filter(isTaken);
    if (taken.length > 0) this.#changes = this.#changes.filter((change) => !isTaken(change));
    return taken;
  }

  /** Rejects the changes that have waited for their whole time limit; the others continue to wait. */
  rejectExpired(limit_ms: number, error: unknown): void {
    this.#changes = rejectOlder(this.#changes, limit_ms, error);
  }
}

/** Rejects the changes that have waited for the time limit, and returns the others. */
function rejectOlder(changes: readonly PendingChange[], limit_ms: number, error: unknown): PendingChange[] {
  const now = performance.now();
  return changes.filter((change) => {
    if (now - change.since_ms < limit_ms) return true;
    change.reject(error);
    return false;
  });
}

export function reject(changes: readonly PendingChange[], error: unknown): void {
  for (const change of changes) change.reject(error);
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
