/** What stands in the places where credentials can be: the row, and what it says once it is opened. */
import type { StoredMeta } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { DecryptedCache, keyOfParts } from '../records/decrypted_cache.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';

/** Small: more would cost every new one more than it spares those that come again. */
const REMEMBERED_MAX = 512;

/** A place by its names: in memory, and in the store. */
export interface LookupKey {
  readonly key: string;
  /** The blind index. */
  readonly index: Buffer;
}

export class CredentialLookup {
  readonly #parts: Pick<VaultDependencies, 'store' | 'codec'>;
  readonly #opened: DecryptedCache<CredentialMeta>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'codec'>) {
    this.#parts = parts;
    this.#opened = new DecryptedCache(parts.store, REMEMBERED_MAX);
  }

  spot(keyring: OrganizationKeyring, place: CredentialRef): LookupKey {
    const key = keyOfPlace(keyring, place);
    return { key, index: this.#opened.indexOf(key) ?? this.#parts.codec.indexOf(keyring, place) };
  }

  /** The credential in this place. Throws CORRUPT when it is not what was sealed. */
  async find(keyring: OrganizationKeyring, place: CredentialRef): Promise<CredentialMeta | undefined> {
    const spot = this.spot(keyring, place);
    const known = await this.#opened.get(spot.key);
    if (known !== undefined) return known.content;
    const row = await this.#parts.store.find(spot.index);
    return row && this.open(keyring, spot, row);
  }

  /** Whether there is a credential in this place, be it damaged. */
  async has(keyring: OrganizationKeyring, place: CredentialRef): Promise<boolean> {
    const { key, index } = this.spot(keyring, place);
    return (await this.#opened.get(key)) !== undefined || (await this.#parts.store.find(index)) !== undefined;
  }

  /** What the row says, which was just read there. Throws CORRUPT when it is not what was sealed. */
  open(keyring: OrganizationKeyring, spot: LookupKey, row: StoredMeta): CredentialMeta {
    const known = this.#opened.of(spot.key, row);
    if (known !== undefined) return known;
    const content = this.#parts.codec.openMeta(keyring, row);
    this.remember(spot, row, content);
    return content;
  }

  /** What was just read or written there. */
  remember({ key }: LookupKey, row: StoredMeta, content: CredentialMeta): void {
    this.#opened.remember(key, row, content);
  }
}

/** Tells places of all organizations apart. */
function keyOfPlace(keyring: OrganizationKeyring, { user, stack, service, name }: CredentialRef): string {
  return keyOfParts(keyring.id, [user, stack, service, name ?? '']);
}
