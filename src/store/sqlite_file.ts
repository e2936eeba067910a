/** The vault file as a file: what stands in its place, and how it is made. */
import { closeSync, lstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { toStoreError } from './sqlite_errors.ts';

/**
 * What stands at the place where a vault file should be. Throws for a folder and the like. Never opens the file: to
 * close it again would drop the locks that another vault of this process holds on it (POSIX, fcntl).
 */
export function inspectSqliteFile(path: string): 'absent' | 'empty' | 'filled' {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return 'absent';
    const file = found.isSymbolicLink() ? statSync(path) : found;
    if (!file.isFile()) {
      throw new VaultError(
        'INVALID_INPUT',
        'In the place of the vault file there is a folder or a device. Point KEYHOLD_STORE or KEYHOLD_HOME elsewhere, or move it away.',
        { reason: 'not_a_file' },
      );
    }
    return file.size === 0 ? 'empty' : 'filled';
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Makes an empty file of mode 0600 in a folder of mode 0700. Leaves a file that is there alone, its mode too. */
export function createSqliteFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    // Another process was first.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw toStoreError(error);
  }
}
