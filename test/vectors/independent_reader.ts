/**
 * A second implementation of the formats, written from their description with node:crypto only. It shares no code with
 * the product, so that one mistake cannot hide in both. It must never import from src.
 */
import crypto from 'node:crypto';

export interface ReaderContext {
  readonly kind: string;
  readonly id: Buffer;
  readonly scope: Buffer;
  readonly index: Buffer;
  readonly revision: number;
  readonly part: 'meta' | 'values' | 'audit';
  readonly key_version: number;
}

export const AES_256_GCM = 1;
export const XCHACHA20_POLY1305 = 2;

const VERSION = 1;
const TAG_BYTES = 16;
const PARTS = ['meta', 'values', 'audit'] as const;

/** Decrypts a sealed part and removes the padding. Throws an Error if anything is invalid. */
export function readSealedPart(purpose_key: Buffer, context: ReaderContext, sealed: Buffer): string {
  const padded = openBytes(purpose_key, context, sealed);
  if (padded.length < 4) throw new Error('no room for a length');
  const length = padded.readUInt32BE(0);
  if (readerPaddedSize(length) !== padded.length) throw new Error('not the size for this length');
  if (!padded.subarray(4 + length).equals(Buffer.alloc(padded.length - 4 - length)))
    throw new Error('not zeros');
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(padded.subarray(4, 4 + length));
}

/** Encrypts bytes, whose padding may be invalid. */
export function sealBytes(
  purpose_key: Buffer,
  context: ReaderContext,
  cipher: number,
  nonce: Buffer,
  padded: Buffer,
): Buffer {
  const key = readerRecordKey(purpose_key, cipher, context.id, context.kind);
  const tag = { authTagLength: TAG_BYTES };
  const sealing =
    cipher === AES_256_GCM
      ? crypto.createCipheriv('aes-256-gcm', key, nonce, tag)
      : crypto.createCipheriv('chacha20-poly1305', innerKey(key, nonce), innerNonce(nonce), tag);
  sealing.setAAD(boundData(cipher, context), { plaintextLength: padded.length });
  const ciphertext = Buffer.concat([sealing.update(padded), sealing.final()]);
  return Buffer.concat([Buffer.of(VERSION, cipher), nonce, ciphertext, sealing.getAuthTag()]);
}

function openBytes(purpose_key: Buffer, context: ReaderContext, sealed: Buffer): Buffer {
  const cipher = sealed[1];
  if (sealed[0] !== VERSION) throw new Error('another version');
  if (cipher !== AES_256_GCM && cipher !== XCHACHA20_POLY1305) throw new Error('unknown cipher');
  const nonce_bytes = cipher === AES_256_GCM ? 12 : 24;
  if (sealed.length < 2 + nonce_bytes + TAG_BYTES) throw new Error('too short');
  const key = readerRecordKey(purpose_key, cipher, context.id, context.kind);
  return openAead(cipher, key, sealed.subarray(2), boundData(cipher, context));
}

/** `box`: nonce, ciphertext, tag. */
function openAead(cipher: number, key: Buffer, box: Buffer, data: Buffer): Buffer {
  const nonce_bytes = cipher === AES_256_GCM ? 12 : 24;
  const nonce = box.subarray(0, nonce_bytes);
  const tag = { authTagLength: TAG_BYTES };
  const decipher =
    cipher === AES_256_GCM
      ? crypto.createDecipheriv('aes-256-gcm', key, nonce, tag)
      : crypto.createDecipheriv('chacha20-poly1305', innerKey(key, nonce), innerNonce(nonce), tag);
  const ciphertext = box.subarray(nonce_bytes, box.length - TAG_BYTES);
  decipher.setAAD(data, { plaintextLength: ciphertext.length });
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}

/** XChaCha20-Poly1305 is ChaCha20-Poly1305 under a key that HChaCha20 makes of the first 16 bytes of the nonce. */
const innerKey = (key: Buffer, nonce: Buffer) => hchacha20(key, nonce.subarray(0, 16));
const innerNonce = (nonce: Buffer) => Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);

