/** Tables for people: columns without lines, readable in a terminal and in a pipe. */
import { type Paint, type Part, render, TerminalText } from './terminal_text.ts';

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

/** A table with headings. Cells may be untrusted: control characters in strings are replaced. */
export async function table(
  head: readonly string[],
  rows: readonly (readonly Part[])[],
  paint: Paint,
): Promise<TerminalText> {
  const { default: Table } = await import('cli-table3');
  const rendered = new Table({
    head: head.map((heading) => paint('bold', heading).text),
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) rendered.push(row.map(render));
  const lines = rendered
    .toString()
    .split('\n')
    .map((row) => row.trimEnd());
  return new TerminalText(lines.join('\n'));
}
