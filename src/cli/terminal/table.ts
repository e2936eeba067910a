/** Tables for people: columns without lines, so that they read well in a terminal and in a pipe. */
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../../contract/patterns.ts';
import type { Paint } from './output.ts';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

/** Text of somebody else's making, fit for a terminal. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE_CHARACTERS_PATTERN, '?');
}

/** A table with a line of headings. Cells hold what `printable` or a `Paint` has made. */
export async function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const drawn = new Table({
    head: head.map((word) => paint('bold', word)),
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) drawn.push([...row]);
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
