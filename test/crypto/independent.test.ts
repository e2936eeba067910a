/**
 * The vectors through the second implementation, which knows the formats from their description only. Nothing of
 * the product's cryptography is imported here.
 */
import crypto from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  AES_256_GCM,
  hchacha20,
  readerBlindIndex,
  readerLink,
  readerPaddedSize,
  readerPurposeKey,
  readerRecordKey,
  readerRootKeyId,
  readerUnwrapKey,
  readSealedPart,
  sealBytes,
  XCHACHA20_POLY1305,
} from '../vectors/independent_reader.ts';
import { base64, contextOf, hex, plaintextOf, readVectors } from '../vectors/vector_files.ts';

const record = readVectors('record-v1.json');
const audit = readVectors('audit-v1.json');
const keys = readVectors('keys-v1.json');

test('HChaCha20 of the independent reader matches draft-irtf-cfrg-xchacha-03, section 2.2.1', () => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, at) => at));
  const nonce = hex('000000090000004a0000000031415927');
  expect(hchacha20(key, nonce).toString('hex')).toBe(
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
  );
});

describe('record-v1.json, read by an independent implementation,', () => {
  test.each(record.failing.map((one) => [one.name, one] as const))('does not decrypt: %s', (_, vector) => {
    expect(() =>
      readSealedPart(hex(vector.purpose_key), contextOf(vector.context), base64(vector.sealed_base64)),
    ).toThrow();
  });

  test.each(record.sealing.map((one) => [one.name, one] as const))(
    'decrypts and encrypts: %s',
    (_, vector) => {
      const sealed = base64(vector.sealed_base64);
      const context = contextOf(vector.context);
      const plaintext = plaintextOf(vector);
      expect(readSealedPart(hex(vector.purpose_key), context, sealed) === plaintext).toBe(true);

      const padded = Buffer.alloc(readerPaddedSize(Buffer.byteLength(plaintext)));
      padded.writeUInt32BE(Buffer.byteLength(plaintext));
      padded.write(plaintext, 4);
      const cipher = vector.cipher === 'aes-256-gcm' ? AES_256_GCM : XCHACHA20_POLY1305;
      const made = sealBytes(hex(vector.purpose_key), context, cipher, hex(vector.nonce), padded);
      expect(made.equals(sealed)).toBe(true);
    },
  );

  test('pads to the same sizes', () => {
    for (const { plaintext_bytes, padded_bytes } of record.padded_sizes) {
      expect(readerPaddedSize(plaintext_bytes)).toBe(padded_bytes);
    }
  });
});

describe('audit-v1.json, read by an independent implementation,', () => {
  const entryContext = (organization: Buffer, revision: number, key_version: number) => {
    const same = { id: organization, scope: organization, index: organization };
    return { kind: 'audit', ...same, revision, part: 'audit' as const, key_version };
  };

  test('does not decrypt a changed entry', () => {
    for (const { organization, position, key_version, sealed_base64 } of audit.failing_entries) {
      const context = entryContext(hex(organization), position, key_version);
      expect(() => readSealedPart(hex(audit.audit_key), context, base64(sealed_base64))).toThrow();
    }
  });

  test('decrypts to the same entries and has the same links and head MACs', () => {
    let previous = hex(audit.first_link);
    for (const { position, plaintext, sealed_base64, link, end_seal } of audit.entries) {
      const sealed = base64(sealed_base64);
      const context = entryContext(hex(audit.organization), position, audit.key_version);
      expect(Buffer.from(readSealedPart(hex(audit.audit_key), context, sealed))).toEqual(hex(plaintext));
      const made = readerLink(hex(audit.audit_link_key), previous, position, sealed);
      expect(made).toEqual({ link: hex(link), end_seal: hex(end_seal) });
      previous = made.link;
    }
  });

  test('does not match a wrong link', () => {
    for (const { previous_link, position, sealed_base64, link, end_seal } of audit.wrong_links) {
      const made = readerLink(hex(audit.audit_link_key), hex(previous_link), position, base64(sealed_base64));
      expect(made).not.toEqual({ link: hex(link), end_seal: hex(end_seal) });
    }
  });
});

describe('keys-v1.json, read by an independent implementation,', () => {
  test('has the same derived keys, key ids and blind indexes', () => {
    for (const { root_key, root_key_id } of keys.root_key_ids) {
      expect(readerRootKeyId(hex(root_key))).toEqual(hex(root_key_id));
    }
    for (const { key, purpose, purpose_key } of keys.purpose_keys) {
      expect(readerPurposeKey(hex(key), purpose)).toEqual(hex(purpose_key));
    }
    for (const { purpose_key, cipher_byte, id, kind, record_key } of keys.record_keys) {
      expect(readerRecordKey(hex(purpose_key), cipher_byte, hex(id), kind)).toEqual(hex(record_key));
    }
    for (const { index_key, label, parts, blind_index } of keys.blind_indexes) {
      expect(readerBlindIndex(hex(index_key), label, parts)).toEqual(hex(blind_index));
    }
  });

  test('unwraps the valid keys and rejects the invalid ones', () => {
    for (const { root_key, owner, version, key, wrapped } of keys.wrapped_keys) {
      expect(readerUnwrapKey(hex(root_key), hex(owner), version, hex(wrapped))).toEqual(hex(key));
    }
    for (const { root_key, owner, version, wrapped } of keys.failing_wrapped_keys) {
      expect(() => readerUnwrapKey(hex(root_key), hex(owner), version, hex(wrapped))).toThrow();
    }
  });

  test('has the same key for a passphrase', () => {
    const [vector] = keys.passphrases;
    const cost = { N: 131_072, r: 8, p: 1, maxmem: 2 ** 28 };
    const key = crypto.scryptSync(
      vector?.passphrase.normalize('NFKC') ?? '',
      hex(vector?.salt ?? ''),
      32,
      cost,
    );
    expect(key.toString('hex')).toBe(vector?.key);
  });
});
