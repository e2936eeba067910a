/** Generates keys-v1.json: derived keys, wrapped keys, keys from passphrases, and values sealed to a vault. */
import { blindIndex } from '../../src/crypto/blind_index.ts';
import {
  deriveOrganizationKeys,
  deriveVaultKeys,
  rootKeyId,
  wrapKey,
} from '../../src/crypto/key_hierarchy.ts';
import { keyFromPassphrase } from '../../src/crypto/passphrase.ts';
import type { RandomBytes } from '../../src/crypto/random.ts';
import { boxKeyPair } from '../../src/crypto/sealed_box.ts';
import { type LoadedSodium, loadSodium } from '../../src/crypto/sodium.ts';
import { deterministicRandom } from './deterministic_random.ts';
import { AES_256_GCM, readerRecordKey, XCHACHA20_POLY1305 } from './independent_reader.ts';
import type { ExpectedError, KeyVectors } from './vector_files.ts';

const DAMAGED: ExpectedError = { code: 'CORRUPT', reason: 'record_damaged' };
const UNREADABLE: ExpectedError = { code: 'INVALID_INPUT', reason: 'sealed_value_unreadable' };

export async function makeKeyVectors(): Promise<KeyVectors> {
  const sodium = await loadSodium();
  const random = deterministicRandom('keys-v1');
  const root_key = random(32);
  return {
    format:
      'Keys and what is done with them, format version 1. Byte strings are hex unless they are said to be text.',
    root_key_ids: [{ root_key: root_key.toString('hex'), root_key_id: rootKeyId(root_key).toString('hex') }],
    purpose_keys: purposeKeys(random),
    record_keys: recordKeys(random),
    blind_indexes: blindIndexes(random),
    ...wrappedKeys(sodium, random, root_key),
    passphrases: await passphrases(random),
    ...sealedBoxes(sodium, random),
  };
}

function purposeKeys(random: RandomBytes): KeyVectors['purpose_keys'] {
  const data_key = random(32);
  const vault_key = random(32);
  const organization = deriveOrganizationKeys(data_key);
  const vault = deriveVaultKeys(vault_key);
  const made: ['data key' | 'vault key', string, Buffer][] = [
    ['data key', 'meta', organization.meta],
    ['data key', 'values', organization.values],
    ['data key', 'index', organization.index],
    ['data key', 'audit', organization.audit],
    ['data key', 'audit link', organization.audit_link],
    ['data key', 'virtual key', organization.virtual_key],
    ['data key', 'sealed box', organization.box_seed],
    ['vault key', 'organization index', vault.index],
  ];
  return made.map(([from, purpose, purpose_key]) => {
    const key = from === 'data key' ? data_key : vault_key;
    return { from, key: key.toString('hex'), purpose, purpose_key: purpose_key.toString('hex') };
  });
}

/** The product does not export these: they come from the second implementation, and a test encrypts with both. */
function recordKeys(random: RandomBytes): KeyVectors['record_keys'] {
  const purpose_key = random(32);
  const id = random(16);
  const cases: [number, string][] = [
    [AES_256_GCM, 'credential'],
    [XCHACHA20_POLY1305, 'credential'],
    [AES_256_GCM, 'audit'],
  ];
  return cases.map(([cipher_byte, kind]) => ({
    purpose_key: purpose_key.toString('hex'),
    cipher_byte,
    id: id.toString('hex'),
    kind,
    record_key: readerRecordKey(purpose_key, cipher_byte, id, kind).toString('hex'),
  }));
}

function blindIndexes(random: RandomBytes): KeyVectors['blind_indexes'] {
  const index_key = random(32);
  const cases: [string, string[]][] = [
    ['credential', ['me', 'default', 'linear', '']],
    ['credential', ['me', 'default', 'linear', 'work']],
    ['credential', ['ab', 'c']],
    ['credential', ['a', 'bc']],
    ['credential', ['1:a', '']],
    ['credential', []],
    ['credentials of a stack', ['me', 'default']],
    ['credentials of a stack', ['me', 'é 🔑']],
    ['organization', ['local']],
  ];
  return cases.map(([label, parts]) => ({
    index_key: index_key.toString('hex'),
    label,
    parts,
    blind_index: blindIndex(index_key, label, parts).toString('hex'),
  }));
}

