/** Converts errors of the database driver and the file system to VaultErrors with advice. Exposes no path and no SQL. */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { STORE_BUSY_TIMEOUT_MS } from '../../contract/limits.ts';
import { errnoOf } from '../../io/errno.ts';
import { storeErrorRow } from './error_table.ts';

/** Returns other errors unchanged. */
export function toStoreError(thrown: unknown): Error {
  if (thrown instanceof VaultError) return thrown;
  const found = errnoOf(thrown);
  if (found === undefined && thrown instanceof Error) return thrown;
  return storeError(found ?? '', thrown);
}

/** The error for a result code of SQLite or an errno. */
export function storeError(driver_code: string, cause?: unknown): VaultError {
  const { code, reason, message } = storeErrorRow(driver_code);
  return new VaultError(code, message, {
    ...(cause === undefined ? {} : { cause }),
    ...(reason === undefined ? {} : { reason }),
  });
}

export function isBusy(thrown: unknown): boolean {
  return errnoOf(thrown)?.startsWith('SQLITE_BUSY') ?? false;
}

/** A row that cannot be added, since one is there already. */
export function isUniqueViolation(thrown: unknown): boolean {
  return /^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)$/.test(errnoOf(thrown) ?? '');
}

const BUSY_RETRY_MS = 5;

/** Repeats `act` while SQLite is busy: the connection itself never waits. Blocks the event loop. */
export function retryWhileBusy<Result>(act: () => Result, timeout_ms = STORE_BUSY_TIMEOUT_MS): Result {
  const give_up_at_ms = performance.now() + timeout_ms;
  for (;;) {
    try {
      return act();
    } catch (error) {
      if (!isBusy(error) || performance.now() > give_up_at_ms) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
    }
  }
}

/** Like `retryWhileBusy`, but never blocks. Returns no promise if the first attempt succeeds, which is faster. */
export function waitWhileBusy<Result>(act: () => Result): Result | Promise<Result> {
  try {
    return act();
  } catch (error) {
    if (!isBusy(error)) throw toStoreError(error);
    return repeatWhileBusy(act);
  }
}

async function repeatWhileBusy<Result>(act: () => Result): Promise<Result> {
  const give_up_at_ms = performance.now() + STORE_BUSY_TIMEOUT_MS;
  for (;;) {
    await sleep(BUSY_RETRY_MS);
    try {
      return act();
    } catch (error) {
      if (!isBusy(error) || performance.now() > give_up_at_ms) throw toStoreError(error);
    }
  }
}

/** For housekeeping that is done again later. Persistent errors (full disk, lock) are reported by the next write. */
export function ignoreErrors<Result>(act: () => Result): Result | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

export function mapStoreErrors<Result>(act: () => Result): Result {
  try {
    return retryWhileBusy(act);
  } catch (error) {
    throw toStoreError(error);
  }
}
