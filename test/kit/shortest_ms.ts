/** Measures synchronous work on a machine that runs other processes too. */

const RUNS = 5;

/** The time of the fastest of several runs: the others may have waited for a processor. */
export function shortestMs(act: () => void): number {
  const times = Array.from({ length: RUNS }, () => {
    const began_ms = performance.now();
    act();
    return performance.now() - began_ms;
  });
  return Math.min(...times);
}
