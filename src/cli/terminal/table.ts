/** Tables for people: columns without lines, readable in a terminal and in a pipe. */
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

/** Replaces control characters in untrusted text, so that it cannot control the terminal. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE_CHARACTERS_PATTERN, '?');
}

/** A table with headings. Pass untrusted cells through `printable` first. */
export async function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const rendered = new Table({
    head: head.map((heading) => paint('bold', heading)),
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) rendered.push([...row]);
  return rendered
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
