/** Detects the files of a vault on the disk. Never opens or creates anything. */
import { assertDriverLoads } from '../store/sqlite/driver.ts';
import { inspectSqliteFile } from '../store/sqlite/file/vault_file.ts';
import { type RootKeySource, rootKeyFileExists } from './keys/root_key.ts';

export interface VaultPresence {
  readonly vault: 'absent' | 'empty' | 'filled';
  /** Whether the key file exists; false for a key from another source. */
  readonly key: boolean;
}

/** Throws UNAVAILABLE if the database driver cannot be loaded, which would prevent opening any vault. */
export async function assertStoreLoads(): Promise<void> {
  await assertDriverLoads();
}

/** Throws VaultError if the files are not readable or the path cannot be a vault file. */
export function detectVault(
  store_path: string,
  root_key: Pick<RootKeySource, 'kind'> & { readonly path?: string },
): VaultPresence {
  const { kind, path } = root_key;
  const key = kind === 'file' && path !== undefined && rootKeyFileExists({ kind, path }) === true;
  return { vault: inspectSqliteFile(store_path), key };
}
