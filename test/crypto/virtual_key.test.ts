import { createDecipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openVirtualKey, virtualKey } from '../../src/crypto/virtual_key.ts';

/** FIPS 197, appendix C.3. */
const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
const BLOCK = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const CIPHERTEXT = Buffer.from('8ea2b7ca516745bfeafc49904b496089', 'hex');

describe('a virtual key', () => {
  test('is the id encrypted as one block of AES-256', () => {
    expect(virtualKey(KEY, BLOCK)).toBe(`vk_${CIPHERTEXT.toString('base64url')}`);
  });

  test('has 22 characters after its prefix and decrypts to the id', () => {
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(id, fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes, key) => {
        const virtual_key = virtualKey(Buffer.from(key), Buffer.from(bytes));
        expect(virtual_key).toMatch(/^vk_[A-Za-z0-9_-]{22}$/);
        const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
        const block = Buffer.from(virtual_key.slice('vk_'.length), 'base64url');
        expect(Buffer.concat([decipher.update(block), decipher.final()])).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test('a virtual key opens to the id, and the 15 other texts that decode to the same bytes are rejected', () => {
    const text = virtualKey(KEY, BLOCK);
    expect(openVirtualKey(KEY, text)).toEqual(BLOCK);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const same_bytes = [...alphabet]
      .map((last) => text.slice(0, -1) + last)
      .filter((one) => Buffer.from(one.slice(3), 'base64url').equals(CIPHERTEXT));
    expect(same_bytes).toHaveLength(16);
    expect(same_bytes.filter((one) => openVirtualKey(KEY, one) !== undefined)).toEqual([text]);
  });

  test.each([
    '',
    'vk_',
    `vk_${'A'.repeat(21)}`,
    `vk_${'A'.repeat(23)}`,
    `xk_${'A'.repeat(22)}`,
    `vk_${'A'.repeat(22)}\n`,
  ])('the text %j is not a virtual key', (text) => {
    expect(openVirtualKey(KEY, text)).toBeUndefined();
  });
});
