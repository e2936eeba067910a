/**
 * Records that are no credentials: organizations, users, units, stacks and API keys. They are sealed and indexed like
 * credentials, hold no values, and are found by a key within their organization, by their id, or as a list.
 */
import { blindIndex } from '../../crypto/blind_index.ts';
import type { RecordWrite, StoredMeta } from '../../store/store.ts';
import type { VaultParts } from '../dependencies.ts';
import type { OrganizationRing } from '../keys/keyring.ts';
import { keyOfParts, OpenedRecords } from './decrypted_cache.ts';
import { idBytes, idText, NO_VALUES, uuidBytes } from './record_codec.ts';

const READ_AT_ONCE = 100;
const REMEMBERED_MAX = 512;

/** A record as it stands. */
export interface Found<Meta> {
  readonly id: string;
  readonly revision: number;
  readonly meta: Meta;
}

/** Where a record stands: what it is found by, and what it is listed under. */
export interface DirectoryPlace {
  readonly key: readonly string[];
  readonly scope: Buffer;
}

export class DirectoryRecords<Meta extends object> {
  readonly #parts: Pick<VaultParts, 'store' | 'records'>;
  readonly #kind: string;
  /** By the keys that they are found by. */
  readonly #opened: OpenedRecords<Found<Meta>>;

  constructor(parts: Pick<VaultParts, 'store' | 'records'>, kind: string) {
    this.#parts = parts;
    this.#kind = kind;
    this.#opened = new OpenedRecords(parts.store, REMEMBERED_MAX);
  }

  /** As `listScope`, of this kind. */
  scope(ring: OrganizationRing, of: readonly string[]): Buffer {
    return listScope(ring, this.#kind, of);
  }

  /** Throws CORRUPT when what is found does not open. */
  async find(ring: OrganizationRing, key: readonly string[]): Promise<Found<Meta> | undefined> {
    const known_as = keyOfParts(ring.id, key);
    const known = await this.#opened.get(known_as);
    if (known !== undefined) return known.content;
    const row = await this.rowAt(ring, key);
    if (row === undefined) return undefined;
    const content = this.#open(ring, row);
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
  async rowAt(ring: OrganizationRing, key: readonly string[]): Promise<StoredMeta | undefined> {
    return this.#parts.store.find(this.#index(ring, key));
  }

  /** `undefined` for what is no id, is not there, is another kind of record, or another organization's. */
  async get(ring: OrganizationRing, id: string): Promise<Found<Meta> | undefined> {
    return this.openOwn(ring, await this.rowOf(id));
  }

  /** The record, or `undefined` where there is no row or it does not open with these keys; as much work either way. */
  openOwn(ring: OrganizationRing, row: StoredMeta | undefined): Found<Meta> | undefined {
    const meta = this.#parts.records.tryOpenMeta(ring, row) as Meta | undefined;
    return row && meta && { id: idText(row.id), revision: row.revision, meta };
  }

  /** All records of a list, newest first, `limit` at most. */
  async list(ring: OrganizationRing, scope: Buffer, limit: number): Promise<readonly Found<Meta>[]> {
    const found: Found<Meta>[] = [];
    let after: number | undefined;
    do {
      const page = await this.#parts.store.list(scope, Math.min(READ_AT_ONCE, limit - found.length), after);
      found.push(...page.records.map((row) => this.#open(ring, row)));
      after = page.next;
    } while (after !== undefined && found.length < limit);
    return found;
  }

  /** Those records of a list that open and fit, newest first, `limit` at most. */
  async listSound(
    ring: OrganizationRing,
    scope: Buffer,
    limit: number,
    fits: (found: Found<Meta>) => boolean,
  ): Promise<readonly Found<Meta>[]> {
    const found: Found<Meta>[] = [];
    let after: number | undefined;
    do {
      const page = await this.#parts.store.list(scope, READ_AT_ONCE, after);
      for (const row of page.records) {
        const one = row.kind === this.#kind ? this.openOwn(ring, row) : undefined;
        if (one !== undefined && fits(one)) found.push(one);
      }
      after = page.next;
    } while (after !== undefined && found.length < limit);
    return found.slice(0, limit);
  }

  /** The write that makes the record (`revision` 1) or brings it to its next revision. */
  put(ring: OrganizationRing, place: DirectoryPlace, id: string, revision: number, meta: Meta): RecordWrite {
    const index = this.#index(ring, place.key);
    const row = { kind: this.#kind, id: idBytes(id), scope: place.scope, index, revision };
    const record = this.#parts.records.seal(ring, row, meta, NO_VALUES);
    return { do: 'put', expected_revision: revision - 1, record };
  }

  #open(ring: OrganizationRing, row: StoredMeta): Found<Meta> {
    const meta = this.#parts.records.openMeta(ring, row) as Meta;
    return { id: idText(row.id), revision: row.revision, meta };
  }

  #index(ring: OrganizationRing, key: readonly string[]): Buffer {
    return blindIndex(ring.keys.index, this.#kind, key);
  }
}

/** What the records of one list stand under, such as the stacks of one user. */
export function listScope(ring: OrganizationRing, kind: string, of: readonly string[]): Buffer {
  return blindIndex(ring.keys.index, `${kind}s`, of);
}

export function removal({ id, revision }: Found<object>): RecordWrite {
  return { do: 'delete', expected_revision: revision, id: idBytes(id) };
}
