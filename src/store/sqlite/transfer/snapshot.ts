/**
 * A consistent view of a vault file: a read transaction on a second connection. Writes go on meanwhile, and the write-ahead
 * log keeps growing until the snapshot is closed. On a file system without such a log, writes wait for it.
 */
import Driver, { type Database } from 'better-sqlite3';
import type { VaultMove } from '../../move.ts';
import type { StoreHeader, StoreSnapshot } from '../../store.ts';
import { toDriverError } from '../driver.ts';
import { retryWhileBusy, storeError, toStoreError } from '../errors.ts';
import { trackOpenFile } from '../file/vault_file.ts';
import { readHeader } from '../statements.ts';
import { readMove } from './move_state.ts';
import { SqliteRowReader } from './row_reader.ts';

/** `path`: of a file that a store has open, of the present format. */
export function openSqliteSnapshot(path: string): SqliteSnapshot {
  let database: Database | undefined;
  try {
    const opened = new Driver(path, { readonly: true, fileMustExist: true, timeout: 0 });
    database = opened;
    opened.pragma('trusted_schema = OFF');
    opened.pragma('cell_size_check = ON');
    // The transaction begins with its first read.
    opened.exec('BEGIN');
    const header = retryWhileBusy(() => readHeader(opened));
    if (header === undefined) throw storeError('SQLITE_CORRUPT');
    return new SqliteSnapshot(path, opened, header, readMove(opened));
  } catch (error) {
    database?.close();
    throw toDriverError(error) ?? toStoreError(error);
  }
}

export class SqliteSnapshot extends SqliteRowReader implements StoreSnapshot {
  readonly #database: Database;
  readonly #untrackFile: () => void;
  readonly header: StoreHeader;
  readonly move: VaultMove | undefined;

  constructor(path: string, database: Database, header: StoreHeader, move: VaultMove | undefined) {
    super(database);
    this.#database = database;
    this.#untrackFile = trackOpenFile(path);
    this.header = header;
    this.move = move;
  }

  async close(): Promise<void> {
    if (!this.#database.open) return;
    this.#database.close();
    this.#untrackFile();
  }
}
