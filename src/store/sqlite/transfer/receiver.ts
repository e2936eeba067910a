/** Writes the rows of a copied vault into a file that is not at the path of the vault yet. */
import Driver, { type Database } from 'better-sqlite3';
import type { StoreHeader } from '../../store.ts';
import type { RowWrites, StoreReceiver } from '../../transfer.ts';
import { toDriverError } from '../driver.ts';
import { toStoreError } from '../errors.ts';
import { configure, createTables, hasVault, POSITIONS_PER_ORGANIZATION, upgradeSchema } from '../schema.ts';
import { SqliteRowReader } from './row_reader.ts';

const NO_MAC: Buffer = Buffer.alloc(32);

/**
 * Opens the file, or makes a vault without rows in an empty one. Throws what the driver throws: SQLITE_BUSY while another
 * process receives into it.
 */
export function openReceiver(path: string, header: StoreHeader): SqliteReceiver {
  const database = new Driver(path, { fileMustExist: true, timeout: 0 });
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    configure(database);
    // A power failure may undo transactions. Closing the file makes them durable.
    database.pragma('synchronous = NORMAL');
    database.pragma('journal_mode = WAL');
    const create = database.transaction(() => {
      if (!hasVault(database)) createTables(database, header);
    });
    create.immediate();
    upgradeSchema(database);
    return new SqliteReceiver(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

export class SqliteReceiver extends SqliteRowReader implements StoreReceiver {
  readonly #database: Database;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(database: Database) {
    super(database);
    this.#database = database;
    this.#sql = prepare(database);
  }

  async write(rows: RowWrites): Promise<void> {
    try {
      this.#database.transaction(() => this.#write(rows)).immediate();
    } catch (error) {
      throw toDriverError(error) ?? toStoreError(error);
    }
  }

  async close(): Promise<void> {
    try {
      this.#database.pragma('synchronous = FULL');
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      throw toStoreError(error);
    } finally {
      this.#database.close();
    }
  }

  #write(rows: RowWrites): void {
    const sql = this.#sql;
    if (rows.header !== undefined) sql.header.run(headerRow(rows.header));
    for (const { owner, version } of rows.removed_keys ?? []) sql.remove_key.run(owner, version);
    for (const key of rows.keys ?? []) sql.key.run(key);
    for (const seq of rows.removed_records ?? []) sql.remove_record.run(seq);
    for (const record of rows.records ?? []) sql.record.run(record);
    const { organization, entries } = rows.entries ?? {};
    const [first] = entries ?? [];
    if (organization === undefined || entries === undefined || first === undefined) return;
    const start = this.#chainOf(organization) * POSITIONS_PER_ORGANIZATION;
    sql.clear_mac.run(NO_MAC, start, start + first.position);
    for (const { position, key_version, sealed, link, head_mac } of entries)
      sql.entry.run(start + position, key_version, sealed, link, head_mac);
  }

  #chainOf(organization: Buffer): number {
    return this.#sql.chain.get(organization) ?? Number(this.#sql.add_chain.run(organization).lastInsertRowid);
  }
}

function headerRow(header: StoreHeader) {
  const { passphrase_salt, root_key_ref, root_key_sealed } = header;
  return {
    ...header,
    passphrase_salt: passphrase_salt ?? null,
    root_key_ref: root_key_ref ?? null,
    root_key_sealed: root_key_sealed ?? null,
  };
}

function prepare(database: Database) {
  return {
    header: database.prepare(
      `UPDATE vault SET root_key_id = @root_key_id, root_key_source = @root_key_source, passphrase_salt = @passphrase_salt,
       root_key_ref = @root_key_ref, root_key_sealed = @root_key_sealed, created_at = @created_at`,
    ),
    key: database.prepare(
      'INSERT OR REPLACE INTO wrapped_key (owner, version, wrapped) VALUES (@owner, @version, @wrapped)',
    ),
    remove_key: database.prepare('DELETE FROM wrapped_key WHERE owner = ? AND version = ?'),
    record: database.prepare(
      `INSERT OR REPLACE INTO record
       (rowid, kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values, organization)
       VALUES (@seq, @kind, @id, @scope, @index, @revision, @key_version, @sealed_meta, @sealed_values, @organization)`,
    ),
    remove_record: database.prepare('DELETE FROM record WHERE rowid = ?'),
    chain: database
      .prepare<[Buffer], number>('SELECT number FROM audit_chain WHERE organization = ?')
      .pluck(),
    add_chain: database.prepare('INSERT INTO audit_chain (organization) VALUES (?)'),
    clear_mac: database.prepare(
      `UPDATE audit_entry SET end_seal = ? WHERE rowid =
       (SELECT max(rowid) FROM audit_entry WHERE rowid > ? AND rowid < ?)`,
    ),
    entry: database.prepare(
      'INSERT INTO audit_entry (rowid, key_version, sealed, link, end_seal) VALUES (?, ?, ?, ?, ?)',
    ),
  };
}
