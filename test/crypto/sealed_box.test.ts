import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boxKeyPair, openBox, sealBox } from '../../src/crypto/sealed_box.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { anyText, bytes, check, PROPERTY_TIMEOUT_MS } from '../kit/property.ts';

const sodium = await loadSodium();

describe('a sealed box', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each([
    ['nothing', ''],
    ['a key that is too short', Buffer.alloc(31).toString('base64')],
    ['a key that is too long', Buffer.alloc(33).toString('base64')],
    ['base64url', Buffer.alloc(32, 0xff).toString('base64url')],
    ['a key with a trailing newline', `${Buffer.alloc(32, 9).toString('base64')}\n`],
    ['a key of zeros', Buffer.alloc(32).toString('base64')],
  ])('is not made for %s', (_, public_key) => {
    expect(() => sealBox(sodium, public_key, 'canary-value')).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.not.stringContaining('canary') }),
    );
  });

  test('does not decrypt with any one bit flipped or with another key', () => {
    check(fc.tuple(bytes(32), bytes(32), anyText, fc.nat()), ([seed, other_seed, text, where]) => {
      const pair = boxKeyPair(sodium, seed);
      const sealed = sealBox(sodium, pair.public_key.toString('base64'), text);
      const box = Buffer.from(sealed, 'base64');
      const bit = where % (box.length * 8);
      box.writeUInt8(box.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      // X25519 masks the highest bit of a public key (RFC 7748, section 5), but the nonce is made of all of them.
      expect(openBox(sodium, pair, box.toString('base64'))).toBeUndefined();
      fc.pre(!seed.equals(other_seed));
      expect(openBox(sodium, boxKeyPair(sodium, other_seed), sealed)).toBeUndefined();
    });
  });

  test('decrypts with its key, and is different every time', () => {
    check(fc.tuple(bytes(32), anyText), ([seed, text]) => {
      const pair = boxKeyPair(sodium, seed);
      const seal = () => sealBox(sodium, pair.public_key.toString('base64'), text);
      const sealed = seal();
      expect(sealed).not.toBe(seal());
      expect(openBox(sodium, pair, sealed)).toBe(text);
    });
  });
});
