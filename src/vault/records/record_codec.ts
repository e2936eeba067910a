/**
 * A record as it is written: JSON sealed into its meta, values sealed apart, both bound to the row. What the JSON holds
 * is the business of each kind of record.
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
import type { StoredMeta, StoredRecord } from '../../store/store.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

const UUID_BYTES = 16;
const USUAL_META_BYTES = 512;

let dummy_counter = 0;

/** Has the form of a row and opens with no key. Each is another's, so that no key that was derived before fits. */
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

/** What stands in the clear in a row, but for the version of the key. */
export type RowIdentity = Pick<StoredMeta, 'kind' | 'id' | 'scope' | 'index' | 'revision'>;

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

  /** A UUID version 4, where already the first digits are to tell one record from another. */
  newRandomId(): string {
    return uuidv4({ random: this.#random(UUID_BYTES) });
  }

  seal(
    keyring: OrganizationKeyring,
    place: RowIdentity,
    meta: object,
    values: CredentialValues,
  ): StoredRecord {
    const { kind, id, scope, index, revision } = place;
    const { key_version } = keyring;
    const row = { kind, id, scope, index, revision, key_version };
    const revealed = JSON.stringify([...values].map(([field, value]) => [field, value.reveal()]));
    return {
      kind,
      id,
      scope,
      index,
      revision,
      key_version,
      sealed_meta: this.#sealPart(keyring.keys.meta, context(row, 'meta'), JSON.stringify(meta)),
      sealed_values: this.#sealPart(keyring.keys.values, context(row, 'values'), revealed),
    };
  }

  /** The JSON of the meta. Throws CORRUPT when the row is not what was sealed. */
  openMeta(keyring: OrganizationKeyring, row: StoredMeta): unknown {
    return JSON.parse(openPart(this.#sodium, keyring.keys.meta, context(row, 'meta'), row.sealed_meta));
  }

  /**
   * As `openMeta`, but `undefined` for a row that is not there or does not open, such as another organization's. One
   * opening is tried in every case, so that the work does not tell which it was.
   */
  tryOpenMeta(keyring: OrganizationKeyring, row: StoredMeta | undefined): unknown {
    try {
      return this.openMeta(keyring, row ?? dummyRow());
    } catch {
      return undefined;
    }
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openValues(keyring: OrganizationKeyring, row: StoredRecord): Map<string, Secret> {
    const sealed_as = context(row, 'values');
    const pairs: [string, string][] = JSON.parse(
      openPart(this.#sodium, keyring.keys.values, sealed_as, row.sealed_values),
    );
    return new Map(pairs.map(([field, value]) => [field, new Secret(value)]));
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

/** The 16 bytes of a UUID; `undefined` for anything else, which then is nobody's id. */
export function uuidBytes(id: string): Buffer | undefined {
  return UUID_PATTERN.test(id) ? Buffer.from(id.replaceAll('-', ''), 'hex') : undefined;
}

/** As `uuidBytes`, but throws NOT_FOUND: there is no credential with such an id. */
export function idBytes(id: string): Buffer {
  const bytes = uuidBytes(id);
  if (bytes === undefined) throw new VaultError('NOT_FOUND', 'No such credential.');
  return bytes;
}

export function idText(id: Buffer): string {
  return uuidText(id.toString('hex'));
}

/** A UUID of 32 hexadecimal digits as it is written. */
export function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
