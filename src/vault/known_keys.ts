/**
 * API keys that were good a moment ago, so that a client that comes again costs one read and one hash. What is remembered
 * counts for exactly the row that it was opened from: the row is read for every request, so a key that was rotated,
 * revoked or changed, by whatever process, is looked at anew.
 */
import type { StoredMeta } from '../store/store.ts';
import type { KeyMeta } from './api_key_rules.ts';
import type { Found } from './directory_records.ts';
import type { OrganizationRing } from './key_ring.ts';

const KEYS_REMEMBERED_MAX = 10_000;

export interface KnownKey {
  readonly ring: OrganizationRing;
  readonly found: Found<KeyMeta>;
}

interface Remembered extends KnownKey {
  readonly row: StoredMeta;
}

export class KnownKeys {
  /** By the hashes of their secrets: whoever has another secret finds nothing here, however right its id. */
  readonly #by_secret = new Map<string, Remembered>();

  get(secret_hash: string, row: StoredMeta | undefined): KnownKey | undefined {
    const known = this.#by_secret.get(secret_hash);
    return known !== undefined && row !== undefined && isSame(known.row, row) ? known : undefined;
  }

  remember(row: StoredMeta, known: KnownKey): void {
    if (this.#by_secret.size >= KEYS_REMEMBERED_MAX) this.#by_secret.clear();
    this.#by_secret.set(known.found.meta.secret_hash, { row, ...known });
  }
}

/** The sealed meta has a nonce of its own every time that it is sealed. */
function isSame(a: StoredMeta, b: StoredMeta): boolean {
  return (
    a.revision === b.revision &&
    a.key_version === b.key_version &&
    a.sealed_meta.equals(b.sealed_meta) &&
    a.id.equals(b.id) &&
    a.scope.equals(b.scope) &&
    a.index.equals(b.index)
  );
}
