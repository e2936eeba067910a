/** How long property tests search: a little in every run, long with SLOW=1. */
import fc from 'fast-check';

const SLOW = process.env.SLOW === '1';

export const PROPERTY_RUNS = SLOW ? 2_000 : 100;
export const PROPERTY_TIMEOUT_MS = SLOW ? 3_600_000 : 120_000;

/** Which bits of so many bytes to flip: one of every byte, a different one for neighbours; with SLOW=1 all. */
export function bitsToFlip(byte_count: number): number[] {
  return SLOW
    ? Array.from({ length: byte_count * 8 }, (_, bit) => bit)
    : Array.from({ length: byte_count }, (_, at) => at * 8 + (at % 8));
}

/** Runs a property that does not wait for anything. Fails with the smallest counterexample and its seed. */
export function check<Given>(arbitrary: fc.Arbitrary<Given>, property: (given: Given) => void): void {
  // In braces: what an expectation returns is not for fast-check to judge.
  const held = (given: Given) => {
    property(given);
  };
  fc.assert(fc.property(arbitrary, held), { numRuns: PROPERTY_RUNS });
}

/** Runs a property that waits. `examples` are tried first. */
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

/** Text of any code units: half surrogates, controls and zero bytes too. */
export const anyCodeUnits: fc.Arbitrary<string> = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
});

/** Text that survives UTF-8: any code points but half surrogates. */
export const anyText: fc.Arbitrary<string> = fc.string({ unit: 'binary' });

export function bytes(length: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
}
