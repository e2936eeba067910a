/** Removes a folder that a program which is about to end may still write to. */

import { rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';

const TRIES = 40;
const PAUSE_MS = 50;

/** Removes `path` with all it contains. A file that appears meanwhile (ENOTEMPTY) is removed with the next try. */
export async function removeFolder(path: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await rm(path, { recursive: true, force: true });
      return;
    } catch (error) {
      if (tries === TRIES || (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
      await setTimeout(PAUSE_MS);
    }
  }
}
