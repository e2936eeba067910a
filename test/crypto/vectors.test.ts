/** Runs the vector files through the product: data encrypted by an older version must always decrypt. */
import { describe, expect, test } from 'vitest';
import { constantTimeEqual, nextLink, openEntry } from '../../src/crypto/audit_chain.ts';
import { blindIndex } from '../../src/crypto/blind_index.ts';
import {
  deriveOrganizationKeys,
  deriveVaultKeys,
  rootKeyId,
  unwrapKey,
  wrapKey,
} from '../../src/crypto/key_hierarchy.ts';
import { paddedSize } from '../../src/crypto/padding.ts';
import { keyFromPassphrase } from '../../src/crypto/passphrase.ts';
import { CIPHERS, openPart, sealPart } from '../../src/crypto/record_cipher.ts';
import { boxKeyPair } from '../../src/crypto/sealed_box.ts';
import { openFormat1, openSealedValue } from '../../src/crypto/sealed_value.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { makeVectors } from '../vectors/generate.ts';
import { base64, contextOf, hex, plaintextOf, readVectors } from '../vectors/vector_files.ts';

const sodium = await loadSodium();
const record = readVectors('record-v1.json');
const audit = readVectors('audit-v1.json');
const keys = readVectors('keys-v1.json');
const sealed = readVectors('sealed-v2.json');

describe('record-v1.json', () => {
  test.each(record.failing.map((one) => [one.name, one] as const))('rejects: %s', (_, vector) => {
    const open = () =>
      openPart(sodium, hex(vector.purpose_key), contextOf(vector.context), base64(vector.sealed_base64));
    expect(open).toThrow(expect.objectContaining({ name: 'VaultError', ...vector.error }));
  });

  test.each(record.sealing.map((one) => [one.name, one] as const))(
    'encrypts and decrypts: %s',
    (_, vector) => {
      const plaintext = plaintextOf(vector);
      const context = contextOf(vector.context);
      const sealed = sealPart(
        sodium,
        () => hex(vector.nonce),
        vector.cipher,
        hex(vector.purpose_key),
        context,
        plaintext,
      );
      expect(sealed.equals(base64(vector.sealed_base64))).toBe(true);
      expect(openPart(sodium, hex(vector.purpose_key), context, sealed) === plaintext).toBe(true);
    },
  );

  test('pads to the sizes in the file', () => {
    for (const { plaintext_bytes, padded_bytes } of record.padded_sizes) {
      expect(paddedSize(plaintext_bytes)).toBe(padded_bytes);
    }
  });

  test('has both ciphers', () => {
    expect(new Set(record.sealing.map(({ cipher }) => cipher))).toEqual(new Set(Object.keys(CIPHERS)));
  });
});

describe('audit-v1.json', () => {
  const chain = {
    ...deriveOrganizationKeys(Buffer.alloc(32)),
    audit: hex(audit.audit_key),
    audit_link: hex(audit.audit_link_key),
  };

  test.each(audit.failing_entries.map((one) => [one.name, one] as const))(
    'rejects an entry %s',
    (_, vector) => {
      const { organization, position, key_version, sealed_base64, error } = vector;
      const open = () =>
        openEntry(sodium, chain, hex(organization), position, key_version, base64(sealed_base64));
      expect(open).toThrow(expect.objectContaining(error));
    },
  );

  test.each(audit.wrong_links.map((one) => [one.name, one] as const))(
    'rejects as a link: %s',
    (_, vector) => {
      const made = nextLink(chain, hex(vector.previous_link), vector.position, base64(vector.sealed_base64));
      expect(
        constantTimeEqual(made.link, hex(vector.link)) &&
          constantTimeEqual(made.head_mac, hex(vector.end_seal)),
      ).toBe(false);
    },
  );

  test('decrypts every entry and computes the same chain', () => {
    let previous = hex(audit.first_link);
    for (const { position, plaintext, sealed_base64, link, end_seal } of audit.entries) {
      const sealed = base64(sealed_base64);
      const opened = openEntry(sodium, chain, hex(audit.organization), position, audit.key_version, sealed);
      expect(Buffer.from(opened)).toEqual(hex(plaintext));
      const made = nextLink(chain, previous, position, sealed);
      expect({ link: made.link, end_seal: made.head_mac }).toEqual({
        link: hex(link),
        end_seal: hex(end_seal),
      });
      previous = made.link;
    }
    expect(audit.entries.length).toBeGreaterThan(2);
  });
});

