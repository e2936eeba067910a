/**
 * A credential as it is written: what goes into the sealed meta, what into the sealed values, and under which blind
 * indexes it stands.
 */
import { VaultError } from '../contract/errors.ts';
import { Secret } from '../contract/secret.ts';
import { blindIndex } from '../crypto/blind_index.ts';
import type { RandomBytes } from '../crypto/random.ts';
import { type Cipher, openPart, type SealContext, sealPart } from '../crypto/record_cipher.ts';
import type { LoadedSodium } from '../crypto/sodium.ts';
import type { StoredMeta, StoredRecord } from '../store/store.ts';
import type { OrganizationRing } from './key_ring.ts';

const KIND = 'credential';

/** Where a credential is: unique within an organization. */
export interface CredentialPlace {
  readonly user: string;
  readonly stack: string;
  /** The slug. */
  readonly service: string;
  readonly name: string | null;
}

/** All of a credential but its values. */
export interface CredentialMeta extends CredentialPlace {
  /** UUID version 7. */
  readonly id: string;
  readonly revision: number;
  readonly type: string;
  /** Ids of the fields that have a value. */
  readonly fields: readonly string[];
  readonly created_at: string;
  readonly updated_at: string;
  readonly modified_by: string;
  readonly inactive: boolean;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly last_test: { readonly at: string; readonly ok: boolean; readonly reason: string } | null;
}

export type CredentialValues = ReadonlyMap<string, Secret>;

/** Seals and opens the credentials of one organization. */
export class CredentialCodec {
  readonly #sodium: LoadedSodium;
  readonly #random: RandomBytes;
  readonly #cipher: Cipher;

  constructor(sodium: LoadedSodium, random: RandomBytes, cipher: Cipher) {
    this.#sodium = sodium;
    this.#random = random;
    this.#cipher = cipher;
  }

  indexOf(ring: OrganizationRing, place: CredentialPlace): Buffer {
    return blindIndex(ring.keys.index, KIND, [place.user, place.stack, place.service, place.name ?? '']);
  }

  scopeOf(ring: OrganizationRing, user: string, stack: string): Buffer {
    return blindIndex(ring.keys.index, `${KIND}s of a stack`, [user, stack]);
  }

  seal(ring: OrganizationRing, meta: CredentialMeta, values: CredentialValues): StoredRecord {
    const { id, revision, ...sealed } = meta;
    const row = {
      kind: KIND,
      id: idBytes(id),
      scope: this.scopeOf(ring, meta.user, meta.stack),
      index: this.indexOf(ring, meta),
      revision,
      key_version: ring.key_version,
    };
    const revealed = Buffer.from(JSON.stringify([...values].map(([field, value]) => [field, value.reveal()])));
    try {
      return {
        ...row,
        sealed_meta: this.#sealPart(ring.keys.meta, { ...row, part: 'meta' }, Buffer.from(JSON.stringify(sealed))),
        sealed_values: this.#sealPart(ring.keys.values, { ...row, part: 'values' }, revealed),
      };
    } finally {
      revealed.fill(0);
    }
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openMeta(ring: OrganizationRing, row: StoredMeta): CredentialMeta {
    const plaintext = openPart(this.#sodium, ring.keys.meta, { ...context(row), part: 'meta' }, row.sealed_meta);
    return { id: idText(row.id), revision: row.revision, ...JSON.parse(plaintext.toString()) };
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openValues(ring: OrganizationRing, row: StoredRecord): Map<string, Secret> {
    const plaintext = openPart(this.#sodium, ring.keys.values, { ...context(row), part: 'values' }, row.sealed_values);
    try {
      const pairs: [string, string][] = JSON.parse(plaintext.toString());
      return new Map(pairs.map(([field, value]) => [field, new Secret(value)]));
    } finally {
      plaintext.fill(0);
    }
  }

  #sealPart(purpose_key: Buffer, sealed_as: SealContext, plaintext: Buffer): Buffer {
    return sealPart(this.#sodium, this.#random, this.#cipher, purpose_key, sealed_as, plaintext);
  }
}

function context(row: StoredMeta): Omit<SealContext, 'part'> {
  const { kind, id, scope, index, revision, key_version } = row;
  return { kind, id, scope, index, revision, key_version };
}

/** The 16 bytes of a UUID. Throws NOT_FOUND for anything else: there is no credential with such an id. */
export function idBytes(id: string): Buffer {
  const hex = id.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(hex)) throw new VaultError('NOT_FOUND', 'No such credential.');
  return Buffer.from(hex, 'hex');
}

export function idText(id: Buffer): string {
  const hex = id.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
