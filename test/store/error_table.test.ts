/** Each result code of SQLite, and each errno of the file operations of the store, has an error code and a remedy. */
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { toStoreError } from '../../src/store/sqlite/errors.ts';

/** https://sqlite.org/rescode.html of SQLite 3.53, without OK, ROW, DONE, NOTICE and WARNING, which are no errors. */
const SQLITE_CODES = `
  ERROR ERROR_MISSING_COLLSEQ ERROR_RETRY ERROR_SNAPSHOT INTERNAL PERM ABORT ABORT_ROLLBACK BUSY BUSY_RECOVERY BUSY_SNAPSHOT
  BUSY_TIMEOUT LOCKED LOCKED_SHAREDCACHE LOCKED_VTAB NOMEM READONLY READONLY_RECOVERY READONLY_CANTLOCK READONLY_ROLLBACK
  READONLY_DBMOVED READONLY_CANTINIT READONLY_DIRECTORY INTERRUPT IOERR IOERR_READ IOERR_SHORT_READ IOERR_WRITE IOERR_FSYNC
  IOERR_DIR_FSYNC IOERR_TRUNCATE IOERR_FSTAT IOERR_UNLOCK IOERR_RDLOCK IOERR_DELETE IOERR_BLOCKED IOERR_NOMEM IOERR_ACCESS
  IOERR_CHECKRESERVEDLOCK IOERR_LOCK IOERR_CLOSE IOERR_DIR_CLOSE IOERR_SHMOPEN IOERR_SHMSIZE IOERR_SHMLOCK IOERR_SHMMAP
  IOERR_SEEK IOERR_DELETE_NOENT IOERR_MMAP IOERR_GETTEMPPATH IOERR_CONVPATH IOERR_VNODE IOERR_AUTH IOERR_BEGIN_ATOMIC
  IOERR_COMMIT_ATOMIC IOERR_ROLLBACK_ATOMIC IOERR_DATA IOERR_CORRUPTFS IOERR_IN_PAGE CORRUPT CORRUPT_VTAB CORRUPT_SEQUENCE
  CORRUPT_INDEX NOTFOUND FULL CANTOPEN CANTOPEN_NOTEMPDIR CANTOPEN_ISDIR CANTOPEN_FULLPATH CANTOPEN_CONVPATH
  CANTOPEN_DIRTYWAL CANTOPEN_SYMLINK PROTOCOL EMPTY SCHEMA TOOBIG CONSTRAINT CONSTRAINT_CHECK CONSTRAINT_COMMITHOOK
  CONSTRAINT_FOREIGNKEY CONSTRAINT_FUNCTION CONSTRAINT_NOTNULL CONSTRAINT_PRIMARYKEY CONSTRAINT_TRIGGER CONSTRAINT_UNIQUE
  CONSTRAINT_VTAB CONSTRAINT_ROWID CONSTRAINT_PINNED CONSTRAINT_DATATYPE MISMATCH MISUSE NOLFS AUTH AUTH_USER FORMAT RANGE
  NOTADB`
  .trim()
  .split(/\s+/)
  .map((code) => `SQLITE_${code}`);

/** Codes that only an error in Keyhold or SQLite itself leads to. */
const PROGRAM_ERRORS = [
  'SQLITE_INTERNAL',
  'SQLITE_NOTFOUND',
  'SQLITE_MISUSE',
  'SQLITE_AUTH',
  'SQLITE_AUTH_USER',
  'SQLITE_RANGE',
];
/** Errnos that the store's calls (open, read, write, fsync, stat, mkdir, rename, link, lock) cannot give. */
const OTHER_ERRNOS =
  /^E(2BIG|ADDR|AFNOSUPPORT|ALREADY|BAD|CHILD|CONNREFUSED|DESTADDR|DOM|FAULT|IDRM|INPROGRESS|ISCONN|MSGSIZE|MULTIHOP|NET|NOBUFS|NOEXEC|NOLINK|NOMSG|NODATA|NOPROTOOPT|NOSR|NOSTR|NOTSOCK|NOTTY|PIPE|PROTO|RANGE|SPIPE|SRCH|TIME$|WOULDBLOCK)/;

const thrown = (code: string) => Object.assign(new Error('text with a path'), { code });

function mapped(code: string): VaultError {
  const error = toStoreError(thrown(code));
  if (!(error instanceof VaultError)) throw new Error(`${code} is not mapped`);
  return error;
}

/** What happened, then what to do: two sentences at least, and an imperative. */
const REMEDY =
  /[.;:] (?:\S+ )?.*\b(?:Try|try|Free|Raise|raise|Give|Mount|Connect|Close|Move|Point|Restore|restore|Set|Check|Restart|store less|Lower)\b/;

describe('the error table of the store', () => {
  test.each(SQLITE_CODES)('%s has an error code and a remedy', (code) => {
    const error = mapped(code);
    expect(error.message).toMatch(REMEDY);
    expect(error.message).not.toContain('text with a path');
    if (PROGRAM_ERRORS.includes(code)) expect(error.code).toBe('INTERNAL');
    else expect(['UNAVAILABLE', 'CORRUPT', 'INVALID_INPUT']).toContain(error.code);
    if (error.code !== 'INTERNAL' && code !== 'SQLITE_TOOBIG') expect(error.reason).toBeDefined();
  });

  const errnos = Object.keys(constants.errno).filter((code) => !OTHER_ERRNOS.test(code));

  test.each([...new Set([...errnos, 'EDQUOT', 'ESTALE', 'ENOLCK', 'EREMOTEIO', 'UNKNOWN'])])(
    '%s has an error code, a reason and a remedy',
    (code) => {
      const error = mapped(code);
      expect(['UNAVAILABLE', 'INVALID_INPUT']).toContain(error.code);
      expect(error.reason).toBeDefined();
      expect(error.message).toMatch(REMEDY);
    },
  );

  const causes: readonly (readonly [string, string])[] = [
    ['SQLITE_PROTOCOL', 'busy'],
    ['SQLITE_NOMEM', 'out_of_memory'],
    ['SQLITE_IOERR_NOMEM', 'out_of_memory'],
    ['SQLITE_IOERR_SHMMAP', 'file_system_unsupported'],
    ['SQLITE_IOERR_LOCK', 'file_system_unsupported'],
    ['SQLITE_IOERR_SHMSIZE', 'disk_full'],
    ['SQLITE_IOERR_WRITE', 'disk_full'],
    ['SQLITE_IOERR_TRUNCATE', 'disk_full'],
    ['SQLITE_IOERR_CORRUPTFS', 'record_damaged'],
    ['SQLITE_READONLY_DBMOVED', 'vault_missing'],
    ['SQLITE_CANTOPEN_ISDIR', 'not_a_file'],
    ['SQLITE_CANTOPEN_DIRTYWAL', 'unreadable'],
    ['EMFILE', 'too_many_files'],
    ['ENFILE', 'too_many_files'],
    ['EDQUOT', 'disk_full'],
    ['EFBIG', 'disk_full'],
    ['ETXTBSY', 'busy'],
    ['ESTALE', 'unreadable'],
    ['ENOLCK', 'file_system_unsupported'],
  ];

  test.each(causes)('%s is reported with reason %s', (code, reason) => {
    expect(mapped(code).reason).toBe(reason);
  });

  test('a code of a newer SQLite has the row of the code that it extends, or advises to report it', () => {
    expect(mapped('SQLITE_CORRUPT_NEW').code).toBe('CORRUPT');
    expect(mapped('UNKNOWN_SQLITE_ERROR_9999').code).toBe('INTERNAL');
  });
});
