/** Repeats an operation for a time, with several callers at once. */
import { median } from '../report.ts';

export interface Measured {
  readonly per_second: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
}

/** `act` gets the number of its caller. */
export async function measure(
  callers: number,
  seconds: number,
  act: (caller: number) => Promise<unknown>,
): Promise<Measured> {
  const latencies_ms: number[] = [];
  const started = performance.now();
  const until = started + seconds * 1000;
  const call = async (caller: number) => {
    while (performance.now() < until) {
      const began = performance.now();
      await act(caller);
      latencies_ms.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  const elapsed_ms = performance.now() - started;
  latencies_ms.sort((a, b) => a - b);
  return {
    per_second: (latencies_ms.length / elapsed_ms) * 1000,
    p50_ms: median(latencies_ms),
    p99_ms: latencies_ms[Math.floor(latencies_ms.length * 0.99)] ?? Number.NaN,
    max_ms: latencies_ms.at(-1) ?? Number.NaN,
  };
}
