/** Completes the upgrade of a vault file of format 1, whose records do not name their organization. */
import { VaultError } from '../../contract/errors.ts';
import type { SqliteStore } from '../../store/sqlite/store.ts';
import type { Keyring } from '../keys/keyring.ts';
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
        const keyring = await keys.organizationOf(organization);
        if (keyring && records.tryOpenMeta(keyring, row) !== undefined) return organization;
      }
      return undefined;
    });
  } catch (error) {
    if (!(error instanceof VaultError && error.code === 'UNAVAILABLE')) throw error;
  }
}
