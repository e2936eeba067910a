/** The bootstrap API key: the first one of a vault, created once and never again after it was revoked. */
import { SCOPES } from '../../contract/caller.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

export const BOOTSTRAP_KEY = { name: 'admin', scopes: SCOPES.filter((scope) => scope !== 'values:reveal') };
/** The parts of its blind index, which is unique, so a vault cannot have two. */
export const BOOTSTRAP_KEY_INDEX = ['first'];

/** Returns whether the organization of the keyring has or ever had an API key. */
export async function hasHadKey(
  { store, log }: VaultDependencies,
  keyring: OrganizationKeyring,
): Promise<boolean> {
  // Counts rows, also those that do not decrypt: a damaged file must not look like a new installation.
  if ((await store.list(keyring.id, 1)).records.length > 0) return true;
  return (await log.newest(keyring, { action: 'create_key', outcome: 'allowed' })) !== undefined;
}
