/** Retries an operation whose write conflicted with another writer. */

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
