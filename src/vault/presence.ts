/** Detects a vault before it is opened. Never opens or creates anything. */
import type { StoreLocation } from '../io/store_location.ts';
import type { ServerFacts, StorePresence } from '../store/engine.ts';
import { engineOf } from '../store/engines.ts';
import { type RootKeySource, rootKeyFileExists } from './keys/root_key.ts';

export interface VaultPresence {
  readonly vault: StorePresence;
  /** Whether the key file exists; false for a key from another source. */
  readonly key: boolean;
}

/** Throws UNAVAILABLE if the database driver cannot be loaded, which would prevent opening any vault. */
export async function assertStoreLoads(store: StoreLocation): Promise<void> {
  await engineOf(store).assertDriverLoads();
}

/** Throws VaultError if the files are not readable or the path cannot be a vault file. */
export function detectVault(
  store: StoreLocation,
  root_key: Pick<RootKeySource, 'kind'> & { readonly path?: string },
): VaultPresence {
  const { kind, path } = root_key;
  const key = kind === 'file' && path !== undefined && rootKeyFileExists({ kind, path }) === true;
  return { vault: engineOf(store).inspect(), key };
}

/** Connects to the database server; `undefined` for a vault in a file. Rejects with VaultError. */
export async function inspectServer(store: StoreLocation): Promise<ServerFacts | undefined> {
  return engineOf(store).inspectServer?.();
}
