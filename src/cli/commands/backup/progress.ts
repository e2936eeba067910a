/** A progress line on standard error, for work that takes long. Only on a terminal. */
import type { CliContext } from '../../context.ts';

/** Shorter work needs no line. */
const LONG_WORK_ROWS = 5_000;
/** Back to the first column, then erase to the end of the line (ECMA-48, EL). */
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressLine {
  readonly show: (done: number, total: number) => void;
  readonly clear: () => void;
}

/** `work`: such as `Restoring`. */
export function progressLine({ stderr }: Pick<CliContext, 'stderr'>, work: string): ProgressLine {
  let shown: string | undefined;
  return {
    show: (done, total) => {
      if (stderr.isTTY !== true || total < LONG_WORK_ROWS) return;
      const line = `${work}: ${Math.floor((done / total) * 100)} % of ${total} rows`;
      if (line !== shown) stderr.write(`${CLEAR_LINE}${line}`);
      shown = line;
    },
    clear: () => {
      if (shown !== undefined) stderr.write(CLEAR_LINE);
      shown = undefined;
    },
  };
}
