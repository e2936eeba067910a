/** The tables of a vault file, its format number, and the settings of every connection. */
import { statSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import type { StoreHeader, StoreHealth } from '../store.ts';
import { isBusy } from './errors.ts';
import { versionBytes, WAL_MARK_SCHEMA } from './file/wal_mark.ts';

/** `PRAGMA application_id`: the letters KHLD. */
export const APPLICATION_ID = 0x4b_48_4c_44;
/**
 * `PRAGMA user_version`. Counts up with every change of the tables. Format 1 has no `record.organization`, and its records
 * keep an empty one: nothing reads the column yet. Files of earlier versions have an index `record_unassigned` on it.
 * Formats 1 and 2 have no root keys of key services.
 */
export const STORE_FORMAT = 3;
const OLDEST_FORMAT = 1;
/** Added to the format of a vault that was moved, so that versions that do not know of moves refuse the file. */
export const MOVED_BIT = 0x1_0000;
const FORMAT_BITS: number = MOVED_BIT - 1;

/** Keeps an organization's entries together: its number is the high part of the rowid, the position the low part. */
export const POSITIONS_PER_ORGANIZATION = 2 ** 32;

/** Upgrades by the format that they start from. */
const UPGRADES: Readonly<Record<number, string>> = {
  1: `
    ALTER TABLE record ADD COLUMN organization BLOB NOT NULL DEFAULT x'';
    PRAGMA user_version = 2;`,
  2: `
    ALTER TABLE vault ADD COLUMN root_key_ref TEXT;
    ALTER TABLE vault ADD COLUMN root_key_sealed BLOB;
    PRAGMA user_version = 3;`,
};

/** The column names `place` (the sequence number) and `end_seal` (the head MAC) are those of format 1. */
export const SCHEMA = `
  CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    root_key_id BLOB NOT NULL,
    root_key_source TEXT NOT NULL,
    passphrase_salt BLOB,
    created_at TEXT NOT NULL,
    root_key_ref TEXT,
    root_key_sealed BLOB
  ) STRICT;
  CREATE TABLE wrapped_key (
    owner BLOB NOT NULL,
    version INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (owner, version)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE record (
    place INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id BLOB NOT NULL UNIQUE,
    scope BLOB NOT NULL,
    blind_index BLOB NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    key_version INTEGER NOT NULL,
    sealed_meta BLOB NOT NULL,
    sealed_values BLOB NOT NULL,
    organization BLOB NOT NULL DEFAULT x''
  ) STRICT;
  CREATE INDEX record_by_scope ON record (scope);
  CREATE TABLE audit_chain (
    number INTEGER PRIMARY KEY,
    organization BLOB NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE audit_entry (
    place INTEGER PRIMARY KEY,
    key_version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    link BLOB NOT NULL,
    -- The head MAC in the last entry of a chain. Zeros in the others.
    end_seal BLOB NOT NULL
  ) STRICT;
  ${WAL_MARK_SCHEMA}
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${STORE_FORMAT};
`;

/** Settings of every connection. Throws what the driver throws. */
export function configure(database: Database): void {
  database.pragma('synchronous = FULL');
  // Without these, macOS leaves data in the drive's cache. No effect elsewhere.
  database.pragma('fullfsync = ON');
  database.pragma('checkpoint_fullfsync = ON');
  database.pragma('secure_delete = ON');
  database.pragma('trusted_schema = OFF');
  database.pragma('cell_size_check = ON');
  database.pragma('cache_size = -16384');
}

/**
 * Switches the file to WAL mode if it is in another one, as after VACUUM INTO or `journal_mode=DELETE` by a tool. Returns
 * false if the file system has no WAL. Throws SQLITE_BUSY while another process reads, and what else the driver throws.
 */
export function ensureWal(database: Database): boolean {
  // Reading the mode takes no lock; setting it does.
  const mode = () => database.pragma('journal_mode', { simple: true });
  return mode() === 'wal' || database.pragma('journal_mode = WAL', { simple: true }) === 'wal';
}

/** Reads every page. `path` of the file, without symbolic links. Throws what the driver throws. */
export function checkFile(database: Database, path: string): StoreHealth {
  const ok = database.pragma('integrity_check(1)', { simple: true }) === 'ok';
  const detail = ok ? 'every page is sound' : 'the file is damaged';
  const pending_bytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return { ok, detail, size_bytes: statSync(path).size, pending_bytes, warning: walWarning(database) };
}

/** Why the file is not in WAL mode, if it is not and could be written. */
function walWarning(database: Database): StoreHealth['warning'] {
  try {
    if (ensureWal(database)) return undefined;
  } catch (error) {
    if (!isBusy(error)) return undefined;
    return {
      message: 'The vault has no write-ahead log, because another program has been reading its file.',
      remedy: 'Close other programs that have the vault file open: writes wait for them.',
    };
  }
  return {
    message:
      'The file system of the vault cannot have a write-ahead log, so reads and writes wait for each other.',
    remedy: 'Move the vault to a local disk, or set KEYHOLD_STORE or KEYHOLD_HOME to a path on one.',
  };
}

/** Throws what the driver throws, such as for tables that exist. */
export function createTables(database: Database, header: StoreHeader): void {
  const { root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed } = header;
  database.exec(SCHEMA);
  setMarkedVersion(database);
  database
    .prepare('INSERT INTO vault VALUES (1, ?, ?, ?, ?, ?, ?)')
    .run(
      root_key_id,
      root_key_source,
      passphrase_salt ?? null,
      created_at,
      root_key_ref ?? null,
      root_key_sealed ?? null,
    );
}

export function formatOf(database: Database): number {
  return Number(database.pragma('user_version', { simple: true })) & FORMAT_BITS;
}

/**
 * Upgrades a file of an earlier format, and one from before the mark of its write-ahead log, which older versions can open still.
 * Safe if two processes do it at once. Throws what the driver throws.
 */
export function upgradeSchema(database: Database): void {
  if (formatOf(database) === STORE_FORMAT && hasWalMark(database)) return;
  const upgrade = database.transaction(() => {
    for (let format = formatOf(database); format < STORE_FORMAT; format++)
      database.exec(UPGRADES[format] ?? '');
    if (hasWalMark(database)) return;
    database.exec(WAL_MARK_SCHEMA);
    setMarkedVersion(database);
  });
  upgrade.immediate();
}

function hasWalMark(database: Database): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'wal_mark'").get() !== undefined;
}

