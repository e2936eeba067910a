/**
 * Whether a node can serve the vault: its store takes writes, its keys may be used, and its clock is that of the store, with which other
 * nodes agree.
 */
import type { Store } from '../../store/store.ts';
import type { Keyring } from '../keys/keyring.ts';

/**
 * `locked`: the key service has not opened the root key for too long. `clock_differs`: from the clock of the database, by more than a second. Expiries
 * would be other ones at each node.
 */
export type Readiness = 'ready' | 'unavailable' | 'locked' | 'clock_differs';

const CLOCK_DIFFERENCE_MAX_MS = 1_000;

export async function readinessOf(
  store: Pick<Store, 'isReady' | 'clock'>,
  keys: Pick<Keyring, 'areUsable'>,
  now: () => Date,
): Promise<Readiness> {
  try {
    if (!(await store.isReady())) return 'unavailable';
    if (!keys.areUsable()) return 'locked';
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
