/** The writes of a batch, within a transaction: each counts only where the record is as it was expected to be. */
import type { Database } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import type { Batch, RecordWrite, StoredRecord, WrappedKey } from '../store.ts';
import { isUniqueViolation } from './errors.ts';

export class RecordWriter {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(database: Database) {
    this.#sql = prepare(database);
  }

  /** Throws CONFLICT, or what the driver throws; then some of it may have been written. */
  apply({ keys = [], writes }: Batch): void {
    for (const key of keys) this.#addKey(key);
    for (const write of writes) this.#applyWrite(write);
  }

  #applyWrite(write: RecordWrite): void {
    if (write.do === 'delete') {
      if (this.#sql.delete.run(write.id, write.expected_revision).changes !== 1) throw conflict();
      return;
    }
    if (write.do === 'check') {
      if (this.#sql.check.get(write.id, write.expected_revision) === undefined) throw conflict();
      return;
    }
    if (write.do === 'check_none') {
      if (this.#sql.check_none.get(write.scope) !== undefined) throw conflict();
      return;
    }
    const { kind, id, scope, index, revision, key_version, sealed_meta, sealed_values } = write.record;
    try {
      const { changes } =
        write.expected_revision === 0
          ? this.#sql.insert.run(kind, id, scope, index, revision, key_version, sealed_meta, sealed_values)
          : this.#update(write.expected_revision, write.record);
      if (changes !== 1) throw conflict();
    } catch (error) {
      throw isUniqueViolation(error) ? conflict(error) : error;
    }
  }

  /** Leaves the indexes alone where the record stays in its place, as it nearly always does. */
  #update(expected_revision: number, record: StoredRecord) {
    const { id, scope, index, revision, key_version, sealed_meta, sealed_values } = record;
    const stayed = this.#sql.update_in_place.run(
      revision,
      key_version,
      sealed_meta,
      sealed_values,
      id,
      expected_revision,
      scope,
      index,
    );
    if (stayed.changes === 1) return stayed;
    return this.#sql.update.run(
      scope,
      index,
      revision,
      key_version,
      sealed_meta,
      sealed_values,
      id,
      expected_revision,
    );
  }

  #addKey(key: WrappedKey): void {
    if (this.#sql.add_key.run(key.owner, key.version, key.wrapped).changes !== 1) throw conflict();
  }
}

function conflict(cause?: unknown): VaultError {
  return new VaultError(
    'CONFLICT',
    'Somebody else changed this at the same moment. Nothing was changed; try again.',
    { cause },
  );
}

function prepare(database: Database) {
  return {
    add_key: database.prepare('INSERT OR IGNORE INTO wrapped_key (owner, version, wrapped) VALUES (?, ?, ?)'),
    insert: database.prepare(
      `INSERT INTO record (kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: database.prepare(
      `UPDATE record SET scope = ?, blind_index = ?, revision = ?, key_version = ?, sealed_meta = ?, sealed_values = ?
       WHERE id = ? AND revision = ?`,
    ),
    update_in_place: database.prepare(
      `UPDATE record SET revision = ?, key_version = ?, sealed_meta = ?, sealed_values = ?
       WHERE id = ? AND revision = ? AND scope = ? AND blind_index = ?`,
    ),
    check: database.prepare('SELECT 1 FROM record WHERE id = ? AND revision = ?'),
    check_none: database.prepare('SELECT 1 FROM record WHERE scope = ? LIMIT 1'),
    delete: database.prepare('DELETE FROM record WHERE id = ? AND revision = ?'),
  };
}
