/**
 * Seals and opens records: JSON metadata and values are encrypted separately, both bound to the row. Knows nothing of
 * the contents, which each kind of record defines.
 */

import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { VaultError } from '../../contract/errors.ts';
import { UUID_PATTERN } from '../../contract/patterns.ts';
import { Secret } from '../../contract/secret.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import {
  CIPHERS,
  type Cipher,
  FORMAT_VERSION,
  openPart,
  type SealContext,
  sealPart,
} from '../../crypto/record_cipher.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { LoadedRow, StoredMeta, StoredRecord } from '../../store/store.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

const UUID_BYTES = 16;
const USUAL_META_BYTES = 512;

let dummy_counter = 0;

/**
 * A row that no key decrypts. Decrypting it makes a missing row cost the same as an existing one (anti-enumeration). The
 * id is new each time, so that no derived key is cached for it.
 */
function dummyRow(): StoredMeta {
  const id = Buffer.alloc(UUID_BYTES);
  dummy_counter = (dummy_counter + 1) % 2 ** 32;
  id.writeUInt32LE(dummy_counter);
  return { ...DUMMY_ROW, id };
}

const DUMMY_ROW: Omit<StoredMeta, 'id'> = {
  kind: '',
  scope: Buffer.alloc(UUID_BYTES),
  index: Buffer.alloc(UUID_BYTES),
  revision: 0,
  key_version: 0,
  sealed_meta: Buffer.concat([
    Buffer.of(FORMAT_VERSION, CIPHERS['aes-256-gcm']),
    Buffer.alloc(USUAL_META_BYTES),
  ]),
};

/** The values of a credential by field id; records of other kinds have none. */
export type CredentialValues = ReadonlyMap<string, Secret>;

export const NO_VALUES: CredentialValues = new Map();

/** The unencrypted columns of a row, without the key version. */
export type RowIdentity = Pick<StoredMeta, 'kind' | 'id' | 'scope' | 'index' | 'revision'>;

export interface SealedRecord {
  readonly organization: Buffer;
  readonly row: StoredMeta;
  readonly sealed_values: Buffer;
}

/** Seals and opens records of every kind. */
export class RecordCodec {
  readonly #sodium: LoadedSodium;
  readonly #random: RandomBytes;
  readonly #cipher: Cipher;

  constructor(sodium: LoadedSodium, random: RandomBytes, cipher: Cipher) {
    this.#sodium = sodium;
    this.#random = random;
    this.#cipher = cipher;
  }

  /** A UUID version 7 (RFC 9562, section 5.7): ids in the order of time keep the store's index compact. */
  newId(): string {
    return idText(this.newIdBytes());
  }

  /** As `newId`: the 16 bytes. */
  newIdBytes(): Buffer {
    return uuidv7({ random: this.#random(UUID_BYTES) }, Buffer.allocUnsafe(UUID_BYTES));
  }

  /** A UUID version 4, for records that people recognize by the first digits. */
  newRandomId(): string {
    return uuidv4({ random: this.#random(UUID_BYTES) });
  }

  seal(
    keyring: OrganizationKeyring,
    identity: RowIdentity,
    meta: object,
    values: CredentialValues,
  ): SealedRecord {
    const { kind, id, scope, index, revision } = identity;
    const { key_version } = keyring;
    const bound = { kind, id, scope, index, revision, key_version };
    const revealed = JSON.stringify([...values].map(([field, value]) => [field, value.reveal()]));
    const sealed_meta = this.#sealPart(keyring.keys.meta, context(bound, 'meta'), JSON.stringify(meta));
    const sealed_values = this.#sealPart(keyring.keys.values, context(bound, 'values'), revealed);
    const row = { kind, id, scope, index, revision, key_version, sealed_meta, derived: undefined };
    return { organization: keyring.id, row, sealed_values };
  }

  /** The decrypted metadata. Throws CORRUPT if the row was changed or moved. */
  openMeta(keyring: OrganizationKeyring, row: StoredMeta): unknown {
    return JSON.parse(
      openPart(this.#sodium, keyring.keysOfRecord(row).meta, context(row, 'meta'), row.sealed_meta),
    );
  }

  /**
   * As `openMeta`, but `undefined` for a missing row and one that does not decrypt, such as another organization's.
   * Decrypts once in every case, so that the cost is the same (anti-enumeration). Throws UNAVAILABLE (reason
   * `newer_format`) for a row of a newer version, which must not be taken for a damaged one and overwritten.
   */
  tryOpenMeta(keyring: OrganizationKeyring, row: StoredMeta | undefined): unknown {
    try {
      return this.openMeta(keyring, row ?? dummyRow());
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  /** Throws CORRUPT if the row was changed or moved. */
  openValues(keyring: OrganizationKeyring, row: StoredRecord): Map<string, Secret> {
    const sealed_as = context(row, 'values');
    const pairs: [string, string][] = JSON.parse(
      openPart(this.#sodium, keyring.keysOfRecord(row).values, sealed_as, row.sealed_values),
    );
    return new Map(pairs.map(([field, value]) => [field, new Secret(value)]));
  }

  /** The record as it is, sealed with the newest data key. Throws CORRUPT if it was changed or moved. */
  reseal(
    keyring: OrganizationKeyring,
    record: StoredRecord,
    old_keys = keyring.keysOfRecord(record),
  ): SealedRecord {
    const { kind, id, scope, index, revision } = record;
    const { key_version } = keyring;
    const bound = { kind, id, scope, index, revision, key_version };
    const resealPart = (part: 'meta' | 'values', sealed: Buffer) =>
      this.#sealPart(
        keyring.keys[part],
        context(bound, part),
        openPart(this.#sodium, old_keys[part], context(record, part), sealed),
      );
    const sealed_meta = resealPart('meta', record.sealed_meta);
    const sealed_values = resealPart('values', record.sealed_values);
    return { organization: keyring.id, row: { ...bound, sealed_meta, derived: undefined }, sealed_values };
  }

  #sealPart(purpose_key: Buffer, sealed_as: SealContext, plaintext: string): Buffer {
    return sealPart(this.#sodium, this.#random, this.#cipher, purpose_key, sealed_as, plaintext);
  }
}

/** Field by field: to spread an object and then add to it costs V8 a microsecond for each field that is added. */
function context(row: Omit<SealContext, 'part'>, part: SealContext['part']): SealContext {
  const { kind, id, scope, index, revision, key_version } = row;
  return { kind, id, scope, index, revision, key_version, part };
}

/** A row that a transaction has read with its values. */
export function loadedRecord(loaded: LoadedRow | undefined): StoredRecord {
  if (loaded?.sealed_values === undefined) throw new Error('the values were not loaded');
  return { ...loaded.row, sealed_values: loaded.sealed_values };
}

/** The 16 bytes of a UUID; `undefined` for anything else. */
export function uuidBytes(id: string): Buffer | undefined {
  return UUID_PATTERN.test(id) ? Buffer.from(id.replaceAll('-', ''), 'hex') : undefined;
}

/** As `uuidBytes`, but throws NOT_FOUND. */
export function idBytes(id: string): Buffer {
  const bytes = uuidBytes(id);
  if (bytes === undefined) throw new VaultError('NOT_FOUND', 'No such credential.');
  return bytes;
}

export function idText(id: Buffer): string {
  return uuidText(id.toString('hex'));
}

/** Adds the hyphens to a UUID of 32 hexadecimal digits. */
export function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
