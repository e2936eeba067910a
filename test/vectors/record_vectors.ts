/** Generates record-v1.json: sealed parts, and one valid part of each cipher with one change at a time. */
import { paddedSize } from '../../src/crypto/padding.ts';
import type { RandomBytes } from '../../src/crypto/random.ts';
import { type SealContext, sealPart } from '../../src/crypto/record_cipher.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { deterministicRandom } from './deterministic_random.ts';
import { AES_256_GCM, sealBytes, XCHACHA20_POLY1305 } from './independent_reader.ts';
import type {
  CipherName,
  ExpectedError,
  FailingVector,
  RecordVectors,
  SealingVector,
} from './vector_files.ts';

const DAMAGED: ExpectedError = { code: 'CORRUPT', reason: 'record_damaged' };
const NEWER: ExpectedError = { code: 'UNAVAILABLE', reason: 'newer_format' };
const CIPHERS: readonly (readonly [CipherName, number, nonce_bytes: number])[] = [
  ['aes-256-gcm', AES_256_GCM, 12],
  ['xchacha20-poly1305', XCHACHA20_POLY1305, 24],
];
/** Just below, at and above what fits into one size. */
const SIZES_BYTES = [0, 1, 59, 60, 61, 92, 93, 124, 125, 188, 252, 253, 380, 65_532, 65_536];

/** Name, text, and how often it is repeated. */
const PLAINTEXTS: readonly (readonly [name: string, text: string, repeat: number])[] = [
  ['empty', '', 1],
  ['one byte', 'k', 1],
  ['fills the smallest size', 'k', 60],
  ['one byte more than the smallest size', 'k', 61],
  ['fills the second size', 'k', 92],
  ['one byte more than the second size', 'k', 93],
  ['emoji and combining characters', '🔐 e\u0301 \u{1f468}\u200d\u{1f469}\u200d\u{1f467} 日本語', 1],
  ['zero bytes at the end', 'value\0\0\0', 1],
  ['pairs of field and value', '[["linear_api_key","lin_api_abc123"],["note","a\\nb \\"c\\""]]', 1],
  ['64 KiB', 'k', 65_536],
];

export async function makeRecordVectors(): Promise<RecordVectors> {
  const sealing: SealingVector[] = [];
  const failing: FailingVector[] = [];
  for (const [cipher, cipher_byte, nonce_bytes] of CIPHERS) {
    const random = deterministicRandom(`record-v1 ${cipher}`);
    for (const [at, [name, text, repeat]] of PLAINTEXTS.entries()) {
      sealing.push(await sealingVector(cipher, newPart(random, at, nonce_bytes, text, repeat), name));
    }
    const base = newPart(random, 2, nonce_bytes, 'value of a field');
    sealing.push(await sealingVector(cipher, base, 'the part that the failing ones are made of'));
    failing.push(...(await failingVectors(cipher, cipher_byte, base, random)));
  }
  return {
    format:
      'A sealed part of a record, format version 1. Byte strings are hex, or base64 where the name says so; the plaintext is given as its UTF-8 bytes, to be repeated plaintext_repeat times.',
    padded_sizes: SIZES_BYTES.map((bytes) => ({ plaintext_bytes: bytes, padded_bytes: paddedSize(bytes) })),
    sealing,
    failing,
  };
}

interface Part {
  readonly purpose_key: Buffer;
  readonly context: SealContext;
  readonly nonce: Buffer;
  readonly text: string;
  readonly repeat: number;
}

function newPart(random: RandomBytes, at: number, nonce_bytes: number, text: string, repeat = 1): Part {
  const part = at % 2 === 0 ? 'values' : 'meta';
  // Includes the largest numbers that the format can encode.
  const revision = at === 0 ? 1 : at === 1 ? 2 ** 48 - 1 : 1_000 + at;
  const key_version = at === 1 ? 2 ** 32 - 1 : 1;
  const purpose_key = random(32);
  const identity = { kind: 'credential', id: random(16), scope: random(16), index: random(16) };
  return {
    purpose_key,
    context: { ...identity, revision, part, key_version },
    nonce: random(nonce_bytes),
    text,
    repeat,
  };
}

async function seal(
  cipher: CipherName,
  { nonce, purpose_key, context, text, repeat }: Part,
): Promise<Buffer> {
  return sealPart(await loadSodium(), () => nonce, cipher, purpose_key, context, text.repeat(repeat));
}

async function sealingVector(cipher: CipherName, part: Part, name: string): Promise<SealingVector> {
  return {
    name: `${cipher}: ${name}`,
    cipher,
    purpose_key: part.purpose_key.toString('hex'),
    context: printed(part.context),
    nonce: part.nonce.toString('hex'),
    plaintext: Buffer.from(part.text).toString('hex'),
    plaintext_repeat: part.repeat,
    sealed_base64: (await seal(cipher, part)).toString('base64'),
  };
}

