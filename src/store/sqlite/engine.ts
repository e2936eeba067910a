/** The vault file before it is open: see `StoreEngine`. */
import { dirname } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { keepsFileModes, pathWritableByOthers } from '../../io/file_access.ts';
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

/** Throws LOCKED if every user could change the vault file, unless its file system has no modes that could prevent it. */
function assertFilePrivate(path: string): void {
  if (!isWritableByOthers(path) || !keepsFileModes(dirname(path))) return;
  throw new VaultError(
    'LOCKED',
    'Every user of this machine can change or replace the vault file, because it or a folder on the path to it is writable for all. Run `chmod o-w` on it; `keyhold doctor` names it. Then run `keyhold audit verify`.',
    { reason: 'vault_exposed' },
  );
}

function isWritableByOthers(path: string): boolean {
  try {
    return pathWritableByOthers(path) !== undefined;
  } catch (error) {
    throw toStoreError(error);
  }
}
