/** The vault file on the file system: inspects its path, creates it, and detects that it was replaced. */
import { closeSync, lstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { errnoOf } from '../../io/errno.ts';
import { toStoreError } from './errors.ts';

/**
 * Whether there is a file at the path. Throws for a folder or a device. Never opens the file: closing it would drop
 * the locks that another store of this process holds on it (POSIX, fcntl).
 */
export function inspectSqliteFile(path: string): 'absent' | 'empty' | 'filled' {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return 'absent';
    const file = found.isSymbolicLink() ? statSync(path) : found;
    if (!file.isFile()) {
      throw new VaultError(
        'INVALID_INPUT',
        'There is a folder or a device at the path of the vault file. Move it, or point KEYHOLD_STORE or KEYHOLD_HOME elsewhere.',
        { reason: 'not_a_file' },
      );
    }
    return file.size === 0 ? 'empty' : 'filled';
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Creates an empty file with mode 0600 in a folder with mode 0700. Does not touch an existing file or its mode. */
export function createSqliteFile(path: string): void {
  try {
    makeFolder(dirname(path));
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    // Another process was first.
    if (errnoOf(error) !== 'EEXIST') throw toStoreError(error);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    // Node.js 20 reports ENOENT for a folder on a disk mounted read-only.
    if (errnoOf(cause) !== 'ENOENT') throw cause;
    const message =
      'The folder of the vault cannot be made: the disk may be mounted read-only. Mount it writable, then try again.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'read_only', cause });
  }
}

/**
 * Returns a function that reports whether the file at `path` still is the present one. Writes to a file that was
 * moved, replaced or deleted would be acknowledged and lost.
 */
export function watchSqliteFile(path: string): () => boolean {
  // Windows does not move or delete open files.
  if (process.platform === 'win32') return () => true;
  const { dev, ino } = statSync(path);
  return () => {
    const now = statSync(path, { throwIfNoEntry: false });
    return now?.ino === ino && now.dev === dev;
  };
}
