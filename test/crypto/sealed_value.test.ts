import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VALUE_MAX_BYTES } from '../../src/contract/limits.ts';
import { systemRandom } from '../../src/crypto/random.ts';
import { boxKeyPair } from '../../src/crypto/sealed_box.ts';
import { isSealedValue, openSealedValue, sealValue } from '../../src/crypto/sealed_value.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { anyText, bytes, check, PROPERTY_TIMEOUT_MS } from '../kit/property.ts';

const sodium = await loadSodium();
const pair = boxKeyPair(sodium, Buffer.alloc(32, 1));
const BOUND = {
  organization: 'local',
  user: 'me',
  service: 'linear',
  field: 'linear_api_key',
  expires_at: '2026-01-31T12:00:00Z',
};

const seal = (value: string, public_key = pair.public_key) =>
  sealValue(sodium, systemRandom, public_key.toString('base64'), BOUND, value);

describe('a sealed value', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test.each(['\ud800', '\udc00', 'canary\ud83d', '\udc00\ud800'])(
    'is not made of half a surrogate pair, which would silently become another character',
    (half) => {
      expect(() => seal(`canary-${half}`)).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT', message: expect.not.stringContaining('canary') }),
      );
    },
  );

  test.each([
    { organization: 'Acme Inc' },
    { user: '' },
    { service: '' },
    { field: 'f'.repeat(65) },
    { expires_at: 'tomorrow' },
  ])('is not made for %j, which no vault accepts', (change) => {
    const key = pair.public_key.toString('base64');
    expect(() => sealValue(sodium, systemRandom, key, { ...BOUND, ...change }, 'v')).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('decrypts to all that it is bound to, with a new nonce every time', () => {
    check(fc.tuple(bytes(32), anyText), ([seed, value]) => {
      const keys = boxKeyPair(sodium, seed);
      const opened = [seal(value, keys.public_key), seal(value, keys.public_key)].map((sealed) => {
        expect(isSealedValue(sealed)).toBe(true);
        return openSealedValue(sodium, keys, sealed);
      });
      for (const one of opened) expect(one).toEqual({ v: 2, ...BOUND, nonce: expect.any(String), value });
      expect(opened[0]?.nonce).not.toBe(opened[1]?.nonce);
    });
  });

  test('has one length for all values of up to 700 bytes, and grows in steps of 1 KiB', () => {
    const lengths = [1, 20, 100, 700].map((length) => seal('k'.repeat(length)).length);
    expect(new Set(lengths).size).toBe(1);
    const steps = Array.from({ length: 200 }, (_, at) => seal('k'.repeat(at * 50)).length);
    expect(new Set(steps).size).toBeLessThanOrEqual(11);
  });

  test('can hold 64 KiB of text of which every second character is a line end', () => {
    expect(openSealedValue(sodium, pair, seal('k\n'.repeat(VALUE_MAX_BYTES / 2)))?.value.length).toBe(
      VALUE_MAX_BYTES,
    );
    expect(() => seal('\u0001'.repeat(VALUE_MAX_BYTES))).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: 'The value is too large to be sealed.' }),
    );
  });
});
