/**
 * Encrypts and decrypts the parts of a record. The plaintext is padded, the key is derived for the record, the nonce is
 * random, and the associated data binds part, revision and record: a part that was moved, or combined with another
 * revision, does not decrypt.
 *
 * Format of a sealed part: format version (1 byte), cipher (1 byte), nonce (12 or 24 bytes), ciphertext, tag (16 bytes).
 */
import { createCipheriv, createDecipheriv, hash } from 'node:crypto';
import { VaultError } from '../contract/errors.ts';
import { pad, unpad } from './padding.ts';
import type { RandomBytes } from './random.ts';
import type { LoadedSodium } from './sodium.ts';

export const FORMAT_VERSION = 1;
/** The cipher byte. AES-256-GCM: NIST SP 800-38D. XChaCha20-Poly1305: draft-irtf-cfrg-xchacha-03. */
export const CIPHERS = { 'aes-256-gcm': 1, 'xchacha20-poly1305': 2 } as const;
export type Cipher = keyof typeof CIPHERS;

const HEADER_BYTES = 2;
const HEADERS: Record<Cipher, Buffer> = {
  'aes-256-gcm': Buffer.of(FORMAT_VERSION, CIPHERS['aes-256-gcm']),
  'xchacha20-poly1305': Buffer.of(FORMAT_VERSION, CIPHERS['xchacha20-poly1305']),
};
const GCM_NONCE_BYTES = 12;
const XCHACHA_NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** Ids, scopes and indexes all have this length. */
const CONTEXT_HASH_BYTES = 16;
const COUNTER_BYTES = 4;
const PURPOSE_KEY_BYTES = 32;
/** The counter 1, room for the purpose key, and the label. */
const KEY_INFO_START = Buffer.concat([
  Buffer.of(0, 0, 0, 1),
  Buffer.alloc(PURPOSE_KEY_BYTES),
  Buffer.from('keyhold record key\0'),
]);
const KEY_INFO_BYTES = KEY_INFO_START.length + 1 + CONTEXT_HASH_BYTES;
const PART_BYTE = { meta: 1, values: 2, audit: 3 } as const;

/** The associated data of a sealed part. */
export interface SealContext {
  readonly kind: string;
  /** 16 bytes. */
  readonly id: Buffer;
  /** 16 bytes. */
  readonly scope: Buffer;
  /** 16 bytes: the blind index of the row. */
  readonly index: Buffer;
  readonly revision: number;
  readonly part: keyof typeof PART_BYTE;
  readonly key_version: number;
}

/** Encrypts `plaintext` with the key of the record in `context`, derived from `purpose_key` (32 bytes). */
export function sealPart(
  sodium: LoadedSodium,
  random: RandomBytes,
  cipher: Cipher,
  purpose_key: Buffer,
  context: SealContext,
  plaintext: string,
): Buffer {
  const code = CIPHERS[cipher];
  const key = recordKey(purpose_key, code, context);
  const associated_data = associatedData(code, context);
  const padded = pad(plaintext);
  try {
    if (cipher === 'aes-256-gcm') {
      const nonce = random(GCM_NONCE_BYTES);
      const gcm = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated_data);
      const ciphertext = gcm.update(padded);
      gcm.final();
      return Buffer.concat([HEADERS[cipher], nonce, ciphertext, gcm.getAuthTag()]);
    }
    const nonce = random(XCHACHA_NONCE_BYTES);
    const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
      padded,
      associated_data,
      null,
      nonce,
      key,
    );
    return Buffer.concat([HEADERS[cipher], nonce, sealed]);
  } finally {
    padded.fill(0);
  }
}

/**
 * Decrypts a sealed part of either cipher. Throws CORRUPT if the part or `context` differs from the encryption, and
 * UNAVAILABLE (reason `newer_format`) for an unknown version.
 */
export function openPart(
  sodium: LoadedSodium,
  purpose_key: Buffer,
  context: SealContext,
  sealed: Buffer,
): string {
  if (sealed.length < HEADER_BYTES) throw corruptError();
  const version = sealed[0] ?? 0;
  const code = sealed[1] ?? 0;
  if (version > FORMAT_VERSION) {
    throw new VaultError(
      'UNAVAILABLE',
      'A record was written by a newer Keyhold. Upgrade Keyhold to read it.',
      {
        reason: 'newer_format',
      },
    );
  }
  if (
    version !== FORMAT_VERSION ||
    (code !== CIPHERS['aes-256-gcm'] && code !== CIPHERS['xchacha20-poly1305'])
  ) {
    throw corruptError();
  }
  if (!isEncodable(context)) throw corruptError();
  const key = recordKey(purpose_key, code, context);
  const associated_data = associatedData(code, context);
  const padded =
    code === CIPHERS['aes-256-gcm']
      ? openGcm(key, associated_data, sealed)
      : openXchacha(sodium, key, associated_data, sealed);
  try {
    return unpad(padded);
  } finally {
    padded.fill(0);
  }
}

