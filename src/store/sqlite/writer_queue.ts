/**
 * Fair turns between the processes that write to one file. SQLite's lock keeps them apart but hands itself to
 * whoever asks at the right moment, so one busy writer can shut the others out; here the waiting ones announce
 * themselves in a small file, and a writer that has had its turn lets the one that waited longest go first.
 *
 * It is advice only: whatever is in that file, and if it cannot be had at all, the database lock alone decides what
 * is safe. It holds process numbers and times, nothing else.
 */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const SLOTS = 128;
const SLOT_BYTES = 24;
/** How long one process may go on writing while others wait. */
const TURN_MS = 10;
const POLL_MS = 1;
/** A waiter that has not said so for this long is dead or stopped, and is passed over. */
const STALE_MS = 250;

export class WriterQueue {
  readonly #file: number | undefined;
  readonly #slot = process.pid % SLOTS;
  readonly #mine = Buffer.alloc(SLOT_BYTES);
  readonly #all = Buffer.alloc(SLOTS * SLOT_BYTES);
  /** When this process got its present turn, and when it last wrote in it. */
  #turn_began_ms = 0;
  #last_wrote_ms = 0;

  constructor(path: string) {
    this.#file = openQuietly(path);
  }

  /**
   * Calls `begin` until it returns true, in turn with the other processes. Returns false when that took longer than
   * `timeout_ms`.
   */
  async take(begin: () => boolean, timeout_ms: number): Promise<boolean> {
    const now = Date.now();
    const in_turn = now - this.#last_wrote_ms <= TURN_MS && now - this.#turn_began_ms <= TURN_MS;
    if ((in_turn || !this.#someoneBefore(now, Number.POSITIVE_INFINITY)) && begin()) {
      if (!in_turn) this.#turn_began_ms = now;
      this.#last_wrote_ms = now;
      return true;
    }
    try {
      for (;;) {
        await sleep(POLL_MS);
        const at = Date.now();
        this.#announce(now, at);
        if (!this.#someoneBefore(at, now) && begin()) {
          this.#turn_began_ms = at;
          this.#last_wrote_ms = at;
          return true;
        }
        if (at - now > timeout_ms) return false;
      }
    } finally {
      this.#announce(0, 0);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  /** Writes this process's slot: waiting since, last heard of. Zeros: not waiting. */
  #announce(since_ms: number, heard_ms: number): void {
    if (this.#file === undefined) return;
    this.#mine.writeUInt32LE(process.pid, 0);
    this.#mine.writeDoubleLE(since_ms, 8);
    this.#mine.writeDoubleLE(heard_ms, 16);
    try {
      writeSync(this.#file, this.#mine, 0, SLOT_BYTES, this.#slot * SLOT_BYTES);
    } catch {
      // A full disk costs fairness, never correctness.
    }
  }

  /** Is there a live waiter that has waited since before `since_ms`? */
  #someoneBefore(now: number, since_ms: number): boolean {
    if (this.#file === undefined) return false;
    let read = 0;
    try {
      read = readSync(this.#file, this.#all, 0, this.#all.length, 0);
    } catch {
      return false;
    }
    for (let at = 0; at + SLOT_BYTES <= read; at += SLOT_BYTES) {
      if (at === this.#slot * SLOT_BYTES) continue;
      const heard = this.#all.readDoubleLE(at + 16);
      // Written so that it passes over what is no number, too.
      if (!(Math.abs(now - heard) <= STALE_MS)) continue;
      const since = this.#all.readDoubleLE(at + 8);
      if (since < since_ms || (since === since_ms && this.#all.readUInt32LE(at) < process.pid)) return true;
    }
    return false;
  }
}

function openQuietly(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o600);
  } catch {
    return undefined;
  }
}