async function failingVectors(
  cipher: CipherName,
  cipher_byte: number,
  base: Part,
  random: RandomBytes,
): Promise<FailingVector[]> {
  const { purpose_key, context, nonce } = base;
  const sealed = await seal(cipher, base);
  const vectors: FailingVector[] = [];
  const add = (
    name: string,
    bytes: Buffer,
    change: Partial<SealContext> = {},
    error = DAMAGED,
    key = purpose_key,
  ) => {
    vectors.push({
      name: `${cipher}: ${name}`,
      purpose_key: key.toString('hex'),
      context: printed({ ...context, ...change }),
      sealed_base64: bytes.toString('base64'),
      error,
    });
  };
  const flipped = (at: number, mask = 1) => withByte(sealed, at, (byte) => byte ^ mask);
  const body = 2 + nonce.length;
  const tag = sealed.length - 16;

  add(
    'version 0',
    withByte(sealed, 0, () => 0),
  );
  add(
    'version 2',
    withByte(sealed, 0, () => 2),
    {},
    NEWER,
  );
  add(
    'version 255',
    withByte(sealed, 0, () => 255),
    {},
    NEWER,
  );
  add('version 2 and nothing else that is known', Buffer.from([2, 9, 1]), {}, NEWER);
  add(
    'cipher byte 0',
    withByte(sealed, 1, () => 0),
  );
  add(
    'cipher byte 3',
    withByte(sealed, 1, () => 3),
  );
  add(
    'the cipher byte of the other cipher',
    withByte(sealed, 1, (byte) => 3 - byte),
  );

  add('a bit of the first nonce byte flipped', flipped(2));
  add('a bit of the last nonce byte flipped', flipped(body - 1, 0x80));
  add('a bit of the first ciphertext byte flipped', flipped(body));
  add('a bit of the padding flipped', flipped(tag - 1, 0x10));
  add('a bit of the first tag byte flipped', flipped(tag));
  add('a bit of the last tag byte flipped', flipped(sealed.length - 1, 0x80));

  add('another purpose key', sealed, {}, DAMAGED, random(32));
  add('another kind', sealed, { kind: 'credentiaL' });
  add('another id', sealed, { id: random(16) });
  add('another scope', sealed, { scope: random(16) });
  add('another index', sealed, { index: random(16) });
  add('scope and index exchanged', sealed, { scope: context.index, index: context.scope });
  add('an earlier revision', sealed, { revision: context.revision - 1 });
  add('a later revision', sealed, { revision: context.revision + 1 });
  add('the other part', sealed, { part: context.part === 'meta' ? 'values' : 'meta' });
  add('the part of an audit entry', sealed, { part: 'audit' });
  add('another key version', sealed, { key_version: context.key_version + 1 });
  add('a scope with a byte more', sealed, { scope: Buffer.concat([context.scope, Buffer.of(0)]) });
  add('an index with a byte more', sealed, { index: Buffer.concat([context.index, Buffer.of(0)]) });
  add('an index with a byte less', sealed, { index: context.index.subarray(0, 15) });
  add('a revision below zero', sealed, { revision: -1 });
  add('a revision of more than 48 bits', sealed, { revision: 2 ** 48 });
  add('a key version below zero', sealed, { key_version: -1 });
  add('a key version of more than 32 bits', sealed, { key_version: 2 ** 32 });

  add('nothing at all', Buffer.alloc(0));
  add('the version alone', sealed.subarray(0, 1));
  add('version and cipher alone', sealed.subarray(0, 2));
  add('cut off after the nonce', sealed.subarray(0, body));
  add('cut off inside the tag of nothing', sealed.subarray(0, body + 15));
  add('nonce and tag without a ciphertext', Buffer.concat([sealed.subarray(0, body), sealed.subarray(tag)]));
  add('the last byte missing', sealed.subarray(0, -1));
  add('a byte more', Buffer.concat([sealed, Buffer.of(0)]));

  for (const [name, padded] of wrongPaddings()) {
    add(name, sealBytes(purpose_key, context, cipher_byte, nonce, padded));
  }
  return vectors;
}

/** Encrypted with the right key, but with invalid padding, which a reader must check. */
function wrongPaddings(): [string, Buffer][] {
  const padded = (length: number, bytes: number) => {
    const made = Buffer.alloc(bytes);
    made.writeUInt32BE(length, 0);
    return made;
  };
  const not_zero = padded(5, 64);
  not_zero[63] = 1;
  return [
    ['padding: nothing at all', Buffer.alloc(0)],
    ['padding: no room for the length', Buffer.alloc(3)],
    ['padding: a length past the end', padded(61, 64)],
    ['padding: the largest length', padded(2 ** 32 - 1, 64)],
    ['padding: a size larger than it need be', padded(5, 96)],
    ['padding: a size that there is not', padded(5, 65)],
    ['padding: a byte that is not zero', not_zero],
  ];
}

function withByte(bytes: Buffer, at: number, change: (byte: number) => number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(change(changed.readUInt8(at)), at);
  return changed;
}

function printed(context: SealContext) {
  const { id, scope, index } = context;
  return { ...context, id: id.toString('hex'), scope: scope.toString('hex'), index: index.toString('hex') };
}
