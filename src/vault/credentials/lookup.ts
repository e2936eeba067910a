/** What stands in the places where credentials can be: the row, and what it says once it is opened. */
import type { StoredMeta } from '../../store/store.ts';
import type { VaultParts } from '../dependencies.ts';
import type { OrganizationRing } from '../keys/keyring.ts';
import { keyOfParts, OpenedRecords } from '../records/decrypted_cache.ts';
import type { CredentialMeta, CredentialPlace } from './codec.ts';

/** Small: more would cost every new one more than it spares those that come again. */
const REMEMBERED_MAX = 512;

/** A place by its names: in memory, and in the store. */
export interface Spot {
  readonly key: string;
  /** The blind index. */
  readonly index: Buffer;
}

export class CredentialPlaces {
  readonly #parts: Pick<VaultParts, 'store' | 'codec'>;
  readonly #opened: OpenedRecords<CredentialMeta>;

  constructor(parts: Pick<VaultParts, 'store' | 'codec'>) {
    this.#parts = parts;
    this.#opened = new OpenedRecords(parts.store, REMEMBERED_MAX);
  }

  spot(ring: OrganizationRing, place: CredentialPlace): Spot {
    const key = keyOfPlace(ring, place);
    return { key, index: this.#opened.indexOf(key) ?? this.#parts.codec.indexOf(ring, place) };
  }

  /** The credential in this place. Throws CORRUPT when it is not what was sealed. */
  async find(ring: OrganizationRing, place: CredentialPlace): Promise<CredentialMeta | undefined> {
    const spot = this.spot(ring, place);
    const known = await this.#opened.get(spot.key);
    if (known !== undefined) return known.content;
    const row = await this.#parts.store.find(spot.index);
    return row && this.open(ring, spot, row);
  }

  /** Whether there is a credential in this place, be it damaged. */
  async has(ring: OrganizationRing, place: CredentialPlace): Promise<boolean> {
    const { key, index } = this.spot(ring, place);
    return (await this.#opened.get(key)) !== undefined || (await this.#parts.store.find(index)) !== undefined;
  }

  /** What the row says, which was just read there. Throws CORRUPT when it is not what was sealed. */
  open(ring: OrganizationRing, spot: Spot, row: StoredMeta): CredentialMeta {
    const known = this.#opened.of(spot.key, row);
    if (known !== undefined) return known;
    const content = this.#parts.codec.openMeta(ring, row);
    this.remember(spot, row, content);
    return content;
  }

  /** What was just read or written there. */
  remember({ key }: Spot, row: StoredMeta, content: CredentialMeta): void {
    this.#opened.remember(key, row, content);
  }
}

/** Tells places of all organizations apart. */
function keyOfPlace(ring: OrganizationRing, { user, stack, service, name }: CredentialPlace): string {
  return keyOfParts(ring.id, [user, stack, service, name ?? '']);
}
