/** Medians, ratios and the table that shows them. */

export interface Row {
  readonly what: string;
  readonly measured: string;
  readonly baseline: string;
  /** The figure that is compared with the target. */
  readonly figure: number;
  readonly target: string;
  readonly met: boolean;
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

export function atLeast(
  what: string,
  figure: number,
  limit: number,
  measured: string,
  baseline: string,
): Row {
  return { what, measured, baseline, figure, target: `>= ${limit}`, met: figure >= limit };
}

export function atMost(what: string, figure: number, limit: number, measured: string, baseline: string): Row {
  return { what, measured, baseline, figure, target: `<= ${limit}`, met: figure <= limit };
}

/** The Markdown table of docs/performance.md. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ what, measured, baseline, figure, target, met }) =>
      `| ${what} | ${measured} | ${baseline} | ${figure >= 1000 ? Math.round(figure) : figure.toFixed(2)} | ${target} | ${met ? 'yes' : 'no'} |`,
  );
  return [
    '| measurement | Keyhold | baseline | figure | target | met |',
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

export const perSecond = (microseconds: number): string => `${Math.round(1e6 / microseconds)}/s`;
export const inMicroseconds = (microseconds: number): string => `${microseconds.toFixed(0)} us`;
export const inMilliseconds = (milliseconds: number): string => `${milliseconds.toFixed(1)} ms`;

export async function microsecondsEach(
  times: number,
  act: (at: number) => Promise<unknown>,
): Promise<number> {
  const start = performance.now();
  for (let at = 0; at < times; at++) await act(at);
  return ((performance.now() - start) * 1000) / times;
}
