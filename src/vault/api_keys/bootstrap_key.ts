/** The first API key of an installation. It is made once, and never again when it was taken away. */
import { SCOPES } from '../../contract/caller.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

/** What it is and may do. */
export const FIRST_KEY = { name: 'admin', scopes: SCOPES.filter((scope) => scope !== 'values:reveal') };
/** What it is found by, so that there cannot be two. */
export const FIRST_KEY_PLACE = ['first'];

/** Whether there is or was a key. `keyring`: of the organization that the first key is made in. */
export async function hasHadKey(
  { store, log }: VaultDependencies,
  keyring: OrganizationKeyring,
): Promise<boolean> {
  // Rows, not keys that open: a damaged file must not look like a new installation.
  if ((await store.list(keyring.id, 1)).records.length > 0) return true;
  return (await log.newest(keyring, { action: 'create_key', outcome: 'allowed' })) !== undefined;
}
