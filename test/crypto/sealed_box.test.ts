import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boxKeyPair, isSealedValue, openSealedValue, sealValue } from '../../src/crypto/sealed_box.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { anyText, bytes, check, PROPERTY_TIMEOUT_MS } from '../kit/property.ts';

const sodium = await loadSodium();
const unreadable = expect.objectContaining({ code: 'INVALID_INPUT', reason: 'sealed_value_unreadable' });

describe('a sealed value', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each([
    ['nothing', ''],
    ['a key that is too short', Buffer.alloc(31).toString('base64')],
    ['a key that is too long', Buffer.alloc(33).toString('base64')],
    ['base64url', Buffer.alloc(32, 0xff).toString('base64url')],
    ['a key with a trailing newline', `${Buffer.alloc(32, 9).toString('base64')}\n`],
  ])('is not made for %s', (_, public_key) => {
    expect(() => sealValue(sodium, public_key, 'canary-value')).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.not.stringContaining('canary') }),
    );
  });

  test.each(['\ud800', '\udc00', 'canary\ud83d', '\udc00\ud800'])(
    'is not made of half a surrogate pair, which would silently become another character',
    (half) => {
      const { public_key } = boxKeyPair(sodium, Buffer.alloc(32, 1));
      expect(() => sealValue(sodium, public_key.toString('base64'), `canary-${half}`)).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT', message: expect.not.stringContaining('canary') }),
      );
    },
  );

  test('does not decrypt with any one bit flipped or with the key of another vault', () => {
    check(fc.tuple(bytes(32), bytes(32), anyText, fc.nat()), ([seed, other_seed, value, where]) => {
      const pair = boxKeyPair(sodium, seed);
      const sealed = sealValue(sodium, pair.public_key.toString('base64'), value);
      const box = Buffer.from(sealed.slice('sealed:'.length), 'base64');
      const bit = where % (box.length * 8);
      box.writeUInt8(box.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      // X25519 masks the highest bit of a public key (RFC 7748, section 5), but the nonce is made of all of them.
      expect(() => openSealedValue(sodium, pair, `sealed:${box.toString('base64')}`)).toThrow(unreadable);
      fc.pre(!seed.equals(other_seed));
      expect(() => openSealedValue(sodium, boxKeyPair(sodium, other_seed), sealed)).toThrow(unreadable);
    });
  });

  test('decrypts in the vault it was sealed to, and is different every time', () => {
    check(fc.tuple(bytes(32), anyText), ([seed, value]) => {
      const pair = boxKeyPair(sodium, seed);
      const seal = () => sealValue(sodium, pair.public_key.toString('base64'), value);
      const sealed = seal();
      expect(isSealedValue(sealed)).toBe(true);
      expect(sealed).not.toBe(seal());
      expect(openSealedValue(sodium, pair, sealed)).toBe(value);
    });
  });
});
