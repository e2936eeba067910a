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
import {
  COMMITS_PER_TRANSACTION_MAX,
  PENDING_COMMITS_MAX,
  STORE_BUSY_TIMEOUT_MS,
} from '../../../contract/limits.ts';
import { inSpan } from '../../../io/tracing/span.ts';
import { brokenLogError, conflictError, tooManyWritesError } from '../../errors.ts';
import type { RowCache } from '../../row_cache.ts';
import type { Batch, OnCommit, Plan, RowRead } from '../../store.ts';
import type { Connection, Session } from '../connection.ts';
import {
  BrokenConnectionError,
  busyError,
  ConnectError,
  isDemoted,
  isRetryable,
  toStoreError,
  unknownOutcomeError,
  withoutDetail,
} from '../errors.ts';
import { BEGIN, COMMIT, keyOf, ROLLBACK } from '../statements.ts';
import { isMovedFailure, movedFailure } from '../transfer/move_state.ts';
import { Contention } from './contention.ts';
import { hasOtherKeys, isConflict, isLockTimeout, isTakenPosition } from './failures.ts';
import { Group } from './group.ts';
import { isFree, loadGroup } from './group_loader.ts';
import { Needs } from './group_state.ts';
import type { KnownHeads } from './known_heads.ts';
import { othersOf, UnknownOutcome } from './outcome.ts';
import {
  changesKeys,
  newChange,
  organizationsOf,
  type PendingChange,
  PendingChanges,
  reject,
} from './pending_changes.ts';
import { hasWrites, WRITE_TIMEOUT_MS, writeStatement } from './write_statement.ts';

export interface GroupCommitQueueOptions {
  readonly connection: Connection;
  /** Whether this process has reached the database at any time. */
  readonly hasConnected: () => boolean;
  readonly cache: RowCache;
  readonly heads: KnownHeads;
  /** How long a change waits for a primary. */
  readonly outage_timeout_ms: number;
  readonly onCommit: OnCommit | undefined;
}

