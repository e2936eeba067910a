/** The bootstrap API key: the first one of a vault, created once and never again after it was revoked. */
import { SCOPES } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { indexOf } from '../records/blind_indexes.ts';
import { uuidText } from '../records/record_codec.ts';
import { parseKey } from './policy.ts';

export const BOOTSTRAP_KEY = { name: 'admin', scopes: SCOPES.filter((scope) => scope !== 'values:reveal') };
/** The parts of its blind index, which is unique, so a vault cannot have two. */
const BOOTSTRAP_KEY_INDEX = ['first'];

/** Returns whether the organization of the keyring has or ever had an API key. */
export async function hasHadKey(
  { store, audit_log }: VaultDependencies,
  keyring: OrganizationKeyring,
): Promise<boolean> {
  // Counts rows, also those that do not decrypt: a damaged file must not look like a new installation.
  if ((await store.list(keyring.id, 1)).records.length > 0) return true;
  return (await audit_log.newest(keyring, { action: 'create_key', outcome: 'allowed' })) !== undefined;
}

/**
 * The record of the bootstrap key. `save` gets the id of a new key and returns the key to commit. The id is a keyed hash:
 * each vault has another one, and two processes have the same. Throws INVALID_INPUT for text that is not an API key, and
 * CONFLICT for the key of another vault, which may be revoked there.
 */
export function bootstrapRecord(keyring: OrganizationKeyring, save: (id: string) => string) {
  const id = uuidText(indexOf(keyring, 'bootstrap_key_id', []).toString('hex'));
  const text = save(id);
  const saved = parseKey(text);
  if (saved.id === undefined) throw new VaultError('INVALID_INPUT', 'This is not an API key.');
  if (saved.id === id) return { id, key: BOOTSTRAP_KEY_INDEX, revision: 1, text };
  throw new VaultError(
    'CONFLICT',
    'The saved bootstrap API key, in keys/admin.key, is of another vault. Move the file away, then start again: a new key is created.',
  );
}
