/**
 * Reads and writes records other than credentials: organizations, users, units, stacks and API keys. They are sealed
 * and indexed like credentials; of these only pending values have values. Found by a key within their organization, by id, or as a list.
 */
import { VaultError } from '../../contract/errors.ts';
import type { Batch, RecordPut, RecordWrite, StoredMeta } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { indexOf } from './blind_indexes.ts';
import { type CredentialValues, idBytes, idText, NO_VALUES, uuidBytes } from './record_codec.ts';
import { scanRows } from './scan.ts';

/** The batch of a change that finds nothing to write. */
export const NO_WRITES: Batch = { writes: [], audit: [] };

/** A decrypted record with its revision. */
export interface Versioned<Meta> {
  readonly id: string;
  readonly revision: number;
  readonly meta: Meta;
}

/** The key that a record is found by, and the list that contains it. */
export interface EntityRef {
  readonly key: readonly string[];
  readonly scope: Buffer;
}

export class EntityRepository<Meta extends object> {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records'>;
  readonly #kind: string;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records'>, kind: string) {
    this.#parts = parts;
    this.#kind = kind;
  }

  /** See `listScope`. */
  scope(keyring: OrganizationKeyring, of: readonly string[]): Buffer {
    return listScope(keyring, this.#kind, of);
  }

  /** Throws CORRUPT if the row does not decrypt. */
  async find(keyring: OrganizationKeyring, key: readonly string[]): Promise<Versioned<Meta> | undefined> {
    const row = await this.rowAt(keyring, key);
    if (row === undefined) return undefined;
    row.derived ??= this.#open(keyring, row);
    return row.derived as Versioned<Meta>;
  }

  /** As `find`, but `undefined` for a damaged record. */
  async findIntact(
    keyring: OrganizationKeyring,
    key: readonly string[],
  ): Promise<Versioned<Meta> | undefined> {
    try {
      return await this.find(keyring, key);
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  /** The encrypted row; `undefined` for a malformed or unknown id and for another kind of record. */
  async rowOf(id: string): Promise<StoredMeta | undefined> {
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    return row?.kind === this.#kind ? row : undefined;
  }

  /** The encrypted row, which may be damaged. */
  async rowAt(keyring: OrganizationKeyring, key: readonly string[]): Promise<StoredMeta | undefined> {
    return this.#parts.store.find(this.indexOf(keyring, key));
  }

  /** `undefined` for a malformed or unknown id, another kind of record, and a record of another organization. */
  async get(keyring: OrganizationKeyring, id: string): Promise<Versioned<Meta> | undefined> {
    return this.openOwn(keyring, await this.rowOf(id));
  }

  /** `undefined` for a missing row and one that does not decrypt with these keys, at the same cost (anti-enumeration). */
  openOwn(keyring: OrganizationKeyring, row: StoredMeta | undefined): Versioned<Meta> | undefined {
    const meta = this.#parts.records.tryOpenMeta(keyring, row) as Meta | undefined;
    return row && meta && { id: idText(row.id), revision: row.revision, meta };
  }

  /**
   * The records of a list that match, newest first, `limit` at most. Skips damaged ones, which must not hide the others: a
   * read of such a record and the audit verification report the damage.
   */
  async list(
    keyring: OrganizationKeyring,
    scope: Buffer,
    limit: number,
    matches: (found: Versioned<Meta>) => boolean = () => true,
  ): Promise<readonly Versioned<Meta>[]> {
    const found: Versioned<Meta>[] = [];
    for await (const row of this.rows(scope)) {
      const one = row.kind === this.#kind ? this.openOwn(keyring, row) : undefined;
      if (one !== undefined && matches(one)) found.push(one);
      if (found.length === limit) break;
    }
    return found;
  }

  /** The encrypted rows of a list, newest first. They may be damaged. */
  rows(scope: Buffer): AsyncGenerator<StoredMeta> {
    return scanRows(this.#parts.store, scope);
  }

  /** The write that creates the record (`revision` 1) or updates it to its next revision. */
  put(
    keyring: OrganizationKeyring,
    ref: EntityRef,
    id: string,
    revision: number,
    meta: Meta,
    values: CredentialValues = NO_VALUES,
  ): RecordPut {
    const index = this.indexOf(keyring, ref.key);
    const row = { kind: this.#kind, id: idBytes(id), scope: ref.scope, index, revision };
    const sealed = this.#parts.records.seal(keyring, row, meta, values);
    return { do: 'put', expected_revision: revision - 1, ...sealed };
  }

  #open(keyring: OrganizationKeyring, row: StoredMeta): Versioned<Meta> {
    const meta = this.#parts.records.openMeta(keyring, row) as Meta;
    return { id: idText(row.id), revision: row.revision, meta };
  }

  /** The blind index of the record with this key. */
  indexOf(keyring: OrganizationKeyring, key: readonly string[]): Buffer {
    return indexOf(keyring, this.#kind, key);
  }
}

/** The scope of a list of records, such as the stacks of one user. */
export function listScope(keyring: OrganizationKeyring, kind: string, of: readonly string[]): Buffer {
  return indexOf(keyring, `${kind}s`, of);
}

export function removal({ id, revision }: Pick<Versioned<object>, 'id' | 'revision'>): RecordWrite {
  return { do: 'delete', expected_revision: revision, id: idBytes(id) };
}
