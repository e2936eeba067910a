/**
 * A credential as it is written: what goes into the sealed meta, what into the sealed values, and under which blind
 * indexes it stands.
 */
import { v7 as uuidv7 } from 'uuid';
import { VaultError } from '../contract/errors.ts';
import { Secret } from '../contract/secret.ts';
import { blindIndex } from '../crypto/blind_index.ts';
import type { RandomBytes } from '../crypto/random.ts';
import { type Cipher, openPart, type SealContext, sealPart } from '../crypto/record_cipher.ts';
import type { LoadedSodium } from '../crypto/sodium.ts';
import type { StoredMeta, StoredRecord } from '../store/store.ts';
import type { OrganizationRing } from './key_ring.ts';

const KIND = 'credential';
const UUID_BYTES = 16;
const SCOPES_REMEMBERED_MAX = 1_000;

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
  /** Stacks come again and again; a few of their scopes are remembered. */
  readonly #scopes = new WeakMap<OrganizationRing, Map<string, Buffer>>();
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
    const known = this.#scopes.get(ring) ?? new Map<string, Buffer>();
    this.#scopes.set(ring, known);
    const key = JSON.stringify([user, stack]);
    const scope = known.get(key) ?? blindIndex(ring.keys.index, `${KIND}s of a stack`, [user, stack]);
    if (known.size >= SCOPES_REMEMBERED_MAX) known.clear();
    known.set(key, scope);
    return scope;
  }

  /** A UUID version 7 (RFC 9562, section 5.7): ids in the order of time keep the store's index compact. */
  newId(): string {
    return uuidv7({ random: this.#random(UUID_BYTES) });
  }

  /** `index` and `scope` are those of the meta's place; whoever writes has them already. */
  seal(
    ring: OrganizationRing,
    index: Buffer,
    scope: Buffer,
    meta: CredentialMeta,
    values: CredentialValues,
  ): StoredRecord {
    const { id, revision, ...sealed } = meta;
    const row = {
      kind: KIND,
      id: idBytes(id),
      scope,
      index,
      revision,
      key_version: ring.key_version,
    };
    const revealed = JSON.stringify([...values].map(([field, value]) => [field, value.reveal()]));
    return {
      ...row,
      sealed_meta: this.#sealPart(ring.keys.meta, { ...row, part: 'meta' }, JSON.stringify(sealed)),
      sealed_values: this.#sealPart(ring.keys.values, { ...row, part: 'values' }, revealed),
    };
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openMeta(ring: OrganizationRing, row: StoredMeta): CredentialMeta {
    const plaintext = openPart(
      this.#sodium,
      ring.keys.meta,
      { ...context(row), part: 'meta' },
      row.sealed_meta,
    );
    return { id: idText(row.id), revision: row.revision, ...JSON.parse(plaintext) };
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openValues(ring: OrganizationRing, row: StoredRecord): Map<string, Secret> {
    const plaintext = openPart(
      this.#sodium,
      ring.keys.values,
      { ...context(row), part: 'values' },
      row.sealed_values,
    );
    const pairs: [string, string][] = JSON.parse(plaintext);
    return new Map(pairs.map(([field, value]) => [field, new Secret(value)]));
  }

  #sealPart(purpose_key: Buffer, sealed_as: SealContext, plaintext: string): Buffer {
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
