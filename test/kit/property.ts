/** Runs property tests. */
import fc from 'fast-check';
import { IS_SLOW, runSize } from './run_size.ts';

export const PROPERTY_RUNS = runSize({ quick: 40, ci: 100, slow: 2_000 });
export const PROPERTY_TIMEOUT_MS = IS_SLOW ? 3_600_000 : 120_000;

/** A damaged byte is found by the vault, whatever the engine: on PostgreSQL, where each change takes longer, fewer are tried. */
const BYTES_PER_BIT = process.env.KEYHOLD_TEST_STORE === 'postgres' ? 11 : 1;

/** Bits to flip: one of every byte, in varying positions; with SLOW=1 all. */
export function bitsToFlip(byte_count: number): number[] {
  if (IS_SLOW) return Array.from({ length: byte_count * 8 }, (_, bit) => bit);
  return Array.from({ length: Math.ceil(byte_count / BYTES_PER_BIT) }, (_, step) => {
    const at = step * BYTES_PER_BIT;
    return at * 8 + (at % 8);
  });
}

/** Runs a synchronous property. Fails with the smallest counterexample and its seed. */
export function check<Given>(arbitrary: fc.Arbitrary<Given>, property: (given: Given) => void): void {
  // fast-check would interpret a return value, so the function returns none.
  const held = (given: Given) => {
    property(given);
  };
  fc.assert(fc.property(arbitrary, held), { numRuns: PROPERTY_RUNS });
}

/** Runs an asynchronous property. `examples` are tried first. */
export async function checkAsync<Given>(
  arbitrary: fc.Arbitrary<Given>,
  property: (given: Given) => Promise<void>,
  examples: readonly Given[] = [],
): Promise<void> {
  await fc.assert(fc.asyncProperty(arbitrary, property), {
    numRuns: PROPERTY_RUNS + examples.length,
    examples: examples.map((example) => [example]),
  });
}

/** Text of any UTF-16 code units, including unpaired surrogates, controls and NUL. */
export const anyCodeUnits: fc.Arbitrary<string> = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
});

/** Text of any code points but surrogates. */
export const anyText: fc.Arbitrary<string> = fc.string({ unit: 'binary' });

export function bytes(length: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
}
