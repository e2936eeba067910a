/** Errors of writes: retries one that conflicted with another writer, and defers an error until it matters. */

import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';

/** Other processes may keep changing the same record. */
const RETRIES_MAX = 200;
/** After these, the other writer gets time to finish. */
const IMMEDIATE_RETRIES = 10;
const PAUSE_MS = 1;

/**
 * Runs `task` again while it rejects with a CONFLICT of revisions. A CONFLICT with a reason is permanent and is not
 * retried.
 */
export async function retryOnConflict<Result>(task: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      const is_temporary =
        error instanceof VaultError && error.code === 'CONFLICT' && error.reason === undefined;
      if (!is_temporary || attempt > RETRIES_MAX) throw error;
      if (attempt > IMMEDIATE_RETRIES) await sleep(PAUSE_MS);
    }
  }
}

/** Converts a settled promise to a function, so that the error is thrown only if the result is used. */
export async function deferError<Result>(outcome: Promise<Result>): Promise<() => Result> {
  try {
    const result = await outcome;
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
