/** What of a vault is on the disk, found out without opening anything. */
import { inspectSqliteFile } from '../store/sqlite/file.ts';
import { type RootKeySource, rootKeyFileExists } from './keys/root_key.ts';

export interface VaultPresence {
  readonly vault: 'absent' | 'empty' | 'filled';
  /** Whether the key file is there; false for a key that is in no file. */
  readonly key: boolean;
}

/** Throws VaultError where nobody may look, or where there can be no vault file. */
export function detectVault(
  store_path: string,
  root_key: Pick<RootKeySource, 'kind'> & { readonly path?: string },
): VaultPresence {
  const { kind, path } = root_key;
  const key = kind === 'file' && path !== undefined && rootKeyFileExists({ kind, path }) === true;
  return { vault: inspectSqliteFile(store_path), key };
}
