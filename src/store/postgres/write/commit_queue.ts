/**
 * Group commit: changes that are pending together, of all organizations, are written by one statement. A change that fails
 * undoes only itself. A caller's promise resolves after the server confirmed the commit, never before.
 *
 * The row of an organization's chain head is its write lock and its revision. A group is first planned without a lock, on
 * rows that are read after the heads, and is written only if every head is unchanged. If another node has written, the
 * heads are locked, and the plans run again on fresh rows. One group is in flight at a time: the longer a commit takes, the
 * more changes share the next one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../../contract/errors.ts';
import { PENDING_COMMITS_MAX, STORE_BUSY_TIMEOUT_MS } from '../../../contract/limits.ts';
import { BoundedMap } from '../../../io/bounded_map.ts';
import { inSpan } from '../../../io/tracing/span.ts';
import { brokenLogError, conflictError, tooManyWritesError } from '../../errors.ts';
import type { RowCache } from '../../row_cache.ts';
import type { Batch, ChangePlan, OnCommit, Plan, RowRead } from '../../store.ts';
import type { Connection, Session } from '../connection.ts';
import {
  BrokenConnectionError,
  ConnectError,
  isDemoted,
  isRetryable,
  toStoreError,
  unknownOutcomeError,
  withoutDetail,
} from '../errors.ts';
import { keyOf } from '../statements.ts';
import { isMovedFailure, movedFailure } from '../transfer/move_state.ts';
import { hasOtherKeys, isConflict, isHeadChange, isLockTimeout, isTakenPosition } from './failures.ts';
import { Group } from './group.ts';
import { loadGroup } from './group_loader.ts';
import { Needs } from './group_state.ts';
import type { KnownHeads } from './known_heads.ts';
import { BEGIN, COMMIT, ROLLBACK, wasCommitted } from './outcome.ts';
import { type PendingChange, PendingChanges } from './pending_changes.ts';
import { hasWrites, writeStatement } from './write_statement.ts';

export interface GroupCommitQueueOptions {
  readonly connection: Connection;
  readonly cache: RowCache;
  readonly heads: KnownHeads;
  /** How long a change waits for a primary. */
  readonly outage_timeout_ms: number;
  readonly onCommit: OnCommit | undefined;
}

/** Bounds how long the plans of one group keep other nodes and the event loop waiting. */
const PLANNING_MS = 10;
const WRITE_TIMEOUT_MS = 10_000;
const RETRY_MS = 100;
/** How long the heads of an organization are locked first after another node has written to it. */
const CONTENDED_MS = 1_000;
const CONTENDED_MAX = 10_000;
/** Of a single change whose rows change between two attempts. */
const ATTEMPTS_MAX = 20;
/** A plan names what it needs in one pass, unless its rows change: then the next one. */
const PASSES_MAX = 10;

const COMMIT_SPAN = {
  kind: 'client',
  attributes: { 'db.system.name': 'postgresql', 'db.operation.name': 'commit' },
} as const;

export class GroupCommitQueue {
  readonly #options: GroupCommitQueueOptions;
  readonly #pending = new PendingChanges();
  /** By organization: until when another node is expected to write to it, by `performance.now()`. */
  readonly #contended = new BoundedMap<string, number>(CONTENDED_MAX);
  #flushing: Promise<void> | undefined;

  constructor(options: GroupCommitQueueOptions) {
    this.#options = options;
  }

