/** The tables of a vault file, its format number, and what is set on every connection. */
import type { Database } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';

/** `PRAGMA application_id`: the letters KHLD. */
export const APPLICATION_ID = 0x4b_48_4c_44;
/** `PRAGMA user_version`. Counts up with every change of the tables. */
export const STORE_FORMAT = 1;

/** An organization's entries stand together: its number in the high part of the row id, the position in the low one. */
export const POSITIONS_PER_ORGANIZATION = 2 ** 32;

export const SCHEMA = `
  CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    root_key_id BLOB NOT NULL,
    root_key_source TEXT NOT NULL,
    passphrase_salt BLOB,
    created_at TEXT NOT NULL
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
    sealed_values BLOB NOT NULL
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
    -- In the last entry of a chain: the seal that says that it is the last. Zeros in the others.
    end_seal BLOB NOT NULL
  ) STRICT;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${STORE_FORMAT};
`;

/** What every connection is set to. Throws what the driver throws. */
export function configure(database: Database): void {
  database.pragma('synchronous = FULL');
  // macOS leaves data in the drive's cache without these; elsewhere they do nothing.
  database.pragma('fullfsync = ON');
  database.pragma('checkpoint_fullfsync = ON');
  database.pragma('secure_delete = ON');
  database.pragma('trusted_schema = OFF');
  database.pragma('cell_size_check = ON');
  database.pragma('cache_size = -16384');
}

/** What a vault file never holds, and what acts by itself. */
const FORBIDDEN_SCHEMA_OBJECTS_SQL =
  "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'";

/** Is there a vault in this file? Throws for a newer format, for somebody else's database, and for a vault that was added to. */
export function hasVault(database: Database): boolean {
  // Read as of one moment: another process may be making the vault.
  const { application_id, format, tables, strange } = database.transaction(() => ({
    application_id: Number(database.pragma('application_id', { simple: true })),
    format: Number(database.pragma('user_version', { simple: true })),
    tables: Number(database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()),
    strange: Number(database.prepare(FORBIDDEN_SCHEMA_OBJECTS_SQL).pluck().get()),
  }))();
  if (application_id === APPLICATION_ID && format > STORE_FORMAT) {
    throw new VaultError(
      'UNAVAILABLE',
      'The vault was written by a newer Keyhold. It was not touched. Upgrade Keyhold to open it.',
      { reason: 'newer_format' },
    );
  }
  if (application_id === APPLICATION_ID && format === STORE_FORMAT) {
    if (strange === 0) return true;
    throw new VaultError(
      'CORRUPT',
      'Somebody has put triggers, views or virtual tables into the vault file, which Keyhold never does: they could act on whatever is written. It was not touched. Restore it from a backup.',
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
