/**
 * Group commit: changes that are pending together share one transaction and its one wait for the disk. A change that
 * fails undoes only itself. A caller's promise resolves after the transaction is durable, never before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import type { VaultError } from '../../contract/errors.ts';
import { PENDING_COMMITS_MAX } from '../../contract/limits.ts';
import { inSpan } from '../../io/tracing/span.ts';
import { tooManyWritesError } from '../errors.ts';
import type { Batch, ChangePlan, LoadedRow, OnCommit, Plan, RowRead } from '../store.ts';
import { AuditChainWriter, type KnownHeads } from './audit_chain.ts';
import { isBusy, retryWhileBusy, toStoreError } from './errors.ts';
import { fileReplacedError } from './file/vault_file.ts';
import type { WalMarker } from './file/wal_marker.ts';
import { type PendingCommit, PendingCommits } from './pending_commits.ts';
import type { ReadSnapshot } from './read_snapshot.ts';
import { RecordWriter } from './record_writer.ts';
import type { WriterQueue } from './writer_queue.ts';

export interface CommitQueueOptions {
  /** A connection with a busy timeout of zero. */
  readonly database: Database;
  readonly snapshot: ReadSnapshot;
  readonly writer_queue: WriterQueue;
  readonly marker: WalMarker;
  /** Whether the vault file is still at its path. */
  readonly isFileCurrent: () => boolean;
  /** The error for writes to a vault that was moved. Called once per transaction, inside it. */
  readonly findMove: () => VaultError | undefined;
  /** Reads inside the transaction. */
  readonly load: (read: RowRead) => LoadedRow | undefined;
  /** Called after the commit, before any caller can read. Must not throw. */
  readonly onWritten: (batch: Batch) => void;
  readonly onCommit: OnCommit | undefined;
}

