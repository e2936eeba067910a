/** The vault file on the file system: inspects its path, creates it, and detects that it was replaced. */
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VaultError } from '../../../contract/errors.ts';
import { errnoOf } from '../../../io/errno.ts';
import { storeError, toStoreError } from '../errors.ts';

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

/**
 * Throws for a folder or a device, and UNAVAILABLE if the file can be reached through a second folder: it is a mount of its
 * own or has a second hard link. SQLite keeps the write-ahead log and the locks beside the path that it opened, so two processes that open the
 * file through two folders would lose each other's writes.
 */
export function assertUsableFile(path: string): void {
  inspectSqliteFile(path);
  try {
    const real = realpathSync(path);
    if (isMountPoint(real)) {
      throw linkedError(
        'The vault file is mounted by itself, without its folder. Another process would not see its write-ahead log, and writes would be lost. Mount the folder that contains the vault file.',
      );
    }
    if (statSync(real).nlink > 1) {
      throw linkedError(
        'The vault file has a hard link. A process that opens it through the link would not see the write-ahead log, and writes would be lost. Delete the link (`find / -samefile` with the path of the vault file lists it), or replace it with a symbolic link to the folder.',
      );
    }
  } catch (error) {
    throw toStoreError(error);
  }
}

function linkedError(message: string): VaultError {
  return new VaultError('UNAVAILABLE', message, { reason: 'vault_file_linked' });
}

/** `path` without symbolic links. */
function isMountPoint(path: string): boolean {
  // Not on Linux: a file of an overlay has another device number than its folder.
  if (process.platform !== 'linux') return statSync(path).dev !== statSync(dirname(path)).dev;
  let mounts: string;
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return false;
  }
  // The fifth field is the mount point, with blank, tab, newline and backslash in octal (proc_pid_mountinfo(5)).
  const escaped = path.replaceAll(
    /[ \t\n\\]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return mounts.split('\n').some((line) => line.split(' ', 5)[4] === escaped);
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

/** As SQLite reports it. */
export function fileReplacedError(): Error {
  return storeError('SQLITE_READONLY_DBMOVED');
}

/** How often this process has each file open, by device and inode. */
const open_files = new Map<string, number>();

/** Returns a function to call when the file is closed. */
export function trackOpenFile(path: string): () => void {
  const file = identityOf(path);
  open_files.set(file, (open_files.get(file) ?? 0) + 1);
  return () => {
    const others = (open_files.get(file) ?? 1) - 1;
    if (others === 0) open_files.delete(file);
    else open_files.set(file, others);
  };
}

export function isOpenInThisProcess(path: string): boolean {
  return open_files.has(identityOf(path));
}

function identityOf(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev} ${ino}`;
}
