/** Executes the writes of a batch inside a transaction. Each applies only if the record has the expected revision. */
import type { Database } from 'better-sqlite3';
import { conflictError } from '../errors.ts';
import type { Batch, RecordWrite, RootKeyChange, WrappedKey } from '../store.ts';
import { isUniqueViolation } from './errors.ts';

type Put = Extract<RecordWrite, { readonly do: 'put' }>;

export class RecordWriter {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(database: Database) {
    this.#sql = prepare(database);
  }

  /** Throws CONFLICT or the driver's error, possibly after some of the writes. */
  apply({ keys = [], root_key_id, root_key, writes }: Batch): void {
    if (root_key !== undefined) this.#replaceRootKey(root_key);
    if (keys.length > 0) this.#addKeys(keys, root_key_id);
    for (const write of writes) if (!this.#isApplied(write)) throw conflictError();
  }

  #isApplied(write: RecordWrite): boolean {
    switch (write.do) {
      case 'delete':
        return this.#sql.delete.run(write.id, write.expected_revision).changes === 1;
      case 'check':
        return this.#sql.check.get(write.id, write.expected_revision) !== undefined;
      case 'check_none':
        return this.#sql.check_none.get(write.scope) === undefined;
      case 'put':
        try {
          return write.expected_revision === 0 ? this.#insert(write) : this.#update(write);
        } catch (error) {
          throw isUniqueViolation(error) ? conflictError(error) : error;
        }
    }
  }

  #insert({ organization, row, sealed_values }: Put): boolean {
    const { kind, id, scope, index, revision, key_version, sealed_meta } = row;
    const sealed = [key_version, sealed_meta, sealed_values] as const;
    return this.#sql.insert.run(kind, id, organization, scope, index, revision, ...sealed).changes === 1;
  }

  /** Tries first to leave the indexed columns alone: only a move changes them. */
  #update({ row, sealed_values, expected_revision }: Put): boolean {
    const { id, scope, index, revision, key_version, sealed_meta } = row;
    const written = [revision, key_version, sealed_meta, sealed_values, id, expected_revision] as const;
    if (this.#sql.update_unmoved.run(...written, scope, index).changes === 1) return true;
    return this.#sql.update.run(scope, index, ...written).changes === 1;
  }

  #addKeys(keys: readonly WrappedKey[], root_key_id: Buffer | undefined): void {
    if (root_key_id !== undefined && this.#sql.has_root_key.get(root_key_id) === undefined)
      throw conflictError();
    const newest = this.#sql.newest_version.get() ?? 0;
    for (const { owner, version, wrapped } of keys) {
      if (version > 1 && version <= newest) throw conflictError();
      if (this.#sql.add_key.run(owner, version, wrapped).changes !== 1) throw conflictError();
    }
  }

  #replaceRootKey({ expected_root_key_id, header, keys }: RootKeyChange): void {
    const { root_key_id, root_key_source, passphrase_salt, root_key_ref, root_key_sealed } = header;
    const source = [
      root_key_source,
      passphrase_salt ?? null,
      root_key_ref ?? null,
      root_key_sealed ?? null,
    ] as const;
    if (this.#sql.replace_header.run(root_key_id, ...source, expected_root_key_id).changes !== 1)
      throw conflictError();
    if (this.#sql.count_keys.get() !== keys.length) throw conflictError();
    for (const { owner, version, wrapped } of keys)
      if (this.#sql.replace_key.run(wrapped, owner, version).changes !== 1) throw conflictError();
  }
}

function prepare(database: Database) {
  return {
    add_key: database.prepare('INSERT OR IGNORE INTO wrapped_key (owner, version, wrapped) VALUES (?, ?, ?)'),
    has_root_key: database.prepare<[Buffer]>('SELECT 1 FROM vault WHERE root_key_id = ?'),
    newest_version: database.prepare<[], number | null>('SELECT max(version) FROM wrapped_key').pluck(),
    replace_header: database.prepare(
      `UPDATE vault SET root_key_id = ?, root_key_source = ?, passphrase_salt = ?, root_key_ref = ?, root_key_sealed = ?
       WHERE root_key_id = ?`,
    ),
    count_keys: database.prepare<[], number>('SELECT count(*) FROM wrapped_key').pluck(),
    replace_key: database.prepare('UPDATE wrapped_key SET wrapped = ? WHERE owner = ? AND version = ?'),
    insert: database.prepare(
      `INSERT INTO record (kind, id, organization, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: database.prepare(
      `UPDATE record SET scope = ?, blind_index = ?, revision = ?, key_version = ?, sealed_meta = ?, sealed_values = ?
       WHERE id = ? AND revision = ?`,
    ),
    update_unmoved: database.prepare(
      `UPDATE record SET revision = ?, key_version = ?, sealed_meta = ?, sealed_values = ?
       WHERE id = ? AND revision = ? AND scope = ? AND blind_index = ?`,
    ),
    check: database.prepare('SELECT 1 FROM record WHERE id = ? AND revision = ?'),
    check_none: database.prepare('SELECT 1 FROM record WHERE scope = ? LIMIT 1'),
    delete: database.prepare('DELETE FROM record WHERE id = ? AND revision = ?'),
  };
}