/** draft-irtf-cfrg-xchacha-03, section 2.2. */
export function hchacha20(key: Buffer, nonce: Buffer): Buffer {
  const input = Buffer.concat([Buffer.from('expand 32-byte k'), key, nonce]);
  const state = Uint32Array.from({ length: 16 }, (_, at) => input.readUInt32LE(4 * at));
  const at = (index: number) => state[index] ?? 0;
  const rotateLeft = (value: number, bits: number) => (value << bits) | (value >>> (32 - bits));
  const mix = (to: number, add: number, xored: number, bits: number) => {
    state[to] = at(to) + at(add);
    state[xored] = rotateLeft(at(xored) ^ at(to), bits);
  };
  const quarter = (a: number, b: number, c: number, d: number) => {
    mix(a, b, d, 16);
    mix(c, d, b, 12);
    mix(a, b, d, 8);
    mix(c, d, b, 7);
  };
  for (let double_round = 0; double_round < 10; double_round++) {
    for (let column = 0; column < 4; column++) quarter(column, 4 + column, 8 + column, 12 + column);
    for (let row = 0; row < 4; row++)
      quarter(row, 4 + ((row + 1) % 4), 8 + ((row + 2) % 4), 12 + ((row + 3) % 4));
  }
  const output = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, position) => {
    output.writeUInt32LE(at(word), 4 * position);
  });
  return output;
}

export function readerRecordKey(purpose_key: Buffer, cipher: number, id: Buffer, kind: string): Buffer {
  const message = [
    Buffer.from('00000001', 'hex'),
    purpose_key,
    Buffer.from('keyhold record key\0'),
    Buffer.of(cipher),
    id,
    Buffer.from(kind, 'ascii'),
  ];
  return crypto.createHash('sha256').update(Buffer.concat(message)).digest();
}

function boundData(cipher: number, context: ReaderContext): Buffer {
  const numbers = Buffer.alloc(10);
  numbers.writeUInt32BE(context.key_version, 0);
  numbers.writeUIntBE(context.revision, 4, 6);
  return Buffer.concat([
    Buffer.of(VERSION, cipher, 1 + PARTS.indexOf(context.part)),
    numbers,
    context.id,
    context.scope,
    context.index,
    Buffer.from(context.kind, 'ascii'),
  ]);
}

/** 64, 96, 128, 192, 256, 384, ...: the first that takes the text and the four bytes of its length. */
export function readerPaddedSize(plaintext_bytes: number): number {
  for (let size = 64; ; size *= 2) {
    if (plaintext_bytes + 4 <= size) return size;
    if (plaintext_bytes + 4 <= size * 1.5) return size * 1.5;
  }
}

/** `purpose`: meta, values, index, audit, audit link, virtual key, sealed box; of the vault key: organization index. */
export function readerPurposeKey(key: Buffer, purpose: string): Buffer {
  return Buffer.from(crypto.hkdfSync('sha256', key, '', `keyhold ${purpose}`, 32));
}

export function readerRootKeyId(root_key: Buffer): Buffer {
  return crypto.createHmac('sha256', root_key).update('keyhold root key id').digest().subarray(0, 16);
}

export function readerBlindIndex(index_key: Buffer, label: string, parts: readonly string[]): Buffer {
  const message = `${label}\0${parts.map((part) => `${part.length}:${part}`).join('')}`;
  return crypto.createHmac('sha256', index_key).update(message, 'utf8').digest().subarray(0, 16);
}

/** Format: version 1, nonce of 24 bytes, ciphertext, tag. Throws an Error if anything is invalid. */
export function readerUnwrapKey(root_key: Buffer, owner: Buffer, version: number, wrapped: Buffer): Buffer {
  if (wrapped[0] !== 1) throw new Error('another version');
  const version_bytes = Buffer.alloc(4);
  version_bytes.writeUInt32BE(version);
  const data = Buffer.concat([Buffer.from('keyhold wrapped key\0'), owner, version_bytes]);
  return openAead(XCHACHA20_POLY1305, root_key, wrapped.subarray(1), data);
}

/** 64 bytes: the first half is the link, the second the seal of the end. */
export function readerLink(link_key: Buffer, previous: Buffer, position: number, sealed: Buffer) {
  const message = Buffer.concat([Buffer.from(`${position}\0`, 'ascii'), previous, sealed]);
  const both = crypto.createHmac('sha512', link_key).update(message).digest();
  return { link: both.subarray(0, 32), end_seal: both.subarray(32) };
}
