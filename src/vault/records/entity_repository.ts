/**
 * Records that are no credentials: organizations, users, units, stacks and API keys. They are sealed and indexed like
 * credentials, hold no values, and are found by a key within their organization, by their id, or as a list.
 */
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import { blindIndex } from '../../crypto/blind_index.ts';
import type { RecordWrite, StoredMeta } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { DecryptedCache, keyOfParts } from './decrypted_cache.ts';
import { idBytes, idText, NO_VALUES, uuidBytes } from './record_codec.ts';
import { scanRows } from './scan.ts';

const REMEMBERED_MAX = 512;

/** A record as it stands. */
export interface Versioned<Meta> {
  readonly id: string;
  readonly revision: number;
  readonly meta: Meta;
}

/** Where a record stands: what it is found by, and what it is listed under. */
export interface EntityRef {
  readonly key: readonly string[];
  readonly scope: Buffer;
}

export class EntityRepository<Meta extends object> {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records'>;
  readonly #kind: string;
  /** By the keys that they are found by. */
  readonly #opened: DecryptedCache<Versioned<Meta>>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records'>, kind: string) {
    this.#parts = parts;
    this.#kind = kind;
    this.#opened = new DecryptedCache(parts.store, REMEMBERED_MAX);
  }

  /** As `listScope`, of this kind. */
  scope(keyring: OrganizationKeyring, of: readonly string[]): Buffer {
    return listScope(keyring, this.#kind, of);
  }

  /** Throws CORRUPT when what is found does not open. */
  async find(keyring: OrganizationKeyring, key: readonly string[]): Promise<Versioned<Meta> | undefined> {
    const known_as = keyOfParts(keyring.id, key);
    const known = await this.#opened.get(known_as);
    if (known !== undefined) return known.content;
    const row = await this.rowAt(keyring, key);
    if (row === undefined) return undefined;
    const content = this.#open(keyring, row);
    this.#opened.remember(known_as, row, content);
    return content;
  }

  /** The row of the record, as it is; `undefined` for what is no id, is not there, or is another kind of record. */
  async rowOf(id: string): Promise<StoredMeta | undefined> {
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    return row?.kind === this.#kind ? row : undefined;
  }

  /** The row that stands under the key, whether it opens or not. */
  async rowAt(keyring: OrganizationKeyring, key: readonly string[]): Promise<StoredMeta | undefined> {
    return this.#parts.store.find(this.#index(keyring, key));
  }

  /** `undefined` for what is no id, is not there, is another kind of record, or another organization's. */
  async get(keyring: OrganizationKeyring, id: string): Promise<Versioned<Meta> | undefined> {
    return this.openOwn(keyring, await this.rowOf(id));
  }

  /** The record, or `undefined` where there is no row or it does not open with these keys; as much work either way. */
  openOwn(keyring: OrganizationKeyring, row: StoredMeta | undefined): Versioned<Meta> | undefined {
    const meta = this.#parts.records.tryOpenMeta(keyring, row) as Meta | undefined;
    return row && meta && { id: idText(row.id), revision: row.revision, meta };
  }

  /** All records of a list, newest first, `limit` at most. */
  async list(
    keyring: OrganizationKeyring,
    scope: Buffer,
    limit: number,
  ): Promise<readonly Versioned<Meta>[]> {
    const found: Versioned<Meta>[] = [];
    for await (const row of scanRows(this.#parts.store, scope, Math.min(LIST_PAGE_MAX, limit))) {
      found.push(this.#open(keyring, row));
      if (found.length === limit) break;
    }
    return found;
  }

  /** Those records of a list that open and fit, newest first, `limit` at most. */
  async listSound(
    keyring: OrganizationKeyring,
    scope: Buffer,
    limit: number,
    fits: (found: Versioned<Meta>) => boolean,
  ): Promise<readonly Versioned<Meta>[]> {
    const found: Versioned<Meta>[] = [];
    for await (const row of scanRows(this.#parts.store, scope)) {
      const one = row.kind === this.#kind ? this.openOwn(keyring, row) : undefined;
      if (one !== undefined && fits(one)) found.push(one);
      if (found.length === limit) break;
    }
    return found;
  }

  /** The write that makes the record (`revision` 1) or brings it to its next revision. */
  put(keyring: OrganizationKeyring, place: EntityRef, id: string, revision: number, meta: Meta): RecordWrite {
    const index = this.#index(keyring, place.key);
    const row = { kind: this.#kind, id: idBytes(id), scope: place.scope, index, revision };
    const record = this.#parts.records.seal(keyring, row, meta, NO_VALUES);
    return { do: 'put', expected_revision: revision - 1, record };
  }

  #open(keyring: OrganizationKeyring, row: StoredMeta): Versioned<Meta> {
    const meta = this.#parts.records.openMeta(keyring, row) as Meta;
    return { id: idText(row.id), revision: row.revision, meta };
  }

  #index(keyring: OrganizationKeyring, key: readonly string[]): Buffer {
    return blindIndex(keyring.keys.index, this.#kind, key);
  }
}

/** What the records of one list stand under, such as the stacks of one user. */
export function listScope(keyring: OrganizationKeyring, kind: string, of: readonly string[]): Buffer {
  return blindIndex(keyring.keys.index, `${kind}s`, of);
}

export function removal({ id, revision }: Versioned<object>): RecordWrite {
  return { do: 'delete', expected_revision: revision, id: idBytes(id) };
}
