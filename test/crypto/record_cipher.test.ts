import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { systemRandom } from '../../src/crypto/random.ts';
import { type Cipher, openPart, type SealContext, sealPart } from '../../src/crypto/record_cipher.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { anyText, bytes, check, PROPERTY_TIMEOUT_MS } from '../kit/property.ts';

const sodium = await loadSodium();
const PARTS = ['meta', 'values', 'audit'] as const;

const ciphers = fc.constantFrom<Cipher>('aes-256-gcm', 'xchacha20-poly1305');
const contexts: fc.Arbitrary<SealContext> = fc.record({
  kind: fc.constantFrom('credential', 'audit', 'a', ''),
  id: bytes(16),
  scope: bytes(16),
  index: bytes(16),
  revision: fc.oneof(
    fc.nat(),
    fc.maxSafeNat().map((number) => number % 2 ** 48),
  ),
  part: fc.constantFrom(...PARTS),
  key_version: fc.nat({ max: 2 ** 32 - 1 }),
});
const sealings = fc.record({ cipher: ciphers, key: bytes(32), context: contexts, plaintext: anyText });
type Sealing = typeof sealings extends fc.Arbitrary<infer Given> ? Given : never;

function seal({ cipher, key, context, plaintext }: Sealing): Buffer {
  return sealPart(sodium, systemRandom, cipher, key, context, plaintext);
}

/** The decrypted text, or code and reason of the VaultError. Other errors fail the test. */
function outcome(key: Buffer, context: SealContext, sealed: Buffer): string {
  try {
    return `opened ${openPart(sodium, key, context, sealed)}`;
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return `${error.code} ${error.reason}`;
  }
}

const DAMAGED = 'CORRUPT record_damaged';

describe('a sealed part', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test('with any one bit flipped does not decrypt', () => {
    check(fc.tuple(sealings, fc.nat(), fc.nat({ max: 7 })), ([sealing, where, bit]) => {
      const sealed = seal(sealing);
      const at = where % sealed.length;
      sealed.writeUInt8(sealed.readUInt8(at) ^ (1 << bit), at);
      // A higher version byte cannot be distinguished from the format of a newer Keyhold.
      const newer = at === 0 && sealed.readUInt8(0) > 1;
      expect(outcome(sealing.key, sealing.context, sealed)).toBe(
        newer ? 'UNAVAILABLE newer_format' : DAMAGED,
      );
    });
  });

  test('truncated at any length does not decrypt', () => {
    check(fc.tuple(sealings, fc.nat()), ([sealing, where]) => {
      const sealed = seal(sealing);
      expect(outcome(sealing.key, sealing.context, sealed.subarray(0, where % sealed.length))).toBe(DAMAGED);
    });
  });

  test('with appended bytes does not decrypt', () => {
    check(fc.tuple(sealings, fc.uint8Array({ minLength: 1, maxLength: 40 })), ([sealing, more]) => {
      expect(outcome(sealing.key, sealing.context, Buffer.concat([seal(sealing), more]))).toBe(DAMAGED);
    });
  });

  test('does not decrypt in a different context', () => {
    const fields = fc.constantFrom(
      ...(['kind', 'id', 'scope', 'index', 'revision', 'part', 'key_version'] as const),
    );
    check(fc.tuple(sealings, fields, contexts), ([sealing, field, other]) => {
      const context = { ...sealing.context, [field]: other[field] };
      const same = Buffer.isBuffer(other[field])
        ? other[field].equals(Buffer.from(sealing.context[field] as Buffer))
        : other[field] === sealing.context[field];
      expect(outcome(sealing.key, context, seal(sealing))).toBe(
        same ? `opened ${sealing.plaintext}` : DAMAGED,
      );
    });
  });

  test('in a context that exceeds the format is rejected with CORRUPT', () => {
    const impossible: fc.Arbitrary<Partial<SealContext>> = fc.oneof(
      fc.record({ revision: fc.constantFrom(-1, 0.5, 2 ** 48, 2 ** 53, 2 ** 62, Number.NaN) }),
      fc.record({ key_version: fc.constantFrom(-1, 0.5, 2 ** 32, 2 ** 62, Number.NaN) }),
      fc.constantFrom('id', 'scope', 'index').chain((field) =>
        fc
          .uint8Array({ maxLength: 200 })
          .filter(({ length }) => length !== 16)
          .map((value) => ({ [field]: Buffer.from(value) })),
      ),
    );
    check(fc.tuple(sealings, impossible), ([sealing, change]) => {
      expect(outcome(sealing.key, { ...sealing.context, ...change }, seal(sealing))).toBe(DAMAGED);
    });
  });

  test.each(['id', 'scope', 'index'] as const)('does not decrypt with bytes appended to its %s', (field) => {
    check(fc.tuple(sealings, fc.uint8Array({ minLength: 1, maxLength: 20 })), ([sealing, more]) => {
      const context = { ...sealing.context, [field]: Buffer.concat([sealing.context[field], more]) };
      expect(outcome(sealing.key, context, seal(sealing))).toBe(DAMAGED);
    });
  });

  test('does not decrypt under a kind that is equal only in its low eight bits', () => {
    const context: SealContext = { ...sample().context, kind: 'credential' };
    const sealed = seal({ ...sample(), context });
    expect(outcome(sample().key, { ...context, kind: '\u0163redential' }, sealed)).toBe(DAMAGED);
    expect(outcome(sample().key, context, sealed)).toBe('opened ');
  });

  test('does not decrypt with another key', () => {
    check(fc.tuple(sealings, bytes(32)), ([sealing, key]) => {
      fc.pre(!key.equals(sealing.key));
      expect(outcome(key, sealing.context, seal(sealing))).toBe(DAMAGED);
    });
  });

  test('decrypts to the text that was encrypted, for any text', () => {
    check(sealings, (sealing) => {
      expect(openPart(sodium, sealing.key, sealing.context, seal(sealing))).toBe(sealing.plaintext);
    });
  });

  test('decrypts with the cipher it was encrypted with, for both ciphers with the same key and context', () => {
    check(fc.tuple(sealings, fc.array(ciphers, { minLength: 2, maxLength: 5 })), ([sealing, order]) => {
      for (const cipher of order) {
        const sealed = seal({ ...sealing, cipher });
        expect(outcome(sealing.key, sealing.context, sealed)).toBe(`opened ${sealing.plaintext}`);
      }
    });
  });

  test('is different every time, and has one of the padded sizes', () => {
    check(sealings, (sealing) => {
      const sealed = seal(sealing);
      expect(seal(sealing).equals(sealed)).toBe(false);
      const padded_bytes = sealed.length - 2 - (sealing.cipher === 'aes-256-gcm' ? 12 : 24) - 16;
      // 64, 96, 128, 192, ...: a power of two, or half as much again.
      expect([0, Math.log2(1.5)]).toContainEqual(
        expect.closeTo(Math.log2(padded_bytes) - Math.floor(Math.log2(padded_bytes)), 6),
      );
    });
  });
});

function sample(): Sealing {
  const id = Buffer.alloc(16, 1);
  const context: SealContext = {
    kind: 'audit',
    id,
    scope: id,
    index: id,
    revision: 1,
    part: 'meta',
    key_version: 1,
  };
  return { cipher: 'aes-256-gcm', key: Buffer.alloc(32, 7), context, plaintext: '' };
}
