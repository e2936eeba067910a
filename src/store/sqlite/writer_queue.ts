/**
 * A fair queue for writers in several processes. SQLite's lock is not fair: a busy writer can starve the others. Waiting
 * processes register in a small shared file, and a writer that has used its slot yields to the one that has waited
 * longest. Advisory only: if the file is missing or damaged, the database lock alone keeps writes safe. The file
 * contains random ids and times since the system started, nothing else.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const ENTRIES = 128;
const ENTRY_BYTES = 24;
/** How long a process may keep writing while others wait. */
const SLOT_MS = 10;
const POLL_MS = 1;
/** A waiter without a heartbeat for this long has died or was stopped, and is skipped. */
const STALE_MS = 250;

export class WriterQueue {
  readonly #file: number | undefined;
  /** Not the process id: two containers may have the same. */
  readonly #id: bigint;
  readonly #entry: number;
  readonly #own_entry = Buffer.alloc(ENTRY_BYTES);
  readonly #all_entries = Buffer.alloc(ENTRIES * ENTRY_BYTES);
  #slot_began_ms = Number.NEGATIVE_INFINITY;
  #last_write_ms = Number.NEGATIVE_INFINITY;

  constructor(path: string, id: bigint = randomBytes(8).readBigUInt64LE()) {
    this.#id = id;
    this.#entry = Number(id % BigInt(ENTRIES));
    this.#file = openQueueFile(path);
  }

  /**
   * Calls `begin` until it returns true, in the order in which the processes came. Returns false after `timeout_ms`.
   */
  async acquire(begin: () => boolean, timeout_ms: number): Promise<boolean> {
    const now = systemUptimeMs();
    const has_slot = now - this.#last_write_ms <= SLOT_MS && now - this.#slot_began_ms <= SLOT_MS;
    if ((has_slot || !this.#hasEarlierWaiter(now, Number.POSITIVE_INFINITY)) && begin()) {
      if (!has_slot) this.#slot_began_ms = now;
      this.#last_write_ms = now;
      return true;
    }
    try {
      for (;;) {
        await sleep(POLL_MS);
        const at = systemUptimeMs();
        this.#writeEntry(now, at);
        if (!this.#hasEarlierWaiter(at, now) && begin()) {
          this.#slot_began_ms = at;
          this.#last_write_ms = at;
          return true;
        }
        if (at - now > timeout_ms) return false;
      }
    } finally {
      this.#writeEntry(0, 0);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  /** Zeros: not waiting. */
  #writeEntry(waiting_since_ms: number, heartbeat_ms: number): void {
    if (this.#file === undefined) return;
    this.#own_entry.writeBigUInt64LE(this.#id, 0);
    this.#own_entry.writeDoubleLE(waiting_since_ms, 8);
    this.#own_entry.writeDoubleLE(heartbeat_ms, 16);
    try {
      writeSync(this.#file, this.#own_entry, 0, ENTRY_BYTES, this.#entry * ENTRY_BYTES);
    } catch {
      // A full disk costs fairness, never correctness.
    }
  }

  /** Whether a live process has waited since before `since_ms`. Of two that came together, the lower id is first. */
  #hasEarlierWaiter(now: number, since_ms: number): boolean {
    if (this.#file === undefined) return false;
    let read = 0;
    try {
      read = readSync(this.#file, this.#all_entries, 0, this.#all_entries.length, 0);
    } catch {
      return false;
    }
    for (let at = 0; at + ENTRY_BYTES <= read; at += ENTRY_BYTES) {
      const heartbeat = this.#all_entries.readDoubleLE(at + 16);
      // Negated so that NaN is skipped too.
      if (!(Math.abs(now - heartbeat) <= STALE_MS)) continue;
      const id = this.#all_entries.readBigUInt64LE(at);
      if (id === this.#id) continue;
      const since = this.#all_entries.readDoubleLE(at + 8);
      if (since < since_ms || (since === since_ms && id < this.#id)) return true;
    }
    return false;
  }
}

/** Unlike `performance.now()`, the same clock in all processes; unlike `Date`, never set back (CLOCK_MONOTONIC). */
function systemUptimeMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

function openQueueFile(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o600);
  } catch {
    return undefined;
  }
}
