import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blindIndex } from '../../src/crypto/blind_index.ts';
import {
  deriveOrganizationKeys,
  deriveVaultKeys,
  unwrapKey,
  wrapKey,
} from '../../src/crypto/key_hierarchy.ts';
import { keyFromPassphrase, SALT_BYTES } from '../../src/crypto/passphrase.ts';
import { systemRandom } from '../../src/crypto/random.ts';
import { newRequestId } from '../../src/crypto/request_id.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { anyText, bytes, check, PROPERTY_TIMEOUT_MS } from '../kit/property.ts';
import { flipBit } from '../kit/vault/database.ts';

const sodium = await loadSodium();

describe('a wrapped key', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  const wrappings = fc.record({ root_key: bytes(32), label: bytes(20), key: bytes(32) });
  const damaged = expect.objectContaining({ code: 'CORRUPT', reason: 'record_damaged' });

  test('with any one bit flipped is rejected', () => {
    check(fc.tuple(wrappings, fc.nat(), fc.nat({ max: 7 })), ([{ root_key, label, key }, where, bit]) => {
      const wrapped = wrapKey(sodium, systemRandom, root_key, label, key);
      const at = where % wrapped.length;
      wrapped.writeUInt8(wrapped.readUInt8(at) ^ (1 << bit), at);
      expect(() => unwrapKey(sodium, root_key, label, wrapped)).toThrow(damaged);
    });
  });

  test('is unwrapped with its own label and root key only, and not if any one bit of them differs', () => {
    check(fc.tuple(wrappings, fc.nat()), ([{ root_key, label, key }, where]) => {
      const wrapped = wrapKey(sodium, systemRandom, root_key, label, key);
      const other_key = flipBit(root_key, where % (root_key.length * 8));
      const other_label = flipBit(label, where % (label.length * 8));
      expect(() => unwrapKey(sodium, other_key, label, wrapped)).toThrow(damaged);
      expect(() => unwrapKey(sodium, root_key, other_label, wrapped)).toThrow(damaged);
      expect(unwrapKey(sodium, root_key, label, wrapped)).toEqual(key);
    });
  });
});

test('all derived keys differ from each other and from the key they are derived from', () => {
  check(bytes(32), (key) => {
    const derived = [
      ...Object.values(deriveOrganizationKeys(key)),
      ...Object.values(deriveVaultKeys(key)),
      key,
    ];
    expect(new Set(derived.map((one: Buffer) => one.toString('hex'))).size).toBe(11);
  });
});

describe('a blind index', () => {
  test('differs if label, key or any part differs, and is equal otherwise', () => {
    const given = fc.record({ key: bytes(32), label: fc.constantFrom('a', 'b'), parts: fc.array(anyText) });
    const printed = (one: { key: Buffer; label: string; parts: readonly string[] }) =>
      JSON.stringify([one.key.toString('hex'), one.label, one.parts]);
    check(fc.tuple(given, given), ([one, other]) => {
      const index = blindIndex(one.key, one.label, one.parts);
      expect(index).toHaveLength(16);
      expect(index.equals(blindIndex(one.key, one.label, [...one.parts]))).toBe(true);
      expect(index.equals(blindIndex(other.key, other.label, other.parts))).toBe(
        printed(one) === printed(other),
      );
    });
  });

  test('differs for every way to split one text into parts', () => {
    const key = Buffer.alloc(32);
    check(
      anyText.filter(({ length }) => length > 1),
      (text) => {
        const indexes = Array.from({ length: text.length + 1 }, (_, at) => {
          // Half surrogates would all be written as the same replacement character; names never hold any.
          const parts = [text.slice(0, at), text.slice(at)];
          return parts.every((part) => part.isWellFormed())
            ? blindIndex(key, 'a', parts).toString('hex')
            : `skipped ${at}`;
        });
        expect(new Set([...indexes, blindIndex(key, 'a', [text]).toString('hex')]).size).toBe(
          text.length + 2,
        );
      },
    );
  });
});

test('a passphrase gives a different key with a different salt, and with a different letter', async () => {
  const salt = Buffer.alloc(SALT_BYTES, 1);
  const [one, other_salt, other_letter] = await Promise.all([
    keyFromPassphrase('correct horse', salt),
    keyFromPassphrase('correct horse', Buffer.alloc(SALT_BYTES, 2)),
    keyFromPassphrase('Correct horse', salt),
  ]);
  expect(one).toHaveLength(32);
  expect(one.equals(other_salt) || one.equals(other_letter)).toBe(false);
});

describe('random bytes', () => {
  test('are never returned twice, also across the boundary of the pool', () => {
    const seen = new Set<string>();
    const lengths = [12, 24, 32, 16, 4_096, 8_191, 8_192, 8_193, 20_000];
    for (let at = 0; at < 5_000; at++) {
      const length = at % 500 === 0 ? (lengths[(at / 500) % lengths.length] ?? 12) : 12;
      const drawn = systemRandom(length);
      expect(drawn).toHaveLength(length);
      seen.add(drawn.toString('hex'));
    }
    expect(seen.size).toBe(5_000);
  });

  test('do not change when more are drawn', () => {
    const drawn = systemRandom(32);
    const copy = Buffer.from(drawn);
    for (let at = 0; at < 1_000; at++) systemRandom(64);
    expect(drawn).toEqual(copy);
    expect(systemRandom(0)).toHaveLength(0);
  });
});

test('request ids are unique ULIDs in the order of time', () => {
  const ids = Array.from({ length: 2_000 }, newRequestId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  const times = ids.map((id) => id.slice(0, 10));
  expect(times).toEqual(times.toSorted());
});