const COMMIT_SPAN = {
  kind: 'client',
  attributes: { 'db.system.name': 'sqlite', 'db.operation.name': 'commit' },
} as const;
/** The event loop runs at least this often, however fast the writes follow one another. */
const YIELD_AFTER_MS = 10;
/** Bounds how long the plans of one transaction keep other processes waiting. */
const TRANSACTION_MS = 10;
/** Without WAL, COMMIT fails with SQLITE_BUSY while others read. While it waits, no reader can begin. */
const COMMIT_WAIT_MS = 20;
/** How long readers may begin before the transaction is tried again. */
const COMMIT_PAUSE_MS = 5;

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #records: RecordWriter;
  readonly #chains: AuditChainWriter;
  readonly #pending = new PendingCommits();
  #yielded_ms = Number.NEGATIVE_INFINITY;
  /** The last COMMIT failed because others read. */
  #must_pause = false;
  /** As of the present transaction. */
  #moved: VaultError | undefined;
  #flushing: Promise<void> | undefined;

  constructor(options: CommitQueueOptions) {
    const { database } = options;
    this.#options = options;
    this.#sql = prepare(database);
    this.#records = new RecordWriter(database);
    this.#chains = new AuditChainWriter(database);
  }

  /** `is_move`: the change begins or ends a move of the vault. */
  change<Result>(reads: readonly RowRead[], plan: Plan<Result>, is_move = false): Promise<Result> {
    if (this.#pending.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(tooManyWritesError());
    }
    return inSpan('commit', COMMIT_SPAN, () => this.#add(reads, plan, is_move));
  }

  #add<Result>(reads: readonly RowRead[], plan: Plan<Result>, is_move: boolean): Promise<Result> {
    const { load, findMove } = this.#options;
    return new Promise((resolve, reject) => {
      let planned: ChangePlan<Result>;
      this.#pending.add({
        plan: () => {
          if (!is_move && this.#moved !== undefined) throw this.#moved;
          planned = plan(reads.map(load));
          if (is_move) this.#moved = findMove();
          return planned.batch;
        },
        batch: () => planned.batch,
        resolve: () => resolve(planned.result),
        reject,
        since_ms: performance.now(),
      });
      this.#flushing ??= this.#flush();
    });
  }

  /** Writes a batch in the caller's transaction. Throws if it cannot be written. */
  executeNow(batch: Batch): void {
    const heads = this.#chains.begin();
    this.#execute(batch, heads);
    this.#chains.finish(heads);
  }

  /** Resolves when nothing is pending. Never rejects. */
  async drained(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Callers that are ready now may join before the first transaction begins.
    const now = performance.now();
    if (now - this.#yielded_ms < YIELD_AFTER_MS) await new Promise<void>((ready) => process.nextTick(ready));
    else {
      this.#yielded_ms = now;
      await new Promise(setImmediate);
    }
    while (this.#pending.length > 0) {
      let count = 0;
      if (await this.#begin()) {
        // Taken only now, so that commits queued while this process waited for the lock are included.
        const is_isolated = this.#pending.is_isolated;
        const commits = this.#pending.takeNext();
        count = commits.length;
        this.#write(commits, is_isolated);
      }
      if (this.#must_pause) await sleep(COMMIT_PAUSE_MS);
      this.#must_pause = false;
      // Callers that were just resolved may write again at once, and then share the next transaction.
      if (this.#pending.length > 0 || count > 1) await new Promise(setImmediate);
    }
    this.#flushing = undefined;
  }

  /** Begins a transaction. Returns false after it has rejected the commits that cannot be written. */
  async #begin(): Promise<boolean> {
    try {
      const has_begun = await this.#options.writer_queue.acquire(
        () => this.#tryBegin(),
        this.#pending.timeLeftMs(),
      );
      if (!has_begun) this.#pending.rejectExpired();
      if (!has_begun || this.#options.isFileCurrent()) return has_begun;
      this.#rollBack();
      this.#pending.rejectNext(fileReplacedError());
    } catch (error) {
      // The check of the file may fail after BEGIN: an open transaction would lock out every other writer.
      this.#rollBack();
      this.#pending.rejectNext(toStoreError(error));
    }
    return false;
  }

  #tryBegin(): boolean {
    this.#options.snapshot.end();
    try {
      this.#sql.begin.run();
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  /**
   * Inside a transaction: executes the commits that fit into the time limit, commits, and settles their promises. If
   * the shared transaction fails, all are queued again to run isolated.
   */
  #write(commits: readonly PendingCommit[], is_isolated: boolean): void {
    const started: PendingCommit[] = [];
    const committed: PendingCommit[] = [];
    const failed: (readonly [PendingCommit, unknown])[] = [];
    const heads = this.#chains.begin();
    const until_ms = performance.now() + TRANSACTION_MS;
    let may_isolate = commits.length > 1 && !is_isolated;
    try {
      this.#moved = this.#options.findMove();
      for (const commit of commits) {
        if (started.length > 0 && performance.now() > until_ms) break;
        started.push(commit);
        const failure = this.#executePlanned(commit, heads, is_isolated);
        if (failure === undefined) committed.push(commit);
        else failed.push([commit, failure]);
      }
      may_isolate = false;
      this.#chains.finish(heads);
      if (committed.length > 0) this.#options.marker.beforeCommit();
      retryWhileBusy(() => this.#sql.commit.run(), COMMIT_WAIT_MS);
      if (committed.length > 0) this.#options.marker.afterCommit();
      this.#options.snapshot.markCommitted();
      this.#chains.remember(heads);
    } catch (error) {
      this.#rollBack();
      this.#chains.forget();
      if (isBusy(error)) {
        this.#must_pause = true;
        this.#pending.putBack(commits, is_isolated);
        this.#pending.rejectExpired();
        return;
      }
      if (may_isolate) {
        this.#pending.putBack(commits, true);
        return;
      }
      const failure = toStoreError(error);
      for (const commit of started) commit.reject(failure);
      this.#pending.putBack(commits.slice(started.length), is_isolated);
      return;
    }
    this.#pending.putBack(commits.slice(started.length), is_isolated);
    for (const commit of committed) this.#options.onWritten(commit.batch());
    for (const commit of committed) commit.resolve();
    for (const [commit, failure] of failed) commit.reject(failure);
    this.#options.onCommit?.(committed.length);
  }

  /** If this fails, the next BEGIN fails too and reports why. */
  #rollBack(): void {
    try {
      if (this.#options.database.inTransaction) this.#options.database.exec('ROLLBACK');
    } catch {
      // Callers get the error that led to the rollback.
    }
  }

  /** Returns why this commit failed; throws if the whole transaction is lost. */
  #executePlanned({ plan }: PendingCommit, heads: KnownHeads, is_isolated: boolean): unknown {
    let batch: Batch;
    try {
      batch = plan();
    } catch (error) {
      // SQLite ends the transaction after some read errors. Otherwise nothing was written, and the others continue.
      if (isBusy(error) || !this.#options.database.inTransaction) throw error;
      return toStoreError(error);
    }
    return is_isolated ? this.#executeInSavepoint(batch, heads) : this.#execute(batch, heads);
  }

  /** Returns why this batch failed; throws if the whole transaction is lost. */
  #executeInSavepoint(batch: Batch, heads: KnownHeads): unknown {
    const before = new Map(heads);
    this.#sql.savepoint.run();
    try {
      this.#execute(batch, heads);
      this.#sql.release.run();
      return undefined;
    } catch (error) {
      // After some errors, such as a full disk, SQLite has rolled back the whole transaction.
      if (isBusy(error) || !this.#options.database.inTransaction) throw error;
      this.#sql.rollback_to.run();
      this.#sql.release.run();
      heads.clear();
      for (const [key, head] of before) heads.set(key, head);
      return toStoreError(error);
    }
  }

  #execute(batch: Batch, heads: KnownHeads): undefined {
    this.#records.apply(batch);
    for (const append of batch.audit) this.#chains.append(append, heads);
  }
}

function prepare(database: Database) {
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    savepoint: database.prepare('SAVEPOINT batch'),
    release: database.prepare('RELEASE batch'),
    rollback_to: database.prepare('ROLLBACK TO batch'),
  };
}
