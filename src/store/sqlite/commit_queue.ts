/**
 * Group commit: the batches that wait at the same moment go into one transaction and share its one wait for the
 * disk. A batch that cannot be written takes nothing of itself and nobody else down; a caller hears of success only
 * after the transaction is durable.
 */
import type { Database } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import {
  COMMITS_PER_TRANSACTION_MAX,
  PENDING_COMMITS_MAX,
  STORE_BUSY_TIMEOUT_MS,
} from '../../contract/limits.ts';
import type { Batch, OnCommit, OnWritten, Plan, Planned, StoreNow } from '../store.ts';
import { AuditChainWriter, type ChainHeads } from './audit_chain.ts';
import { isBusy, toStoreError } from './errors.ts';
import type { ReadSnapshot } from './read_snapshot.ts';
import { RecordWriter } from './record_writer.ts';
import type { WriterQueue } from './writer_queue.ts';

/** What commits are made with. */
export interface CommitQueueOptions {
  /** A connection with a busy timeout of zero. */
  readonly database: Database;
  readonly shared_reads: ReadSnapshot;
  readonly turns: WriterQueue;
  /** Whether the file still is where it was. */
  readonly isInPlace: () => boolean;
  /** What plans read by. */
  readonly now: StoreNow;
  readonly onCommit: OnCommit | undefined;
  readonly onWritten: OnWritten;
}

interface Waiting {
  readonly plan: () => Batch;
  /** The batch as it was planned last. */
  readonly planned: () => Batch;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

const YIELD_AFTER_MS = 10;
/** Other processes get their turn, however long the plans of this one take. */
const TRANSACTION_MS = 10;

export class CommitQueue {
  readonly #parts: CommitQueueOptions;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #writes: RecordWriter;
  readonly #chains: AuditChainWriter;
  #waiting: Waiting[] = [];
  /**
   * How many of the first that wait are to be carried out each in a savepoint of its own, since one of them failed when
   * they shared a transaction without. Savepoints copy every page anew that a batch touches, and failures are rare.
   */
  #apart = 0;
  #yielded_ms = 0;
  #flushing: Promise<void> | undefined;

  constructor(parts: CommitQueueOptions) {
    const { database } = parts;
    this.#parts = parts;
    this.#sql = prepare(database);
    this.#writes = new RecordWriter(database);
    this.#chains = new AuditChainWriter(database);
  }

  change<Result>(plan: Plan<Result>): Promise<Result> {
    if (this.#waiting.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(
        new VaultError(
          'UNAVAILABLE',
          'Too many writes are waiting. Nothing was changed; try again shortly.',
          { reason: 'busy' },
        ),
      );
    }
    const { now } = this.#parts;
    return new Promise((resolve, failed) => {
      let planned: Planned<Result>;
      const planNow = () => {
        planned = plan(now);
        return planned.batch;
      };
      const done = () => resolve(planned.result);
      this.#waiting.push({ plan: planNow, planned: () => planned.batch, done, failed });
      this.#flushing ??= this.#flush();
    });
  }

  /** For a batch that belongs to a transaction of the caller's own. Throws where it cannot be written. */
  carryOutAlone(batch: Batch): void {
    const ends = this.#chains.begin();
    this.#carryOut(batch, ends);
    this.#chains.finish(ends);
  }