/** Completes the first mark, in the transaction that creates it. */
function setMarkedVersion(database: Database): void {
  const version = Number(database.pragma('schema_version', { simple: true }));
  database.prepare('UPDATE wal_mark SET schema_version = ?').run(versionBytes(version));
}

/** Triggers, views and virtual tables run code by themselves. A vault file has none. */
const FORBIDDEN_SCHEMA_OBJECTS_SQL =
  "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'";

/** Returns false for an empty file. Throws for a newer format, another program's database, and an altered schema. */
export function hasVault(database: Database): boolean {
  // In one transaction: another process may be creating the vault.
  const { application_id, format, tables, forbidden } = database.transaction(() => ({
    application_id: Number(database.pragma('application_id', { simple: true })),
    format: formatOf(database),
    tables: Number(database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()),
    forbidden: Number(database.prepare(FORBIDDEN_SCHEMA_OBJECTS_SQL).pluck().get()),
  }))();
  if (application_id === APPLICATION_ID && format > STORE_FORMAT) {
    throw new VaultError(
      'UNAVAILABLE',
      'The vault was written by a newer Keyhold. It was not touched. Upgrade Keyhold to open it.',
      { reason: 'newer_format' },
    );
  }
  if (application_id === APPLICATION_ID && format >= OLDEST_FORMAT) {
    if (forbidden === 0) return true;
    throw new VaultError(
      'CORRUPT',
      'The vault file contains triggers, views or virtual tables. Keyhold creates none; they could act on every write. The file was not changed. Restore it from a backup.',
      { reason: 'not_a_vault' },
    );
  }
  if (application_id === 0 && format === 0 && tables === 0) return false;
  throw new VaultError(
    'CORRUPT',
    'The file is a database, but not a Keyhold vault. It was not touched. Point KEYHOLD_STORE at the right file.',
    { reason: 'not_a_vault' },
  );
}
