/**
 * What each result code of SQLite (https://sqlite.org/rescode.html) and each errno means for the vault file: error code,
 * reason and remedy. A code of SQLite without a row of its own has the row of the code that it extends.
 */
import type { ErrorCode, ErrorReason } from '../../contract/errors.ts';

export interface StoreErrorRow {
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  /** What happened, then what to do. */
  readonly message: string;
}

const unavailable = (reason: ErrorReason, message: string): StoreErrorRow => ({
  code: 'UNAVAILABLE',
  reason,
  message,
});

const BUSY = unavailable('busy', 'Another process has kept the vault busy for too long. Try again.');
const INTERRUPTED = unavailable('busy', 'The operation was interrupted and nothing was changed. Try again.');
const NO_MEMORY = unavailable(
  'out_of_memory',
  'There is not enough free memory and nothing was changed. Close other programs or raise the memory limit, then try again.',
);
const DISK_FULL = unavailable(
  'disk_full',
  'The disk is full and nothing was changed. Free some space, then try again.',
);
const QUOTA_FULL = unavailable(
  'disk_full',
  'Your disk quota is used up and nothing was changed. Free some space or raise the quota, then try again.',
);
const FILE_TOO_LARGE = unavailable(
  'disk_full',
  'The vault file has reached the largest size that its file system or the limit of this process (`ulimit -f`) allows, and nothing was changed. Raise the limit, or move the vault to another file system.',
);
/** SQLite has only one code for a failed write, whatever the cause except ENOSPC. */
const WRITE_FAILED = unavailable(
  'disk_full',
  'The disk did not accept a write and nothing was changed: a disk quota or the size limit of this process (`ulimit -f`) may be used up, or the disk is failing. Free some space or raise the limit, then try again; if it happens again, check the disk.',
);
const READ_ONLY_FILE = unavailable(
  'read_only',
  'The vault file may not be written. Give your user write permission on the file and its folder, then try again.',
);
const READ_ONLY_DISK = unavailable(
  'read_only',
  'The file system of the vault is read-only. Mount it writable, then try again.',
);
const FILE_REPLACED = unavailable(
  'vault_missing',
  'The vault file was moved, replaced or deleted, so nothing was written. Restore it, or open the vault again.',
);
const NO_PERMISSION = unavailable(
  'unreadable',
  'The vault file or its folder may not be used. Check their permissions, then try again.',
);
const CANNOT_OPEN = unavailable(
  'unreadable',
  'The vault file cannot be opened. Check the permissions of the file and its folder, and whether this process has too many open files (`ulimit -n`), then try again.',
);
const NO_TEMPORARY_FOLDER = unavailable(
  'unreadable',
  'SQLite found no folder for temporary files. Set TMPDIR to a folder that your user may write to, then try again.',
);
const TOO_MANY_FILES = unavailable(
  'too_many_files',
  'Too many files are open. Close other programs or raise the limit (`ulimit -n`), then try again.',
);
const DISK_ERROR = unavailable(
  'unreadable',
  'The disk reported an error and nothing was changed. Check the disk, then try again.',
);
const DISK_UNREACHABLE = unavailable(
  'unreadable',
  'The disk or the network file system of the vault cannot be reached. Connect or mount it again, then try again.',
);
const FILE_IN_USE = unavailable(
  'busy',
  'Another program is using the vault file or its folder. Close that program, then try again.',
);
const NO_LOCKS = unavailable(
  'file_system_unsupported',
  'The file system of the vault cannot lock files, so two processes could damage it. Move the vault to a local disk, or set KEYHOLD_STORE or KEYHOLD_HOME to a path on one.',
);
const NO_SHARED_MEMORY = unavailable(
  'file_system_unsupported',
  'The file system of the vault has no shared memory, which SQLite needs for its write-ahead log. Move the vault to a local disk, or set KEYHOLD_STORE or KEYHOLD_HOME to a path on one.',
);
const NOT_SUPPORTED = unavailable(
  'file_system_unsupported',
  'The file system of the vault does not support an operation that the vault needs. Move the vault to a local disk, or set KEYHOLD_STORE or KEYHOLD_HOME to a path on one.',
);
const NOT_A_VAULT: StoreErrorRow = {
  code: 'CORRUPT',
  reason: 'not_a_vault',
  message:
    'The vault file is not a Keyhold vault, or is badly damaged. It was not touched. Restore it from a backup, or point KEYHOLD_STORE at the right file.',
};
const DAMAGED: StoreErrorRow = {
  code: 'CORRUPT',
  reason: 'record_damaged',
  message: 'The vault file is damaged. Restore it from a backup.',
};
const NOT_A_FILE: StoreErrorRow = {
  code: 'INVALID_INPUT',
  reason: 'not_a_file',
  message:
    'The path of the vault file cannot be used: it leads through a file, a symbolic link is circular, or a folder is missing. Point KEYHOLD_STORE or KEYHOLD_HOME elsewhere.',
};
const TOO_LARGE: StoreErrorRow = {
  code: 'INVALID_INPUT',
  message: 'The data is larger than the vault can store. Nothing was changed; store less at once.',
};
/** Keyhold or SQLite has an error: no file and no setting leads to these. */
const PROGRAM_ERROR: StoreErrorRow = {
  code: 'INTERNAL',
  message:
    'Something failed inside the store. Restart Keyhold; if it happens again, report it with the cause in the log.',
};

