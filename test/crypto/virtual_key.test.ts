import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idOfVirtualKey, virtualKey } from '../../src/crypto/virtual_key.ts';

/** FIPS 197, appendix C.3. */
const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
const BLOCK = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const CIPHERTEXT = Buffer.from('8ea2b7ca516745bfeafc49904b496089', 'hex');

describe('a virtual key', () => {
  test.each([
    '',
    'vk_',
    `vk_${'A'.repeat(21)}`,
    `vk_${'A'.repeat(23)}`,
    `VK_${'A'.repeat(22)}`,
    `vk_${'+'.repeat(22)}`,
  ])('is not %j', (text) => {
    expect(idOfVirtualKey(KEY, text)).toBeUndefined();
  });

  test('is the id enciphered as one block', () => {
    expect(virtualKey(KEY, BLOCK)).toBe(`vk_${CIPHERTEXT.toString('base64url')}`);
  });

  test('leads back to its id, and to no other', () => {
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(id, fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes, key) => {
        const there = virtualKey(Buffer.from(key), Buffer.from(bytes));
        expect(idOfVirtualKey(Buffer.from(key), there)).toEqual(Buffer.from(bytes));
        expect(there).toMatch(/^vk_[A-Za-z0-9_-]{22}$/);
      }),
    );
  });
});
