/** A progress line on standard error, for work that takes long. Only on a terminal. */
import type { CliContext } from '../../context.ts';

/** Shorter work needs no line. */
const LONG_WORK_ROWS = 5_000;
/** Back to the first column, then erase to the end of the line (ECMA-48, EL). */
const CLEAR_LINE = '\r\u001b[K';

type Terminal = Pick<CliContext, 'stderr'>;

export interface ProgressLine {
  readonly show: (done: number, total: number) => void;
  readonly clear: () => void;
}

/** `work`: such as `Restoring`. */
export function progressLine(context: Terminal, work: string): ProgressLine {
  const { show, clear } = changingLine(context);
  return {
    show: (done, total) => {
      if (total >= LONG_WORK_ROWS) show(`${work}: ${Math.floor((done / total) * 100)} % of ${total} rows`);
    },
    clear,
  };
}

/** For work whose total is unknown. `work`: such as `Wrapping the keys`. */
export function countLine(context: Terminal, work: string) {
  const { show, clear } = changingLine(context);
  return { show: (done: number) => show(`${work}: ${done}`), clear };
}

function changingLine({ stderr }: Terminal) {
  let shown: string | undefined;
  return {
    show: (line: string): void => {
      if (stderr.isTTY !== true || line === shown) return;
      stderr.write(`${CLEAR_LINE}${line}`);
      shown = line;
    },
    clear: (): void => {
      if (shown !== undefined) stderr.write(CLEAR_LINE);
      shown = undefined;
    },
  };
}
