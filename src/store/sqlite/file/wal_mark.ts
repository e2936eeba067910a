/**
 * Detects a write-ahead log that belongs to another copy of the vault file, as when a backup was copied over the file after
 * a crash and the log of the former file was left. SQLite would apply it and damage the file.
 *
 * The first transaction of a log writes a random mark and the mark before it into one row (`WalMarker`). So the file without
 * its log has the mark before the first one in the log, or, after an incomplete checkpoint, one of those in the log. A copy
 * made by VACUUM has the mark, but its pages in another order, and a higher schema version, which the mark names.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { VaultError } from '../../../contract/errors.ts';
import { ignoreErrors } from '../errors.ts';
import { committedTransactions, readWalHeader, type WalFrame, walPageSize } from './wal_reader.ts';

const MAGIC: Buffer = Buffer.from('keyhold wal mark');
const MARK_BYTES = 16;
const NO_MARK: Buffer = Buffer.alloc(MARK_BYTES);

/** The columns are in the order in which `parseMark` reads them. `one` is the rowid. */
export const WAL_MARK_SCHEMA = `
  CREATE TABLE IF NOT EXISTS wal_mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    magic BLOB NOT NULL,
    previous BLOB NOT NULL,
    mark BLOB NOT NULL,
    schema_version BLOB NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO wal_mark
    VALUES (1, x'${MAGIC.toString('hex')}', zeroblob(${MARK_BYTES}), randomblob(${MARK_BYTES}), zeroblob(4));
`;
export const WRITE_WAL_MARK =
  'UPDATE wal_mark SET previous = mark, mark = randomblob(16), schema_version = ?';

/** As the column `schema_version` has it. */
export function versionBytes(schema_version: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(schema_version);
  return bytes;
}

interface Mark {
  readonly previous: Buffer;
  readonly mark: Buffer;
  readonly schema_version: number;
}

/** How often the files are read while another process changes them. */
const READS_MAX = 20;
const READ_AGAIN_AFTER_MS = 50;
const SCAN_BYTES = 1024 * 1024;

/**
 * Throws UNAVAILABLE if the log beside the file belongs to another copy. Changes nothing. Must not be called while this
 * process has the file open: closing it here would drop the locks (POSIX, fcntl).
 */
export function assertOwnWal(path: string): void {
  let state: string | undefined;
  for (let read = 0; read < READS_MAX; read++) {
    // What cannot be read here, SQLite cannot read either and reports.
    const now = ignoreErrors(() => readFiles(path));
    if (now === undefined || now.is_own_wal) return;
    // Between two reads another process may have emptied and begun the log again.
    if (now.state === state) throw foreignWalError();
    state = now.state;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, READ_AGAIN_AFTER_MS);
  }
}

function foreignWalError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The write-ahead log beside the vault file belongs to another copy of it, probably because a backup was copied over the file and the log was left. Nothing was changed. Move the files with the endings -wal and -shm away, then try again.',
    { reason: 'wal_mismatch' },
  );
}

/** `state` differs if one of the files was changed. */
function readFiles(path: string): { readonly is_own_wal: boolean; readonly state: string } {
  const wal = openSync(`${path}-wal`, 'r');
  try {
    const header = readWalHeader(wal);
    if (walPageSize(header) === undefined) return { is_own_wal: true, state: '' };
    const database = openSync(path, 'r');
    try {
      const is_own_wal = isOwnWal(database, wal, header);
      const states = [database, wal].map((file) => {
        const { size, mtimeMs } = fstatSync(file);
        return `${size} ${mtimeMs}`;
      });
      return { is_own_wal, state: [header.toString('hex'), ...states].join(' ') };
    } finally {
      closeSync(database);
    }
  } finally {
    closeSync(wal);
  }
}

function isOwnWal(database: number, wal: number, wal_header: Buffer): boolean {
  const page_size = walPageSize(wal_header) ?? 0;
  const own_version = schemaVersionOf(readAt(database, 0, 100));
  const versions_in_wal = new Set<number>();
  let first: Mark | undefined;
  let own: Mark | undefined;
  let has_own_mark = false;
  for (const transaction of committedTransactions(wal, wal_header)) {
    for (const { page_number, page } of transaction)
      if (page_number === 1) versions_in_wal.add(schemaVersionOf(page));
    const found = markIn(transaction);
    if (found === undefined) continue;
    if (first === undefined) {
      first = found.mark;
      own = ownMark(database, found.page_number, page_size);
      // The first transaction with a mark creates the table.
      if (own === undefined) return first.previous.equals(NO_MARK);
      has_own_mark = first.previous.equals(own.mark);
    }
    has_own_mark ||= own?.mark.equals(found.mark.mark) === true;
    if (has_own_mark && own_version === first.schema_version) return true;
  }
  // A version of Keyhold without marks wrote this log, or it has the one transaction that `WalMarker` cannot mark.
  if (first === undefined) return true;
  // A change of the schema in the log itself explains another version.
  const is_changed_in_wal = own_version < first.schema_version && versions_in_wal.has(first.schema_version);
  return has_own_mark && (is_changed_in_wal || versions_in_wal.has(own_version));
}

function schemaVersionOf(first_page: Buffer): number {
  return first_page.length < 44 ? 0 : first_page.readUInt32BE(40);
}

function markIn(
  frames: readonly WalFrame[],
): { readonly page_number: number; readonly mark: Mark } | undefined {
  for (const { page_number, page } of frames.toReversed()) {
    const mark = parseMark(page);
    if (mark !== undefined) return { page_number, mark };
  }
  return undefined;
}

/** The mark in the file itself: in that page, or elsewhere if a tool has moved the table. */
function ownMark(database: number, page_number: number, page_size: number): Mark | undefined {
  const mark = parseMark(readAt(database, (page_number - 1) * page_size, page_size));
  if (mark !== undefined) return mark;
  for (let at = 0; ; at += SCAN_BYTES) {
    // Overlapping, so that no page is cut.
    const bytes = readAt(database, at, SCAN_BYTES + page_size);
    const found = parseMark(bytes);
    if (found !== undefined || bytes.length < SCAN_BYTES) return found;
  }
}

function parseMark(bytes: Buffer): Mark | undefined {
  const at = bytes.indexOf(MAGIC) + MAGIC.length;
  if (at < MAGIC.length || at + 2 * MARK_BYTES + 4 > bytes.length) return undefined;
  return {
    previous: bytes.subarray(at, at + MARK_BYTES),
    mark: bytes.subarray(at + MARK_BYTES, at + 2 * MARK_BYTES),
    schema_version: bytes.readUInt32BE(at + 2 * MARK_BYTES),
  };
}

function readAt(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}
