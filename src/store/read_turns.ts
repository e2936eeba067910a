/**
 * Reads within one turn of the event loop share a transaction, which takes and gives back the lock of the file once for
 * all of them. Nobody is shown less than there was when they began to ask: what comes from outside comes by polling,
 * and with every poll a new turn begins. Nothing is held for longer than a turn, or a moment.
 */
import { performance } from 'node:perf_hooks';
import type { Database, Statement } from 'better-sqlite3';

/** For programs that never let the event loop turn. */
const SHARED_MAX_MS = 1;

export class ReadTurns {
  readonly #database: Database;
  readonly #begin;
  readonly #commit;
  readonly #data_version: Statement<[], number>;
  /** As SQLite counts what other connections have changed. */
  #seen_data_version: number | undefined;
  #version = 0;
  #turn: number | undefined;
  #until_ms = 0;
  #is_open = false;
  #ends_soon = false;

  constructor(database: Database) {
    this.#database = database;
    this.#begin = database.prepare('BEGIN');
    this.#commit = database.prepare('COMMIT');
    this.#data_version = database.prepare<[], number>('PRAGMA data_version').pluck();
  }

  /** Before each read. */
  enter(): void {
    const turn = currentTurn();
    if (this.#is_open) {
      if (turn === this.#turn && performance.now() < this.#until_ms) return;
      this.end();
    }
    // While a write is under way, its transaction reads what nobody can change now.
    if (turn !== undefined && !this.#database.inTransaction) this.#share(turn);
    this.#look();
  }

  #share(turn: number): void {
    this.#begin.run();
    this.#is_open = true;
    this.#turn = turn;
    this.#until_ms = performance.now() + SHARED_MAX_MS;
    if (this.#ends_soon) return;
    this.#ends_soon = true;
    setImmediate(() => {
      this.#ends_soon = false;
      this.end();
    });
  }

  /** Another number whenever anything in the file may be other than it was. */
  version(): number {
    this.enter();
    return this.#version;
  }

  /** This connection has changed something, which SQLite does not count. */
  wrote(): void {
    this.#version += 1;
  }

  #look(): void {
    const data_version = this.#data_version.get();
    if (data_version === this.#seen_data_version) return;
    this.#seen_data_version = data_version;
    this.#version += 1;
  }

  /** Before anything that is no read. Never throws. */
  end(): void {
    if (!this.#is_open) return;
    this.#is_open = false;
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
