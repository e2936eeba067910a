/** Turns what the database driver throws into a VaultError with a remedy. No path and no SQL gets out. */
import { type ErrorCode, type ErrorReason, VaultError } from '../contract/errors.ts';
import { STORE_BUSY_TIMEOUT_MS } from '../contract/limits.ts';

const ROWS: readonly (readonly [prefix: string, code: ErrorCode, reason: ErrorReason, message: string])[] = [
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
];

export function toStoreError(thrown: unknown): Error {
  if (thrown instanceof VaultError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const row = ROWS.find(([prefix]) => code.startsWith(prefix));
  if (row !== undefined) return new VaultError(row[1], row[3], { reason: row[2], cause: thrown });
  return thrown instanceof Error ? thrown : new Error('The store failed.', { cause: thrown });
}

export function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('SQLITE_BUSY');
}

export function isUniqueViolation(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'SQLITE_CONSTRAINT_UNIQUE';
}

const BUSY_RETRY_MS = 5;

/** Repeats `act` while SQLite is busy: some locks are refused at once, without waiting for the busy timeout. */
export function whileBusy<Result>(act: () => Result): Result {
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
