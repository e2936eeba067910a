/** What stands in the places where credentials can be: the row, and what it says once it is opened. */
import type { StoredMeta } from '../store/store.ts';
import type { CredentialMeta, CredentialPlace } from './credential_record.ts';
import type { OrganizationRing } from './key_ring.ts';
import { keyOfParts, OpenedRecords } from './opened_records.ts';
import type { VaultParts } from './vault_parts.ts';

/** Small: more would cost every new one more than it spares those that come again. */
const REMEMBERED_MAX = 512;

/** A place as it was just found. */
export interface Spot {
  readonly key: string;
  /** The blind index of the place. */
  readonly index: Buffer;
  /** `undefined`: nothing stands there. */
  readonly row: StoredMeta | undefined;
  /** Where the row was opened before. */
  readonly meta: CredentialMeta | undefined;
}

export class CredentialPlaces {
  readonly #parts: Pick<VaultParts, 'store' | 'codec'>;
  readonly #opened: OpenedRecords<CredentialMeta>;

  constructor(parts: Pick<VaultParts, 'store' | 'codec'>) {
    this.#parts = parts;
    this.#opened = new OpenedRecords(parts.store, REMEMBERED_MAX);
  }

  async look(ring: OrganizationRing, place: CredentialPlace): Promise<Spot> {
    const key = keyOfPlace(ring, place);
    const known = await this.#opened.get(key);
    if (known !== undefined) return { key, index: known.row.index, row: known.row, meta: known.content };
    const index = this.#parts.codec.indexOf(ring, place);
    return { key, index, row: await this.#parts.store.find(index), meta: undefined };
  }

  /** What the row says; `undefined` where there is none. Throws CORRUPT when it is not what was sealed. */
  open(ring: OrganizationRing, { key, row, meta }: Spot): CredentialMeta | undefined {
    if (row === undefined || meta !== undefined) return meta;
    const content = this.#parts.codec.openMeta(ring, row);
    this.#opened.remember(key, row, content);
    return content;
  }

  async find(ring: OrganizationRing, place: CredentialPlace): Promise<CredentialMeta | undefined> {
    return this.open(ring, await this.look(ring, place));
  }

  /** What was just written to a place that was looked at before. */
  remember(key: string, row: StoredMeta, content: CredentialMeta): void {
    this.#opened.remember(key, row, content);
  }
}

/** Tells places of all organizations apart. */
export function keyOfPlace(ring: OrganizationRing, { user, stack, service, name }: CredentialPlace): string {
  return keyOfParts(ring.id, [user, stack, service, name ?? '']);
}
