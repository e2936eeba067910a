/** Whether a node can serve the vault: its store takes writes, and its clock is that of the store, with which other nodes agree. */
import type { Store } from '../../store/store.ts';

/** `clock_differs`: from the clock of the database, by more than a second. Expiries would be other ones at each node. */
export type Readiness = 'ready' | 'unavailable' | 'clock_differs';

const CLOCK_DIFFERENCE_MAX_MS = 1_000;

export async function readinessOf(
  store: Pick<Store, 'isReady' | 'clock'>,
  now: () => Date,
): Promise<Readiness> {
  try {
    if (!(await store.isReady())) return 'unavailable';
    if (store.clock === undefined) return 'ready';
    const before_ms = now().getTime();
    const clock_ms = (await store.clock()).getTime();
    const after_ms = now().getTime();
    const differs =
      clock_ms < before_ms - CLOCK_DIFFERENCE_MAX_MS || clock_ms > after_ms + CLOCK_DIFFERENCE_MAX_MS;
    return differs ? 'clock_differs' : 'ready';
  } catch {
    return 'unavailable';
  }
}