const SQLITE_ROWS: Readonly<Record<string, StoreErrorRow>> = {
  // A table is missing: in an undamaged file no statement of the store fails like this.
  SQLITE_ERROR: DAMAGED,
  SQLITE_INTERNAL: PROGRAM_ERROR,
  SQLITE_PERM: NO_PERMISSION,
  SQLITE_ABORT: INTERRUPTED,
  SQLITE_BUSY: BUSY,
  SQLITE_LOCKED: BUSY,
  SQLITE_NOMEM: NO_MEMORY,
  SQLITE_READONLY: READ_ONLY_FILE,
  SQLITE_READONLY_DBMOVED: FILE_REPLACED,
  SQLITE_INTERRUPT: INTERRUPTED,
  SQLITE_IOERR: DISK_ERROR,
  SQLITE_IOERR_ACCESS: NO_PERMISSION,
  SQLITE_IOERR_AUTH: NO_PERMISSION,
  SQLITE_IOERR_BLOCKED: BUSY,
  SQLITE_IOERR_CHECKRESERVEDLOCK: NO_LOCKS,
  SQLITE_IOERR_CORRUPTFS: DAMAGED,
  SQLITE_IOERR_DATA: DAMAGED,
  SQLITE_IOERR_GETTEMPPATH: NO_TEMPORARY_FOLDER,
  SQLITE_IOERR_LOCK: NO_LOCKS,
  SQLITE_IOERR_MMAP: NO_SHARED_MEMORY,
  SQLITE_IOERR_NOMEM: NO_MEMORY,
  SQLITE_IOERR_RDLOCK: NO_LOCKS,
  SQLITE_IOERR_SHMLOCK: NO_LOCKS,
  SQLITE_IOERR_SHMMAP: NO_SHARED_MEMORY,
  SQLITE_IOERR_SHMOPEN: NO_SHARED_MEMORY,
  // The index of the write-ahead log could not be made larger.
  SQLITE_IOERR_SHMSIZE: DISK_FULL,
  SQLITE_IOERR_TRUNCATE: WRITE_FAILED,
  SQLITE_IOERR_UNLOCK: NO_LOCKS,
  SQLITE_IOERR_VNODE: FILE_REPLACED,
  SQLITE_IOERR_WRITE: WRITE_FAILED,
  SQLITE_CORRUPT: DAMAGED,
  SQLITE_NOTFOUND: PROGRAM_ERROR,
  SQLITE_FULL: DISK_FULL,
  SQLITE_CANTOPEN: CANNOT_OPEN,
  SQLITE_CANTOPEN_FULLPATH: NOT_A_FILE,
  SQLITE_CANTOPEN_ISDIR: NOT_A_FILE,
  SQLITE_CANTOPEN_NOTEMPDIR: NO_TEMPORARY_FOLDER,
  SQLITE_CANTOPEN_SYMLINK: NOT_A_FILE,
  // The locks of the write-ahead log could not be taken in order, also after many attempts.
  SQLITE_PROTOCOL: BUSY,
  SQLITE_EMPTY: DAMAGED,
  // Another program altered the tables during the statement.
  SQLITE_SCHEMA: BUSY,
  SQLITE_TOOBIG: TOO_LARGE,
  // The store handles the rows that may exist already. Any other constraint holds in an undamaged file.
  SQLITE_CONSTRAINT: DAMAGED,
  SQLITE_MISMATCH: DAMAGED,
  SQLITE_MISUSE: PROGRAM_ERROR,
  SQLITE_NOLFS: FILE_TOO_LARGE,
  SQLITE_AUTH: PROGRAM_ERROR,
  SQLITE_FORMAT: DAMAGED,
  SQLITE_RANGE: PROGRAM_ERROR,
  SQLITE_NOTADB: NOT_A_VAULT,
};

