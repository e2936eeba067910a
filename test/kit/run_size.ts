/**
 * How much the long tests do. `npm test` is quick, a run with `CI` set repeats more, and SLOW=1 repeats as much as finds
 * rare races.
 */
interface RunSizes {
  readonly quick: number;
  readonly ci: number;
  readonly slow: number;
}

export const IS_SLOW = process.env.SLOW === '1';
const IS_CI = !['', '0', 'false'].includes(process.env.CI ?? '');

/** A run of `npm test` without CI or SLOW=1. */
export const IS_QUICK = !IS_SLOW && !IS_CI;

export function runSize({ quick, ci, slow }: RunSizes): number {
  if (IS_SLOW) return slow;
  return IS_CI ? ci : quick;
}
