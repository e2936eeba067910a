/**
 * Text for people that cannot control the terminal. Every value in it, which may come from a server or a file, has its
 * control characters replaced; only this module adds colours and line ends.
 */
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../../contract/patterns.ts';

/** Replaces control characters and line ends in untrusted text, so that it cannot control the terminal. */
export function printable(text: unknown): string {
  return String(text).replace(UNPRINTABLE_CHARACTERS_PATTERN, '?');
}

/** A part of the output whose values are printable. Only this module and `table` create it. */
export class TerminalText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** A value or a line of the output. */
export type Part = string | number | TerminalText;

/** A line of the output, as a template literal: makes its values printable and keeps their colours. */
export function line(strings: TemplateStringsArray, ...values: readonly Part[]): TerminalText {
  return new TerminalText(String.raw({ raw: strings }, ...values.map(render)));
}

/** Joins lines with line ends. */
export function renderLines(lines: Part | readonly Part[]): string {
  return [lines].flat().map(render).join('\n');
}

export function render(part: Part): string {
  return part instanceof TerminalText ? part.text : printable(part);
}

/** JSON, indented by two spaces. Escapes what JSON may hold as it is but a terminal would interpret. */
export function toJson(value: unknown): string {
  return escapeUnprintable(JSON.stringify(value, null, 2));
}

/** The JSON text with its unprintable characters as escape sequences. Line ends are the text's own indentation. */
export function escapeUnprintable(json: string): string {
  return json.replace(UNPRINTABLE_CHARACTERS_PATTERN, (character) =>
    character === '\n' ? character : character.split('').map(escapeCodeUnit).join(''),
  );
}

function escapeCodeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof CODES;
export type Paint = (style: Style, text: string) => TerminalText;

/** Colours for stdout; none in a pipe, with NO_COLOR (https://no-color.org) or on a dumb terminal. */
export function paintFor({
  stdout,
  env,
}: {
  readonly stdout: { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}): Paint {
  const plain = stdout.isTTY !== true || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  return (style, text) => {
    // A server can send a state without a style.
    const is_styled = !plain && Object.hasOwn(CODES, style);
    return new TerminalText(
      is_styled ? `\u001b[${CODES[style]}m${printable(text)}\u001b[0m` : printable(text),
    );
  };
}