function wrappedKeys(sodium: LoadedSodium, random: RandomBytes, root_key: Buffer) {
  const wrap = (owner: Buffer, version: number) => {
    const key = random(32);
    const nonce = random(24);
    const version_bytes = Buffer.alloc(4);
    version_bytes.writeUInt32BE(version);
    const wrapped = wrapKey(sodium, () => nonce, root_key, Buffer.concat([owner, version_bytes]), key);
    return { root_key, owner, version, nonce, key, wrapped };
  };
  const owner = random(16);
  const vault_key = wrap(Buffer.alloc(16), 1);
  const data_key = wrap(owner, 1);
  const printed = (one: { root_key: Buffer; owner: Buffer; version: number; wrapped: Buffer }) => ({
    root_key: one.root_key.toString('hex'),
    owner: one.owner.toString('hex'),
    version: one.version,
    wrapped: one.wrapped.toString('hex'),
  });
  const { wrapped } = data_key;
  const failing: [string, Partial<typeof data_key>][] = [
    ['another root key', { root_key: random(32) }],
    ['another owner', { owner: random(16) }],
    ['the key of another owner', { wrapped: vault_key.wrapped }],
    ['another version', { version: 2 }],
    ['version byte 0', { wrapped: Buffer.concat([Buffer.of(0), wrapped.subarray(1)]) }],
    ['version byte 2', { wrapped: Buffer.concat([Buffer.of(2), wrapped.subarray(1)]) }],
    ['a bit of the nonce flipped', { wrapped: flipped(wrapped, 1) }],
    ['a bit of the key flipped', { wrapped: flipped(wrapped, 30) }],
    ['a bit of the tag flipped', { wrapped: flipped(wrapped, wrapped.length - 1) }],
    ['the last byte missing', { wrapped: wrapped.subarray(0, -1) }],
    ['a byte more', { wrapped: Buffer.concat([wrapped, Buffer.of(0)]) }],
    ['nothing but the version', { wrapped: wrapped.subarray(0, 1) }],
    ['nothing at all', { wrapped: Buffer.alloc(0) }],
  ];
  return {
    wrapped_keys: [vault_key, data_key].map((one) => ({
      ...printed(one),
      nonce: one.nonce.toString('hex'),
      key: one.key.toString('hex'),
    })),
    failing_wrapped_keys: failing.map(([name, change]) => ({
      name,
      ...printed({ ...data_key, ...change }),
      error: DAMAGED,
    })),
  };
}

/** Two spellings of one passphrase (a ligature, and a letter with its accent apart) give one key. */
async function passphrases(random: RandomBytes): Promise<KeyVectors['passphrases']> {
  const salt = random(16);
  const made: { passphrase: string; salt: string; key: string }[] = [];
  for (const passphrase of ['five café keys', '\ufb01ve cafe\u0301 keys']) {
    const key = await keyFromPassphrase(passphrase, salt);
    made.push({ passphrase, salt: salt.toString('hex'), key: key.toString('hex') });
  }
  return made;
}

/** Of format 1. */
const SEALED_PREFIX = 'sealed:';

function sealedBoxes(sodium: LoadedSodium, random: RandomBytes) {
  const seed = random(32);
  const pair = boxKeyPair(sodium, seed);
  const seal = (bytes: Buffer) =>
    SEALED_PREFIX + sealedBox(sodium, random(32), pair.public_key, bytes).toString('base64');
  const made = ['lin_api_abc123def456789', 'é 🔑\n', ''].map((plaintext) => ({
    seed: seed.toString('hex'),
    public_key: pair.public_key.toString('hex'),
    private_key: pair.private_key.toString('hex'),
    plaintext,
    sealed: seal(Buffer.from(plaintext)),
  }));
  const whole = seal(Buffer.from('value'));
  const bytes = Buffer.from(whole.slice(SEALED_PREFIX.length), 'base64');
  const text = (sealed: Buffer) => SEALED_PREFIX + sealed.toString('base64');
  const failing: [string, string, Buffer?][] = [
    ['sealed to another vault', whole, random(32)],
    ['a bit of the ephemeral key flipped', text(flipped(bytes, 0))],
    ['a bit of the tag flipped', text(flipped(bytes, 32))],
    ['a bit of the value flipped', text(flipped(bytes, bytes.length - 1))],
    ['the last byte missing', text(bytes.subarray(0, -1))],
    ['a byte more', text(Buffer.concat([bytes, Buffer.of(0)]))],
    ['the prefix alone', SEALED_PREFIX],
    ['not base64', `${SEALED_PREFIX}*${whole.slice(SEALED_PREFIX.length + 1)}`],
    ['base64 without its padding', whole.replace(/=+$/, '')],
    ['base64 with a line break', `${whole}\n`],
    ['not UTF-8 inside', seal(Buffer.of(0xff, 0xfe))],
  ];
  return {
    sealed_boxes: made,
    failing_sealed_boxes: failing.map(([name, sealed, other_seed]) => ({
      name,
      seed: (other_seed ?? seed).toString('hex'),
      sealed,
      error: UNREADABLE,
    })),
  };
}

/** Same output as crypto_box_seal, with the ephemeral key pair from a seed instead of random bytes. */
export function sealedBox(sodium: LoadedSodium, seed: Buffer, public_key: Buffer, bytes: Buffer): Buffer {
  const ephemeral = sodium.crypto_box_seed_keypair(seed);
  const both = Buffer.concat([ephemeral.publicKey, public_key]);
  const nonce = sodium.crypto_generichash(sodium.crypto_box_NONCEBYTES, both, null);
  return Buffer.concat([
    ephemeral.publicKey,
    sodium.crypto_box_easy(bytes, nonce, public_key, ephemeral.privateKey),
  ]);
}

export function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}
