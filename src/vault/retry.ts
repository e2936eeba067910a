/** Tries again what another writer was faster with. */
import { VaultError } from '../contract/errors.ts';

/** How often a write is tried again when other processes keep changing the same record. */
const RETRIES_MAX = 200;

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
    }
  }
}
