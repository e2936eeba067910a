/** The store that a vault moves to. */
import { VaultError } from '../../contract/errors.ts';
import { describeStore, type StoreLocation } from '../../io/store_location.ts';
import { engineOf } from '../../store/engines.ts';
import type { MoveDestination } from './moves.ts';

/** Rejects with INVALID_INPUT for the present store. */
export async function openMoveDestination(
  store: StoreLocation,
  present: StoreLocation,
): Promise<MoveDestination> {
  const location = describeStore(store);
  if (location === describeStore(present))
    throw new VaultError(
      'INVALID_INPUT',
      'The vault is in this store already. Name another one, and leave KEYHOLD_STORE as it is until the vault is moved.',
    );
  return { target: await engineOf(store).openTarget(), location };
}