function openGcm(key: Buffer, associated_data: Buffer, sealed: Buffer): Buffer {
  const body = HEADER_BYTES + GCM_NONCE_BYTES;
  if (sealed.length < body + TAG_BYTES) throw corruptError();
  const gcm = createDecipheriv('aes-256-gcm', key, sealed.subarray(HEADER_BYTES, body), {
    authTagLength: TAG_BYTES,
  });
  gcm.setAAD(associated_data).setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plaintext = gcm.update(sealed.subarray(body, sealed.length - TAG_BYTES));
  try {
    gcm.final();
  } catch {
    plaintext.fill(0);
    throw corruptError();
  }
  return plaintext;
}

function openXchacha(sodium: LoadedSodium, key: Buffer, associated_data: Buffer, sealed: Buffer): Buffer {
  const body = HEADER_BYTES + XCHACHA_NONCE_BYTES;
  if (sealed.length < body + TAG_BYTES) throw corruptError();
  try {
    const nonce = sealed.subarray(HEADER_BYTES, body);
    return Buffer.from(
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        null,
        sealed.subarray(body),
        associated_data,
        nonce,
        key,
      ),
    );
  } catch {
    throw corruptError();
  }
}

/** Returns whether the format can encode the context, which comes from a row and may have been tampered with. */
function isEncodable({ id, scope, index, kind, revision, key_version }: SealContext): boolean {
  return (
    id.length === CONTEXT_HASH_BYTES &&
    scope.length === CONTEXT_HASH_BYTES &&
    index.length === CONTEXT_HASH_BYTES &&
    !/[^ -~]/.test(kind) &&
    isBelow(revision, 2 ** 48) &&
    isBelow(key_version, 2 ** 32)
  );
}

function isBelow(number: number, limit: number): boolean {
  return Number.isInteger(number) && number >= 0 && number < limit;
}

interface LastKey {
  readonly code: number;
  readonly id: Buffer;
  readonly kind: string;
  readonly key: Buffer;
}
/** The last derived key of each purpose: audit entries share one key, and callers use the same credential again. */
const last_keys = new WeakMap<Buffer, LastKey>();

/**
 * The key for one record and one cipher: one-step key derivation with SHA-256 (NIST SP 800-56C rev. 2, section 4.1,
 * option 1) over the purpose key and, as fixed info, label, cipher, id and kind.
 */
function recordKey(purpose_key: Buffer, code: number, { id, kind }: SealContext): Buffer {
  const last = last_keys.get(purpose_key);
  if (last !== undefined && last.code === code && last.kind === kind && last.id.equals(id)) return last.key;
  const input = Buffer.allocUnsafe(KEY_INFO_BYTES + kind.length);
  input.set(KEY_INFO_START, 0);
  input.set(purpose_key, COUNTER_BYTES);
  input[KEY_INFO_START.length] = code;
  input.set(id, KEY_INFO_START.length + 1);
  input.write(kind, KEY_INFO_BYTES, 'latin1');
  const key = hash('sha256', input, 'buffer');
  input.fill(0);
  last_keys.set(purpose_key, { code, id, kind, key });
  return key;
}

/** Unambiguous: fields of fixed width first, the one of variable length last. */
function associatedData(code: number, context: SealContext): Buffer {
  const data = Buffer.allocUnsafe(13 + 3 * CONTEXT_HASH_BYTES + context.kind.length);
  data[0] = FORMAT_VERSION;
  data[1] = code;
  data[2] = PART_BYTE[context.part];
  data.writeUInt32BE(context.key_version, 3);
  data.writeUIntBE(context.revision, 7, 6);
  data.set(context.id, 13);
  data.set(context.scope, 13 + CONTEXT_HASH_BYTES);
  data.set(context.index, 13 + 2 * CONTEXT_HASH_BYTES);
  data.write(context.kind, 13 + 3 * CONTEXT_HASH_BYTES, 'latin1');
  return data;
}

function corruptError(): VaultError {
  return new VaultError(
    'CORRUPT',
    'A sealed record does not decrypt: it was changed, moved or rolled back. Run `keyhold audit verify`, then restore a backup.',
    { reason: 'record_damaged' },
  );
}
