/**
 * Truncates the write-ahead log when writes pause, which overwrites replaced and deleted data. Under load it waits: SQLite
 * reuses the log, and growing it again is slow.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import { STORE_BUSY_TIMEOUT_MS } from '../../../contract/limits.ts';
import { closedError } from '../../errors.ts';
import { ignoreErrors, isBusy, storeError, waitWhileBusy } from '../errors.ts';
import type { ReadSnapshot } from '../read_snapshot.ts';
import { ensureWal } from '../schema.ts';

/** How long after the last write the log is truncated. */
const CHECKPOINT_AFTER_MS = 500;
const CHECKPOINT_RETRY_MS = 10;
/** The next attempt after one that failed, for example because the disk was full. */
const CHECKPOINT_AFTER_ERROR_MS = 10_000;

/** A row of `PRAGMA wal_checkpoint`. `log`: the number of frames in the WAL, or NO_WAL. */
interface CheckpointRow {
  readonly busy: number;
  readonly log: number;
}
const NO_WAL = -1;

export class Checkpointer {
  readonly #database: Database;
  readonly #snapshot: ReadSnapshot;
  #last_commit_ms = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** As of the last checkpoint. */
  #is_wal = true;

  constructor(database: Database, snapshot: ReadSnapshot) {
    this.#database = database;
    this.#snapshot = snapshot;
  }

  /** Call after each commit. */
  schedule(): void {
    this.#last_commit_ms = performance.now();
    this.#startTimer();
  }

  /** Rejects with UNAVAILABLE if another process is reading for too long. */
  async runNow(): Promise<void> {
    const give_up_at_ms = performance.now() + STORE_BUSY_TIMEOUT_MS;
    for (;;) {
      if (this.#closed) throw closedError();
      if (await waitWhileBusy(() => this.#checkpoint())) return;
      if (performance.now() > give_up_at_ms) throw storeError('SQLITE_BUSY');
      await sleep(CHECKPOINT_RETRY_MS);
    }
  }

  /** Call before the database is closed. `has_written`: this connection has committed. */
  close(has_written: boolean): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (has_written) ignoreErrors(() => this.#checkpoint() && this.#ensureWal());
  }

  #startTimer(delay_ms = CHECKPOINT_AFTER_MS): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#closed) return;
      const is_idle = performance.now() - this.#last_commit_ms >= CHECKPOINT_AFTER_MS;
      if (!is_idle) return this.#startTimer();
      const is_done = ignoreErrors(() => this.#checkpoint() && this.#ensureWal());
      if (is_done === false) this.#startTimer();
      else if (is_done === undefined) this.#startTimer(CHECKPOINT_AFTER_ERROR_MS);
    }, delay_ms).unref();
  }

  /** Moves everything into the main file and truncates the log. Returns false while another process is reading. */
  #checkpoint(): boolean {
    this.#snapshot.end();
    const [row] = this.#database.pragma('wal_checkpoint(TRUNCATE)') as readonly CheckpointRow[];
    this.#is_wal = row?.log !== NO_WAL;
    return row?.busy === 0;
  }

  /** A file that others were reading when it was opened may not be in WAL mode. Returns false while they read. */
  #ensureWal(): boolean {
    if (this.#is_wal) return true;
    try {
      ensureWal(this.#database);
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }
}
