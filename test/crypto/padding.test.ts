import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pad, paddedSize, unpad } from '../../src/crypto/padding.ts';
import { anyText, check } from '../kit/property.ts';

const damaged = expect.objectContaining({ code: 'CORRUPT', reason: 'record_damaged' });

describe('padding', () => {
  test('with any one bit flipped never gives the same text, and is rejected if the bit is in the padding', () => {
    check(fc.tuple(anyText, fc.nat(), fc.nat({ max: 7 })), ([text, where, bit]) => {
      const padded = pad(text);
      const at = where % padded.length;
      padded.writeUInt8(padded.readUInt8(at) ^ (1 << bit), at);
      let opened: string | undefined;
      try {
        opened = unpad(padded);
      } catch (error) {
        expect(error).toEqual(damaged);
      }
      expect(opened).not.toBe(text);
      if (at >= 4 + Buffer.byteLength(text)) expect(opened).toBeUndefined();
    });
  });

  test('is rejected if its size does not match the length', () => {
    for (const [length, size] of [
      [0, 65],
      [0, 96],
      [61, 64],
      [0, 3],
      [0, 0],
      [2 ** 32 - 1, 64],
    ] as const) {
      const padded = Buffer.alloc(size);
      if (size >= 4) padded.writeUInt32BE(length);
      expect(() => unpad(padded)).toThrow(damaged);
    }
  });

  test('is removed by unpad', () => {
    check(anyText, (text) => expect(unpad(pad(text))).toBe(text));
  });

  test('uses the smallest size that fits, and adds at most half', () => {
    const sizes = Array.from(
      { length: 24 },
      (_, at) => 64 * 2 ** Math.floor(at / 2) * (at % 2 === 0 ? 1 : 1.5),
    );
    check(fc.nat({ max: 100_000 }), (length) => {
      expect(paddedSize(length)).toBe(sizes.find((size) => size >= length + 4));
    });
    expect([0, 60, 61, 92, 93, 124, 125].map(paddedSize)).toEqual([64, 64, 96, 96, 128, 128, 192]);
  });
});