describe('keys-v1.json', () => {
  test.each(keys.failing_wrapped_keys.map((one) => [one.name, one] as const))(
    'rejects a wrapped key: %s',
    (_, vector) => {
      const open = () =>
        unwrapKey(sodium, hex(vector.root_key), wrapLabel(vector.owner, vector.version), hex(vector.wrapped));
      expect(open).toThrow(expect.objectContaining(vector.error));
    },
  );

  test.each(keys.failing_sealed_boxes.map((one) => [one.name, one] as const))(
    'rejects a sealed value of format 1: %s',
    (_, vector) => {
      const pair = boxKeyPair(sodium, hex(vector.seed));
      expect(openFormat1(sodium, pair, vector.sealed)).toBeUndefined();
    },
  );

  test('computes the same root key ids, purpose keys and blind indexes', () => {
    for (const { root_key, root_key_id } of keys.root_key_ids) {
      expect(rootKeyId(hex(root_key)).toString('hex')).toBe(root_key_id);
    }
    for (const { from, key, purpose, purpose_key } of keys.purpose_keys) {
      expect([purpose, derivedKey(from, hex(key), purpose)?.toString('hex')]).toEqual([purpose, purpose_key]);
    }
    for (const { index_key, label, parts, blind_index } of keys.blind_indexes) {
      expect(blindIndex(hex(index_key), label, parts).toString('hex')).toBe(blind_index);
    }
    expect(new Set(keys.blind_indexes.map((one) => one.blind_index)).size).toBe(keys.blind_indexes.length);
  });

  test('wraps and unwraps keys', () => {
    for (const { root_key, owner, version, nonce, key, wrapped } of keys.wrapped_keys) {
      const label = wrapLabel(owner, version);
      expect(wrapKey(sodium, () => hex(nonce), hex(root_key), label, hex(key)).toString('hex')).toBe(wrapped);
      expect(unwrapKey(sodium, hex(root_key), label, hex(wrapped)).toString('hex')).toBe(key);
    }
  });

  test('decrypts sealed values of format 1', () => {
    for (const { seed, public_key, private_key, plaintext, sealed: value } of keys.sealed_boxes) {
      const pair = boxKeyPair(sodium, hex(seed));
      expect(pair).toEqual({ public_key: hex(public_key), private_key: hex(private_key) });
      expect(openFormat1(sodium, pair, value)).toBe(plaintext);
    }
  });

  test('derives the same key from equivalent Unicode spellings of a passphrase', async () => {
    for (const { passphrase, salt, key } of keys.passphrases) {
      expect((await keyFromPassphrase(passphrase, hex(salt))).toString('hex')).toBe(key);
    }
    expect(new Set(keys.passphrases.map(({ key }) => key)).size).toBe(1);
    expect(new Set(keys.passphrases.map(({ passphrase }) => passphrase)).size).toBe(2);
  });
});

describe('sealed-v2.json', () => {
  const pair = boxKeyPair(sodium, hex(sealed.seed));

  test.each(sealed.failing.map((one) => [one.name, one] as const))(
    'rejects a sealed value of format 2: %s',
    (_, vector) => {
      expect(openSealedValue(sodium, pair, vector.sealed)).toBeUndefined();
    },
  );

  test('decrypts sealed values of format 2, whose content is padded with spaces to a multiple of 1024 bytes', () => {
    expect([pair.public_key.toString('base64'), pair.private_key.toString('hex')]).toEqual([
      sealed.public_key,
      sealed.private_key,
    ]);
    for (const { content, text, sealed: value } of sealed.sealed_values) {
      expect(openSealedValue(sodium, pair, value)).toEqual(content);
      expect(Buffer.byteLength(text) % 1024).toBe(0);
      expect(JSON.parse(text)).toEqual(content);
    }
  });
});

test('the generator reproduces the vector files byte by byte', async () => {
  const made = JSON.parse(JSON.stringify(await makeVectors()));
  expect(made).toEqual({
    'record-v1.json': record,
    'audit-v1.json': audit,
    'keys-v1.json': keys,
    'sealed-v2.json': sealed,
  });
});

function wrapLabel(owner: string, version: number): Buffer {
  const bytes = Buffer.alloc(20);
  hex(owner).copy(bytes);
  bytes.writeUInt32BE(version, 16);
  return bytes;
}

function derivedKey(from: string, key: Buffer, purpose: string): Buffer | undefined {
  const derived: Record<string, Buffer> =
    from === 'vault key'
      ? { 'organization index': deriveVaultKeys(key).index }
      : {
          ...deriveOrganizationKeys(key),
          'audit link': deriveOrganizationKeys(key).audit_link,
          'virtual key': deriveOrganizationKeys(key).virtual_key,
          'sealed box': deriveOrganizationKeys(key).box_seed,
        };
  return derived[purpose];
}
