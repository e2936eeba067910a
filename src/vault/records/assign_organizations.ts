/** Completes the upgrade of a vault file of format 1, whose records do not name their organization. */
import { VaultError } from '../../contract/errors.ts';
import type { SqliteStore } from '../../store/sqlite/store.ts';
import type { Keyring, OrganizationKeyring } from '../keys/keyring.ts';
import type { RecordCodec } from './record_codec.ts';

/** Finds the organization of a record by decrypting it. Skipped if the file cannot be written now. */
export async function assignOrganizations(
  store: SqliteStore,
  keys: Keyring,
  records: RecordCodec,
): Promise<void> {
  try {
    await store.assignOrganizations(async (row, organizations) => {
      if (organizations.length === 1) return organizations[0];
      for (const organization of organizations) {
        const keyring = await keyringIfIntact(keys, organization);
        if (keyring && records.tryOpenMeta(keyring, row) !== undefined) return organization;
      }
      return undefined;
    });
  } catch (error) {
    if (!(error instanceof VaultError && error.code === 'UNAVAILABLE')) throw error;
  }
}

/** A damaged key must affect its own organization only, not keep the vault from opening. */
async function keyringIfIntact(
  keys: Keyring,
  organization: Buffer,
): Promise<OrganizationKeyring | undefined> {
  try {
    return await keys.organizationOf(organization);
  } catch (error) {
    if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
    throw error;
  }
}
