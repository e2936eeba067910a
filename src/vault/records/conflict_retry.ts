/** Tries again what another writer was faster with. */

import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';

/** How often a write is tried again when other processes keep changing the same record. */
const RETRIES_MAX = 200;
/** After so many, whoever is in the way needs time to get out of it. */
const RETRIES_AT_ONCE = 10;
const PAUSE_MS = 1;

/**
 * Runs `task` from the start again for as long as it rejects with a CONFLICT of revisions. A conflict that has a reason
 * is one that no second try mends.
 */
export async function retryOnConflict<Result>(task: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      const is_race = error instanceof VaultError && error.code === 'CONFLICT' && error.reason === undefined;
      if (!is_race || attempt > RETRIES_MAX) throw error;
      if (attempt > RETRIES_AT_ONCE) await sleep(PAUSE_MS);
    }
  }
}