  change<Result>(reads: readonly RowRead[], plan: Plan<Result>): Promise<Result> {
    if (this.#pending.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(tooManyWritesError());
    }
    return inSpan('commit', COMMIT_SPAN, () => this.#add(reads, plan));
  }

  #add<Result>(reads: readonly RowRead[], plan: Plan<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      let planned: ChangePlan<Result> | undefined;
      this.#pending.add({
        reads,
        plan: (rows) => {
          planned = plan(rows);
          return planned.batch;
        },
        batch: () => planned?.batch,
        resolve: () => resolve((planned as ChangePlan<Result>).result),
        reject,
        since_ms: performance.now(),
      });
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves when nothing is pending. Never rejects. */
  async drained(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Callers that are ready now may join before the first group.
    await new Promise(setImmediate);
    while (this.#pending.length > 0) {
      const changes = this.#pending.takeNext();
      await this.#write(changes);
      // Callers that were just resolved may write again at once, and then share the next group.
      if (this.#pending.length > 0 || changes.length > 1) await new Promise(setImmediate);
    }
    this.#flushing = undefined;
  }

  /** Settles the changes or queues them again. Never rejects. */
  async #write(changes: readonly PendingChange[]): Promise<void> {
    const { connection, outage_timeout_ms } = this.#options;
    let session: Session;
    try {
      session = await connection.session();
    } catch (error) {
      const may_pass = error instanceof ConnectError && error.is_temporary && connection.has_connected;
      if (!may_pass) return reject(changes, toStoreError(error));
      return this.#writeLater(changes, outage_timeout_ms, toStoreError(error));
    }
    const is_locked = changes.some((change) => this.#isContended(change));
    await this.#attempt(session, changes, { is_locked, number: 1 });
  }

  async #attempt(session: Session, changes: readonly PendingChange[], attempt: Attempt): Promise<void> {
    let group: Group | undefined;
    let is_sent = false;
    try {
      group = await this.#plan(session, changes, attempt);
      if (group.needs.needs_isolation) {
        if (attempt.is_locked) await session.run([ROLLBACK]);
        return this.#pending.restore(changes, true);
      }
      if (group.needs.needs_lock)
        return await this.#attempt(session, changes, { ...attempt, is_locked: true });
      const statement = writeStatement(group);
      if (statement !== undefined) {
        session.takeWarning();
        is_sent = true;
        await session.run(attempt.is_locked ? [statement, COMMIT] : [statement], WRITE_TIMEOUT_MS);
        if (session.takeWarning()) throw new BrokenConnectionError('the standby did not confirm the commit');
      } else if (attempt.is_locked) await session.run([ROLLBACK]);
    } catch (error) {
      this.#options.heads.expire(organizationsOf(changes));
      if (error instanceof BrokenConnectionError) {
        session.end();
        if (is_sent && group !== undefined && hasWrites(group)) return this.#settle(group, changes);
        return this.#writeLater(changes, this.#options.outage_timeout_ms, toStoreError(error));
      }
      // The COMMIT after a failed statement has ended the transaction.
      if (attempt.is_locked && !is_sent) await session.run([ROLLBACK]).catch(() => undefined);
      return this.#fail(session, changes, attempt, error);
    }
    this.#finish(group, changes);
  }

  /** Plans as many of the changes as fit into the time limit, until everything that they depend on is loaded. */
  async #plan(
    session: Session,
    changes: readonly PendingChange[],
    { is_locked, number }: Attempt,
  ): Promise<Group> {
    const { heads, cache } = this.#options;
    const needs = new Needs();
    needs.vault = is_locked && changes.some(changesKeys);
    for (const organization of organizationsOf(changes))
      if (is_locked || heads.current(organization) === undefined)
        needs.organizations.set(keyOf(organization), organization);
    let planned = changes;
    for (let pass = 1; ; pass++) {
      const begin = is_locked && pass === 1 ? [BEGIN] : [];
      const loaded = await loadGroup(session, { changes: planned, needs, heads, is_locked, begin });
      const group = new Group({
        loaded,
        is_locked,
        // The attempt before may have failed because an id exists.
        checks_new_ids: number > 1 && pass === 1,
        knownHead: (organization) => (is_locked ? undefined : heads.current(organization)),
        reuse: (row) => cache.reuse(row),
      });
      const until_ms = performance.now() + PLANNING_MS;
      let count = 0;
      for (const change of planned) {
        if (count > 0 && performance.now() > until_ms) break;
        group.run(change);
        count += 1;
      }
      planned = planned.slice(0, count);
      const { is_empty, needs_lock, needs_isolation } = group.needs;
      if (is_empty || needs_lock || needs_isolation) return group;
      if (pass === PASSES_MAX) throw conflictError();
      needs.add(group.needs);
    }
  }

  #finish(group: Group, changes: readonly PendingChange[]): void {
    const { heads, cache, onCommit } = this.#options;
    this.#pending.restore(changes.slice(group.done.length + group.failed.length), false);
    for (const { organization, after } of group.heads) heads.remember(organization, after);
    for (const change of group.done) cache.apply(change.batch() as Batch);
    for (const change of group.done) change.resolve();
    for (const [change, error] of group.failed) change.reject(error);
    onCommit?.(group.done.length);
  }

  /** The server has refused the group: nothing was written. */
  async #fail(
    session: Session,
    changes: readonly PendingChange[],
    attempt: Attempt,
    error: unknown,
  ): Promise<void> {
    if (isMovedFailure(error)) return reject(changes, await movedFailure(session, error));
    if (isDemoted(error))
      return this.#writeLater(changes, this.#options.outage_timeout_ms, toStoreError(error));
    if (isLockTimeout(error)) return this.#writeLater(changes, STORE_BUSY_TIMEOUT_MS, toStoreError(error));
    const is_conflict = isRetryable(error) || isConflict(error);
    if (is_conflict && !attempt.is_locked) {
      if (isHeadChange(error)) this.#markContended(changes);
      return this.#attempt(session, changes, { is_locked: true, number: 1 });
    }
    if (changes.length > 1) return this.#pending.restore(changes, true);
    if (isTakenPosition(error)) return reject(changes, brokenLogError(withoutDetail(error)));
    if (hasOtherKeys(error)) return reject(changes, conflictError(withoutDetail(error)));
    if (!is_conflict) return reject(changes, toStoreError(error));
    if (attempt.number >= ATTEMPTS_MAX) return reject(changes, conflictError(withoutDetail(error)));
    await sleep(Math.random() * attempt.number);
    return this.#attempt(session, changes, { is_locked: true, number: attempt.number + 1 });
  }

  /** Nothing was written. Rejects the changes that have waited for the time limit. */
  async #writeLater(changes: readonly PendingChange[], limit_ms: number, error: Error): Promise<void> {
    this.#pending.restore(changes, changes.length === 1);
    this.#pending.rejectExpired(limit_ms, error);
    await sleep(RETRY_MS);
  }

  /** The connection broke after the statement was sent. Waits for a primary, and looks there for the group. */
  async #settle(group: Group, changes: readonly PendingChange[]): Promise<void> {
    const { connection, outage_timeout_ms } = this.#options;
    const give_up_at_ms = performance.now() + outage_timeout_ms;
    for (;;) {
      try {
        const session = await connection.session();
        session.takeWarning();
        const is_committed = await wasCommitted(session, group);
        if (session.takeWarning()) throw new BrokenConnectionError('the standby did not confirm the commit');
        if (is_committed) this.#finish(group, changes);
        else this.#pending.restore(changes, changes.length === 1);
        return;
      } catch (error) {
        if (error instanceof VaultError) return reject(changes, error);
        if (performance.now() > give_up_at_ms) return reject(changes, unknownOutcomeError());
        await sleep(RETRY_MS);
      }
    }
  }

  #isContended(change: PendingChange): boolean {
    const now = performance.now();
    return (change.batch()?.audit ?? []).some(
      ({ organization }) => (this.#contended.get(keyOf(organization)) ?? 0) > now,
    );
  }

  #markContended(changes: readonly PendingChange[]): void {
    const until_ms = performance.now() + CONTENDED_MS;
    for (const organization of organizationsOf(changes)) this.#contended.set(keyOf(organization), until_ms);
  }
}

interface Attempt {
  readonly is_locked: boolean;
  readonly number: number;
}

function reject(changes: readonly PendingChange[], error: unknown): void {
  for (const change of changes) change.reject(error);
}

/** The organizations that the last plans of these changes append to. */
function organizationsOf(changes: readonly PendingChange[]): Buffer[] {
  return changes.flatMap((change) => change.batch()?.audit.map(({ organization }) => organization) ?? []);
}

/** Whether the last plan of a change adds or replaces wrapped keys. */
function changesKeys(change: PendingChange): boolean {
  const batch = change.batch();
  return batch?.keys !== undefined || batch?.root_key !== undefined;
}
