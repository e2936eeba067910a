/** Converts errors of the database driver and the file system to VaultErrors with advice. Exposes no path and no SQL. */
import { type ErrorCode, type ErrorReason, VaultError } from '../../contract/errors.ts';
import { STORE_BUSY_TIMEOUT_MS } from '../../contract/limits.ts';
import { errnoOf } from '../../io/errno.ts';

const NOT_A_FILE =
  'The path of the vault file cannot be used: it leads through a file, a symbolic link is circular, or a folder is missing. Point KEYHOLD_STORE or KEYHOLD_HOME elsewhere.';

const ROWS: readonly (readonly [prefix: string, code: ErrorCode, reason: ErrorReason, message: string])[] = [
  // The index of the write-ahead log could not be made larger.
  [
    'SQLITE_IOERR_SHMSIZE',
    'UNAVAILABLE',
    'disk_full',
    'The disk is full and nothing was changed. Free some space, then try again.',
  ],
  [
    'SQLITE_FULL',
    'UNAVAILABLE',
    'disk_full',
    'The disk is full and nothing was changed. Free some space, then try again.',
  ],
  [
    'ENOSPC',
    'UNAVAILABLE',
    'disk_full',
    'The disk is full and nothing was changed. Free some space, then try again.',
  ],
  [
    'SQLITE_READONLY',
    'UNAVAILABLE',
    'read_only',
    'The vault file may not be written. Give your user write permission on the file and its folder, then try again.',
  ],
  [
    'EROFS',
    'UNAVAILABLE',
    'read_only',
    'The file system of the vault is read-only. Mount it writable, then try again.',
  ],
  ['SQLITE_BUSY', 'UNAVAILABLE', 'busy', 'Another process has kept the vault busy for too long. Try again.'],
  [
    'SQLITE_LOCKED',
    'UNAVAILABLE',
    'busy',
    'Another process has kept the vault busy for too long. Try again.',
  ],
  [
    'SQLITE_NOTADB',
    'CORRUPT',
    'not_a_vault',
    'The vault file is not a Keyhold vault, or is badly damaged. It was not touched. Restore it from a backup, or point KEYHOLD_STORE at the right file.',
  ],
  // A table is missing: in an undamaged file no statement of the store fails like this.
  ['SQLITE_ERROR', 'CORRUPT', 'record_damaged', 'The vault file is damaged. Restore it from a backup.'],
  ['SQLITE_CORRUPT', 'CORRUPT', 'record_damaged', 'The vault file is damaged. Restore it from a backup.'],
  [
    'SQLITE_CANTOPEN',
    'UNAVAILABLE',
    'unreadable',
    'The vault file cannot be opened. Check the permissions of the file and its folder, then try again.',
  ],
  [
    'EACCES',
    'UNAVAILABLE',
    'unreadable',
    'The vault file or its folder may not be used. Check their permissions, then try again.',
  ],
  [
    'EPERM',
    'UNAVAILABLE',
    'unreadable',
    'The vault file or its folder may not be used. Check their permissions, then try again.',
  ],
  [
    'SQLITE_IOERR',
    'UNAVAILABLE',
    'unreadable',
    'The disk reported an error and nothing was changed. Check the disk, then try again.',
  ],
  ['ENOTDIR', 'INVALID_INPUT', 'not_a_file', NOT_A_FILE],
  ['EISDIR', 'INVALID_INPUT', 'not_a_file', NOT_A_FILE],
  ['ELOOP', 'INVALID_INPUT', 'not_a_file', NOT_A_FILE],
  ['ENAMETOOLONG', 'INVALID_INPUT', 'not_a_file', NOT_A_FILE],
  ['ENOENT', 'INVALID_INPUT', 'not_a_file', NOT_A_FILE],
];

/** Returns other errors unchanged. */
export function toStoreError(thrown: unknown): Error {
  if (thrown instanceof VaultError) return thrown;
  const code = errnoOf(thrown) ?? '';
  const row = ROWS.find(([prefix]) => code.startsWith(prefix));
  if (row !== undefined) return new VaultError(row[1], row[3], { reason: row[2], cause: thrown });
  if (code === '' && thrown instanceof Error) return thrown;
  return new VaultError('INTERNAL', 'Something failed inside the store. The log has the cause.', {
    cause: thrown,
  });
}

export function isBusy(thrown: unknown): boolean {
  return errnoOf(thrown)?.startsWith('SQLITE_BUSY') ?? false;
}

/** A row that cannot be added, since one is there already. */
export function isUniqueViolation(thrown: unknown): boolean {
  return /^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)$/.test(errnoOf(thrown) ?? '');
}

const BUSY_RETRY_MS = 5;

/** Repeats `act` while SQLite is busy: the connection itself never waits. */
export function retryWhileBusy<Result>(act: () => Result): Result {
  const give_up_at = Date.now() + STORE_BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      return act();
    } catch (error) {
      if (!isBusy(error) || Date.now() > give_up_at) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
    }
  }
}

/** For housekeeping that is done again later. Persistent errors (full disk, lock) are reported by the next write. */
export function ignoreErrors<Result>(act: () => Result): Result | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

export function mapStoreErrors<Result>(act: () => Result): Result {
  try {
    return retryWhileBusy(act);
  } catch (error) {
    throw toStoreError(error);
  }
}
