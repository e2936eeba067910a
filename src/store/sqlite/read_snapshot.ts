/**
 * Reads within one turn of the event loop share a transaction, which takes and gives back the lock of the file once for
 * all of them. Nobody is shown less than there was when they began to ask: what comes from outside comes by polling,
 * and with every poll a new turn begins. No two reads that share lie further apart than a millisecond, which bounds what
 * a turn may bring besides: a second request that a client sends before it has the answer to its first.
 */
import { performance } from 'node:perf_hooks';
import type { Database, Statement } from 'better-sqlite3';

/** Also for programs that never let the event loop turn. */
const SHARED_MAX_MS = 1;

/** By all stores of this process: what one of them writes, the others see at once. */
let written_here = 0;

export class ReadSnapshot {
  readonly #database: Database;
  readonly #begin;
  readonly #commit;
  readonly #data_version: Statement<[], number>;
  /** As SQLite counts what other connections have changed. */
  #seen_data_version: number | undefined;
  #version = 0;
  #turn: number | undefined;
  /** The turn has had another read before the last one. */
  #has_more = false;
  #until_ms = 0;
  /** `written_here` when the transaction began. */
  #began_after = 0;
  #is_open = false;
  #has_looked = false;
  #ends_soon = false;

  constructor(database: Database) {
    this.#database = database;
    this.#begin = database.prepare('BEGIN');
    this.#commit = database.prepare('COMMIT');
    this.#data_version = database.prepare<[], number>('PRAGMA data_version').pluck();
  }

  /** Before each read. The first one of a turn goes alone, as it may be the only one, unless the one before had more. */
  enter(): void {
    const turn = currentTurn();
    const expects_more = this.#has_more;
    this.#has_more = turn === this.#turn;
    if (this.#isShared(turn)) return;
    if (this.#has_more || expects_more) this.#share(turn);
    this.#turn = turn;
  }

  /** Another number whenever another connection may have changed anything in the file. */
  version(): number {
    this.enter();
    if (this.#has_looked) return this.#version;
    const data_version = this.#data_version.get();
    if (data_version !== this.#seen_data_version) this.#version += 1;
    this.#seen_data_version = data_version;
    this.#has_looked = this.#is_open;
    return this.#version;
  }

  /** This connection has changed something. */
  wrote(): void {
    written_here += 1;
  }

  #isShared(turn: number | undefined): boolean {
    if (!this.#is_open) return false;
    const is_current = turn === this.#turn && this.#began_after === written_here;
    if (is_current && performance.now() < this.#until_ms) return true;
    this.end();
    return false;
  }

  /** While a write is under way, its own transaction reads what nobody else can change. */
  #share(turn: number | undefined): void {
    if (turn === undefined || this.#database.inTransaction) return;
    this.#begin.run();
    this.#is_open = true;
    this.#has_looked = false;
    this.#turn = turn;
    this.#began_after = written_here;
    this.#until_ms = performance.now() + SHARED_MAX_MS;
    if (this.#ends_soon) return;
    this.#ends_soon = true;
    setImmediate(() => {
      this.#ends_soon = false;
      this.end();
    });
  }

  /** Before anything that is no read. */
  end(): void {
    if (!this.#is_open) return;
    this.#is_open = false;
    this.#has_looked = false;
    try {
      // A failed read may have ended it.
      if (this.#database.inTransaction) this.#commit.run();
    } catch {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
    }
  }
}

/** Counts up with each poll of the event loop; `undefined` where Node.js does not tell (before 20.18). */
function currentTurn(): number | undefined {
  return performance.nodeTiming.uvMetricsInfo?.loopCount;
}
