/**
 * Finds where a text stops being JSON (RFC 8259). It only ever answers with a place: the messages of JSON.parse
 * differ between runtimes and quote the text, which may hold something secret.
 */

export interface JsonSyntaxError {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 code units. */
  readonly column: number;
}

type Expected = 'value' | 'value_or_end' | 'key' | 'key_or_end' | 'colon' | 'comma_or_end' | 'nothing';

const SPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259, section 7, forbids them in strings by number
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/** The place of the first token that cannot stand where it stands, or undefined when the text is JSON. */
export function findJsonSyntaxError(text: string): JsonSyntaxError | undefined {
  const at = findFaultOffset(text);
  if (at === undefined) return undefined;
  const before = text.slice(0, at);
  const line_start = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: at - line_start + 1 };
}

function findFaultOffset(text: string): number | undefined {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const afterValue = (): Expected => (open.length === 0 ? 'nothing' : 'comma_or_end');

  for (;;) {
    take(SPACE);
    const character = text[at];
    if (character === undefined) return expected === 'nothing' ? undefined : at;
    const opener = open.at(-1);
    const wants_value: boolean = expected === 'value' || expected === 'value_or_end';
    if (wants_value && (character === '{' || character === '[')) {
      open.push(character);
      expected = character === '{' ? 'key_or_end' : 'value_or_end';
      at += 1;
    } else if (
      (character === '}' && opener === '{' && (expected === 'key_or_end' || expected === 'comma_or_end')) ||
      (character === ']' && opener === '[' && (expected === 'value_or_end' || expected === 'comma_or_end'))
    ) {
      open.pop();
      expected = afterValue();
      at += 1;
    } else if (character === ',' && expected === 'comma_or_end') {
      expected = opener === '{' ? 'key' : 'value';
      at += 1;
    } else if (character === ':' && expected === 'colon') {
      expected = 'value';
      at += 1;
    } else if ((expected === 'key' || expected === 'key_or_end') && take(STRING)) {
      expected = 'colon';
    } else if (wants_value && (take(STRING) || take(SCALAR))) {
      expected = afterValue();
    } else {
      return at;
    }
  }
}
