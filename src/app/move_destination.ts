/** The store that a vault moves to, from a text as in KEYHOLD_STORE. */
import { VaultError } from '../contract/errors.ts';
import { describeStore, type StoreLocation } from '../io/store_location.ts';
import { parseSettings } from '../settings/settings.ts';
import { transferTargetOf } from '../store/engines.ts';
import type { MoveDestination } from '../vault/move/moves.ts';

/** Rejects with INVALID_INPUT for a text that is not a store, and for the present store. */
export async function openMoveDestination(
  text: string,
  env: NodeJS.ProcessEnv,
  present: StoreLocation,
): Promise<MoveDestination> {
  const { store } = parseSettings({ ...env, KEYHOLD_STORE: text });
  const location = describeStore(store);
  if (location === describeStore(present))
    throw new VaultError(
      'INVALID_INPUT',
      'The vault is in this store already. Name another one, and leave KEYHOLD_STORE as it is until the vault is moved.',
    );
  return { target: await transferTargetOf(store), location };
}