const ERRNO_ROWS: Readonly<Record<string, StoreErrorRow>> = {
  EACCES: NO_PERMISSION,
  EPERM: NO_PERMISSION,
  EROFS: READ_ONLY_DISK,
  ENOSPC: DISK_FULL,
  EDQUOT: QUOTA_FULL,
  EFBIG: FILE_TOO_LARGE,
  EOVERFLOW: FILE_TOO_LARGE,
  EMFILE: TOO_MANY_FILES,
  ENFILE: TOO_MANY_FILES,
  ENOMEM: NO_MEMORY,
  ENOBUFS: NO_MEMORY,
  EAGAIN: BUSY,
  EDEADLK: BUSY,
  EINTR: INTERRUPTED,
  ECANCELED: INTERRUPTED,
  EBUSY: FILE_IN_USE,
  ETXTBSY: FILE_IN_USE,
  EEXIST: FILE_IN_USE,
  ENOTEMPTY: FILE_IN_USE,
  EIO: DISK_ERROR,
  UNKNOWN: DISK_ERROR,
  ENXIO: DISK_UNREACHABLE,
  ENODEV: DISK_UNREACHABLE,
  ESTALE: DISK_UNREACHABLE,
  EREMOTEIO: DISK_UNREACHABLE,
  ENOTCONN: DISK_UNREACHABLE,
  ECONNABORTED: DISK_UNREACHABLE,
  ECONNRESET: DISK_UNREACHABLE,
  EHOSTDOWN: DISK_UNREACHABLE,
  EHOSTUNREACH: DISK_UNREACHABLE,
  ENETUNREACH: DISK_UNREACHABLE,
  ENETDOWN: DISK_UNREACHABLE,
  ETIMEDOUT: DISK_UNREACHABLE,
  ENOLCK: NO_LOCKS,
  EMLINK: NOT_SUPPORTED,
  EXDEV: NOT_SUPPORTED,
  ENOSYS: NOT_SUPPORTED,
  ENOTSUP: NOT_SUPPORTED,
  EOPNOTSUPP: NOT_SUPPORTED,
  EINVAL: NOT_SUPPORTED,
  ENOTDIR: NOT_A_FILE,
  EISDIR: NOT_A_FILE,
  ELOOP: NOT_A_FILE,
  ENAMETOOLONG: NOT_A_FILE,
  EILSEQ: NOT_A_FILE,
  ENOENT: NOT_A_FILE,
};

/** The row of a result code or errno; every code has one. */
export function storeErrorRow(code: string): StoreErrorRow {
  if (!code.startsWith('SQLITE_')) return ERRNO_ROWS[code] ?? PROGRAM_ERROR;
  const [primary] = /^SQLITE_[A-Z]+/.exec(code) ?? [];
  return SQLITE_ROWS[code] ?? SQLITE_ROWS[primary ?? ''] ?? PROGRAM_ERROR;
}