/** Bounds how long the plans of one group keep other nodes and the event loop waiting. */
const PLANNING_MS = 10;
const RETRY_MS = 100;
/** Of changes whose rows change between two attempts. */
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
  readonly #contention = new Contention();
  /** How many changes a locked group planned within the time limit: the heads of more are not locked in vain. */
  #locked_max = COMMITS_PER_TRANSACTION_MAX;
  #flushing: Promise<void> | undefined;

  constructor(options: GroupCommitQueueOptions) {
    this.#options = options;
  }

  change<Result>(reads: readonly RowRead[], plan: Plan<Result>, organization?: Buffer): Promise<Result> {
    if (this.#pending.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(tooManyWritesError());
    }
    return inSpan('commit', COMMIT_SPAN, () =>
      newChange({ reads, plan, organization }, (change) => {
        this.#pending.add(change);
        this.#flushing ??= this.#flush();
      }),
    );
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
    const { connection, hasConnected, outage_timeout_ms } = this.#options;
    let session: Session;
    try {
      session = await connection.session();
    } catch (error) {
      const may_pass = error instanceof ConnectError && error.is_temporary && hasConnected();
      if (!may_pass) return reject(changes, toStoreError(error));
      return this.#writeLater(changes, outage_timeout_ms, toStoreError(error));
    }
    const is_locked = this.#contention.hasAny(organizationsOf(changes));
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
      const is_contended = this.#contention.hasAny(group.heads.map(({ organization }) => organization));
      if (group.needs.needs_lock || (is_contended && !attempt.is_locked))
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
        if (is_sent && group !== undefined && hasWrites(group))
          return this.#settle(group, changes, toStoreError(error));
        return this.#writeLater(changes, this.#options.outage_timeout_ms, toStoreError(error));
      }
      // The COMMIT after a failed statement has ended the transaction.
      if (attempt.is_locked && !is_sent) await session.run([ROLLBACK]).catch(() => undefined);
      return this.#fail(session, changes, attempt, error);
    }
    this.#finish(group, changes);
  }

  /**
   * Plans as many of the changes as fit into the time limit, until everything that they depend on is loaded. A locked plan
   * leaves out those of organizations that another node has locked, so that two nodes never wait for each other.
   */
  async #plan(
    session: Session,
    changes: readonly PendingChange[],
    { is_locked, number }: Attempt,
  ): Promise<Group> {
    const { heads, cache } = this.#options;
    const needs = new Needs();
    let planned = is_locked ? changes.slice(0, this.#locked_max) : changes;
    needs.vault = is_locked && planned.some(changesKeys);
    for (const organization of organizationsOf(planned))
      if (is_locked || heads.current(organization) === undefined)
        needs.organizations.set(keyOf(organization), organization);
    for (let pass = 1; ; pass++) {
      const begin = is_locked && pass === 1 ? [BEGIN] : [];
      const loaded = await loadGroup(session, { changes: planned, needs, heads, is_locked, begin });
      for (const organization of loaded.contended) this.#contention.add(organization);
      planned = planned.filter((change) => isFree(change, loaded));
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
      if (is_locked && count < planned.length) this.#locked_max = count;
      else if (is_locked && count === this.#locked_max)
        this.#locked_max = Math.min(2 * count, COMMITS_PER_TRANSACTION_MAX);
      planned = planned.slice(0, count);
      const { is_empty, needs_lock, needs_isolation } = group.needs;
      if (is_empty || needs_lock || needs_isolation) return group;
      if (pass === PASSES_MAX) throw conflictError();
      needs.add(group.needs);
    }
  }

  #finish(group: Group, changes: readonly PendingChange[]): void {
    const { heads, cache, onCommit } = this.#options;
    this.#pending.restore(othersOf(group, changes), false);
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
    if (isMovedFailure(error)) {
      const failure = await movedFailure(session);
      if (failure === undefined) return this.#writeLater(changes, STORE_BUSY_TIMEOUT_MS, busyError());
      return reject(changes, failure);
    }
    if (isDemoted(error))
      return this.#writeLater(changes, this.#options.outage_timeout_ms, toStoreError(error));
    if (isLockTimeout(error)) {
      // The others of its organization would wait for the same lock.
      const others = changes.length === 1 ? this.#pending.takeOf(organizationsOf(changes)) : [];
      return this.#pending.postpone([...changes, ...others], STORE_BUSY_TIMEOUT_MS, toStoreError(error));
    }
    const is_conflict = isRetryable(error) || isConflict(error);
    if (is_conflict && !attempt.is_locked)
      return this.#attempt(session, changes, { is_locked: true, number: 1 });
    const again = { is_locked: true, number: attempt.number + 1 };
    const may_repeat = is_conflict && attempt.number < ATTEMPTS_MAX;
    if (changes.length > 1 && !(may_repeat && isRetryable(error)))
      return this.#pending.restore(changes, true);
    if (isTakenPosition(error)) return reject(changes, brokenLogError(withoutDetail(error)));
    if (hasOtherKeys(error)) return reject(changes, conflictError(withoutDetail(error)));
    if (!is_conflict) return reject(changes, toStoreError(error));
    if (!may_repeat) return reject(changes, conflictError(withoutDetail(error)));
    await sleep(Math.random() * attempt.number);
    return this.#attempt(session, changes, again);
  }

  /** Nothing was written. Rejects the changes that have waited for the time limit. */
  async #writeLater(changes: readonly PendingChange[], limit_ms: number, error: Error): Promise<void> {
    this.#pending.restore(changes, changes.length === 1);
    this.#pending.rejectExpired(limit_ms, error);
    await sleep(RETRY_MS);
  }

  /**
   * The connection broke with `broken` after the statement was sent. Waits for a primary, looks there for the group, and sends
   * it once more. One of the changes may break every connection: they are made again one by one, after the others.
   */
  async #settle(group: Group, changes: readonly PendingChange[], broken: Error): Promise<void> {
    const { connection, outage_timeout_ms } = this.#options;
    const give_up_at_ms = performance.now() + outage_timeout_ms;
    const outcome = new UnknownOutcome(group);
    for (;;) {
      try {
        const session = await connection.session();
        if (await outcome.isCommitted(session)) return this.#finish(group, changes);
        this.#pending.postpone(changes, outage_timeout_ms, broken);
        return await sleep(RETRY_MS);
      } catch (error) {
        const is_final = error instanceof VaultError;
        if (is_final || performance.now() > give_up_at_ms)
          return this.#giveUp(group, changes, is_final ? error : unknownOutcomeError());
        await sleep(RETRY_MS);
      }
    }
  }

  /** Whether the group was committed stays unknown. Changes that it does not contain were not sent. */
  #giveUp(group: Group, changes: readonly PendingChange[], error: VaultError): void {
    this.#pending.restore(othersOf(group, changes), false);
    reject(group.done, error);
    for (const [change, failure] of group.failed) change.reject(failure);
  }
}

interface Attempt {
  readonly is_locked: boolean;
  readonly number: number;
}