  /** Resolves when nothing is waiting any more. Never rejects. */
  async drained(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Everybody who is ready at this moment gets to join before the first transaction begins; now and then the event
    // loop gets its turn, however fast the writes follow one another.
    const now = Date.now();
    if (now - this.#yielded_ms < YIELD_AFTER_MS) await new Promise<void>((ready) => process.nextTick(ready));
    else {
      this.#yielded_ms = now;
      await new Promise(setImmediate);
    }
    while (this.#waiting.length > 0) {
      const failure = await this.#begin();
      // Taken only now: who came while we waited for our turn rides along.
      const apart = this.#apart > 0;
      const taken = this.#waiting.splice(0, this.#apart || COMMITS_PER_TRANSACTION_MAX);
      this.#apart = 0;
      if (failure !== undefined) for (const one of taken) one.failed(failure);
      else this.#write(taken, apart);
      // Those who were just answered may come right back, and then ride in the next transaction together.
      if (this.#waiting.length > 0 || taken.length > 1) await new Promise(setImmediate);
    }
    this.#flushing = undefined;
  }

  /** Returns what went wrong, or `undefined` inside a transaction. */
  async #begin(): Promise<Error | undefined> {
    try {
      const begun = await this.#parts.turns.take(() => this.#tryBegin(), STORE_BUSY_TIMEOUT_MS);
      if (begun && !this.#parts.isInPlace()) {
        this.#rollBack();
        return moved();
      }
      return begun ? undefined : toStoreError(Object.assign(new Error('no turn'), { code: 'SQLITE_BUSY' }));
    } catch (error) {
      return toStoreError(error);
    }
  }

  #tryBegin(): boolean {
    this.#parts.shared_reads.end();
    try {
      this.#sql.begin.run();
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  /**
   * Inside a transaction: carries out what there is time for, commits, and answers everybody, or has them all wait to be
   * tried apart.
   */
  #write(taken: readonly Waiting[], apart: boolean): void {
    const group: Waiting[] = [];
    const applied: Waiting[] = [];
    const refused: (readonly [Waiting, unknown])[] = [];
    const ends = this.#chains.begin();
    const until_ms = performance.now() + TRANSACTION_MS;
    let may_try_apart = taken.length > 1 && !apart;
    try {
      for (const one of taken) {
        if (group.length > 0 && performance.now() > until_ms) break;
        group.push(one);
        const failure = this.#carryOutOne(one, ends, apart);
        if (failure === undefined) applied.push(one);
        else refused.push([one, failure]);
      }
      may_try_apart = false;
      this.#chains.finish(ends);
      this.#sql.commit.run();
      this.#parts.shared_reads.wrote();
      this.#chains.remember(ends);
    } catch (error) {
      this.#rollBack();
      this.#chains.forget();
      if (may_try_apart) {
        this.#putBack(taken, true);
        return;
      }
      const failure = toStoreError(error);
      for (const one of group) one.failed(failure);
      this.#putBack(taken.slice(group.length), apart);
      return;
    }
    this.#putBack(taken.slice(group.length), apart);
    for (const one of applied) this.#tellOf(one.planned());
    for (const one of applied) one.done();
    for (const [one, failure] of refused) one.failed(failure);
    this.#parts.onCommit?.(applied.length);
  }

  #tellOf({ writes }: Batch): void {
    for (const write of writes) {
      if (write.do === 'put') this.#parts.onWritten(write.record.id);
      else if (write.do === 'delete') this.#parts.onWritten(write.id);
    }
  }

  /** They are the first of the next transaction. */
  #putBack(taken: readonly Waiting[], apart: boolean): void {
    if (taken.length === 0) return;
    this.#waiting = [...taken, ...this.#waiting];
    if (apart) this.#apart = taken.length;
  }

  /** A rollback that fails is made up for by the next BEGIN, which then fails too and says why. */
  #rollBack(): void {
    try {
      if (this.#parts.database.inTransaction) this.#parts.database.exec('ROLLBACK');
    } catch {
      // The failure that led here is what the callers are told.
    }
  }

  /** Returns why this one was refused; throws when the whole transaction is lost. */
  #carryOutOne({ plan }: Waiting, ends: ChainHeads, apart: boolean): unknown {
    let batch: Batch;
    try {
      batch = plan();
    } catch (error) {
      // SQLite ends the transaction after some failures to read. Otherwise nothing was written, and the others go on.
      if (!this.#parts.database.inTransaction) throw error;
      return toStoreError(error);
    }
    return apart ? this.#apply(batch, ends) : this.#carryOut(batch, ends);
  }

  /** Returns why this batch was refused; throws when the whole transaction is lost. */
  #apply(batch: Batch, ends: ChainHeads): unknown {
    const before = new Map(ends);
    this.#sql.savepoint.run();
    try {
      this.#carryOut(batch, ends);
      this.#sql.release.run();
      return undefined;
    } catch (error) {
      // SQLite gives some failures (a full disk) the whole transaction: then there is nothing to go back to.
      if (!this.#parts.database.inTransaction) throw error;
      this.#sql.rollback_to.run();
      this.#sql.release.run();
      ends.clear();
      for (const [key, end] of before) ends.set(key, end);
      return toStoreError(error);
    }
  }

  #carryOut(batch: Batch, ends: ChainHeads): undefined {
    this.#writes.apply(batch);
    for (const append of batch.audit) this.#chains.append(append, ends);
  }
}

function moved(): VaultError {
  const message =
    'The vault file was moved, replaced or deleted, so nothing was written. Put it back, or open the vault again.';
  return new VaultError('UNAVAILABLE', message, { reason: 'vault_missing' });
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
