/** The vault file before it is open: see `StoreEngine`. */
import { dirname } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { existingFolder, keepsFileModes, pathWritableByOthers } from '../../io/file_access.ts';
import type { StoreEngine } from '../engine.ts';
import { assertDriverLoads, toDriverError } from './driver.ts';
import { toStoreError } from './errors.ts';
import { createSqliteFile, inspectSqliteFile } from './file/vault_file.ts';

export function sqliteEngine(path: string): StoreEngine {
  return {
    is_remote: false,
    inspect: () => inspectSqliteFile(path),
    assertPrivate: () => assertFilePrivate(path),
    assertDriverLoads,
    prepare: () => createSqliteFile(path),
    openTarget: async () => new (await import('./transfer/target.ts')).SqliteTarget(path),
    async open(onCommit) {
      const { openSqlite } = await loadStore();
      return openSqlite(path, onCommit);
    },
  };
}

async function loadStore() {
  try {
    return await import('./store.ts');
  } catch (error) {
    throw toDriverError(error) ?? error;
  }
}

/**
 * Throws LOCKED if every user could change the vault file, or that of a new vault, unless its file system has no modes that
 * could prevent it.
 */
function assertFilePrivate(path: string): void {
  if (!isWritableByOthers(path) || !keepsFileModes(existingFolder(dirname(path)))) return;
  const message =
    inspectSqliteFile(path) === 'absent'
      ? 'No vault was created: every user of this machine could replace its file, because a folder on the path to it is writable for all. Run `chmod o-w` on that folder, which `keyhold doctor` names, or set KEYHOLD_HOME to another one.'
      : 'Every user of this machine can change or replace the vault file, because it or a folder on the path to it is writable for all. Run `chmod o-w` on it; `keyhold doctor` names it. Then run `keyhold audit verify`.';
  throw new VaultError('LOCKED', message, { reason: 'vault_exposed' });
}

function isWritableByOthers(path: string): boolean {
  try {
    return pathWritableByOthers(path) !== undefined;
  } catch (error) {
    throw toStoreError(error);
  }
}
