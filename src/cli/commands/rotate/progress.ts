/** A progress line of a rotation on stderr, only on a terminal. */
import type { CliContext } from '../../context.ts';

/** Back to the first column, then erase to the end of the line (ECMA-48, EL). */
const CLEAR_LINE = '\r\u001b[K';
const SHOW_EVERY_MS = 100;

export function progressOf({ stderr }: Pick<CliContext, 'stderr'>, describe: (done: number) => string) {
  let shown_ms = Number.NEGATIVE_INFINITY;
  return {
    show: (done: number): void => {
      if (stderr.isTTY !== true || performance.now() - shown_ms < SHOW_EVERY_MS) return;
      shown_ms = performance.now();
      stderr.write(`${CLEAR_LINE}${describe(done)}`);
    },
    clear: (): void => {
      if (shown_ms > 0) stderr.write(CLEAR_LINE);
    },
  };
}
