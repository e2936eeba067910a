/**
 * Runs the reads of one event-loop iteration in one read transaction, so the file lock is taken once. A read never sees
 * a state older than its call: changes by others arrive by polling, and each poll starts a new iteration. A snapshot
 * lasts 1 ms at most, which bounds what a client can write elsewhere and then read here in the same iteration.
 */
import { performance } from 'node:perf_hooks';
import type { Database, Statement } from 'better-sqlite3';

/** Also for programs that never return to the event loop. */
const SNAPSHOT_MAX_MS = 1;

/** Counts the commits of all stores of this process: each store sees what another one wrote at once. */
let commits_of_process = 0;

export class ReadSnapshot {
  readonly #database: Database;
  readonly #begin;
  readonly #commit;
  readonly #data_version: Statement<[], number>;
  /** The last value that SQLite returned. It differs when another connection has changed the file. */
  #last_data_version: number | undefined;
  #change_counter = 0;
  #iteration: number | undefined;
  /** The present iteration has had a read before the last one. */
  #has_several_reads = false;
  #expires_at_ms = 0;
  /** `commits_of_process` when the snapshot began. */
  #began_after_commits = 0;
  #is_open = false;
  /** The change counter was read in this snapshot, in which it cannot change. */
  #has_counter = false;
  #end_scheduled = false;

  constructor(database: Database) {
    this.#database = database;
    this.#begin = database.prepare('BEGIN');
    this.#commit = database.prepare('COMMIT');
    this.#data_version = database.prepare<[], number>('PRAGMA data_version').pluck();
  }

  /**
   * Call before each read. The first read of an iteration gets no snapshot, because it may be the only one, unless the
   * iteration before had several.
   */
  enter(): void {
    const iteration = currentIteration();
    const expects_more = this.#has_several_reads;
    this.#has_several_reads = iteration === this.#iteration;
    if (this.#isUsable(iteration)) return;
    if (this.#has_several_reads || expects_more) this.#open(iteration);
    this.#iteration = iteration;
  }

  /** A different number whenever another connection may have changed the file. Call `enter` first. */
  changeCounter(): number {
    if (this.#has_counter) return this.#change_counter;
    const data_version = this.#data_version.get();
    if (data_version !== this.#last_data_version) this.#change_counter += 1;
    this.#last_data_version = data_version;
    this.#has_counter = this.#is_open;
    return this.#change_counter;
  }

  /** Call after each commit of this connection. */
  markCommitted(): void {
    commits_of_process += 1;
  }

  #isUsable(iteration: number | undefined): boolean {
    if (!this.#is_open) return false;
    const is_current = iteration === this.#iteration && this.#began_after_commits === commits_of_process;
    if (is_current && performance.now() < this.#expires_at_ms) return true;
    this.end();
    return false;
  }

  /** Does nothing during a write: its own transaction is a snapshot. */
  #open(iteration: number | undefined): void {
    if (iteration === undefined || this.#database.inTransaction) return;
    this.#begin.run();
    this.#is_open = true;
    this.#has_counter = false;
    this.#iteration = iteration;
    this.#began_after_commits = commits_of_process;
    this.#expires_at_ms = performance.now() + SNAPSHOT_MAX_MS;
    if (this.#end_scheduled) return;
    this.#end_scheduled = true;
    setImmediate(() => {
      this.#end_scheduled = false;
      this.end();
    });
  }

  /** Call before anything that is not a read. */
  end(): void {
    if (!this.#is_open) return;
    this.#is_open = false;
    this.#has_counter = false;
    try {
      // A failed read may have ended the transaction.
      if (this.#database.inTransaction) this.#commit.run();
    } catch {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
    }
  }
}

/** Increases with each poll of the event loop; `undefined` if Node.js does not report it (before 20.18). */
function currentIteration(): number | undefined {
  return performance.nodeTiming.uvMetricsInfo?.loopCount;
}
