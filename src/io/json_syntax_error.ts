/**
 * Finds the first syntax error of a JSON text (RFC 8259). Returns only its position: the messages of JSON.parse differ
 * between runtimes and quote the text, which may hold a secret.
 */
import { type ParseError, parse } from 'jsonc-parser';

/** Line and column count from 1, the column in UTF-16 code units. Undefined for JSON, and if the nesting is too deep. */
export function findJsonSyntaxError(
  text: string,
): { readonly line: number; readonly column: number } | undefined {
  const errors: ParseError[] = [];
  try {
    parse(text, errors, { disallowComments: true });
  } catch (error) {
    // The parser is recursive: some ten thousand levels overflow the stack.
    if (!(error instanceof RangeError)) throw error;
  }
  const [error] = errors;
  if (error === undefined) return undefined;
  const before = text.slice(0, error.offset);
  return { line: before.split('\n').length, column: error.offset - before.lastIndexOf('\n') };
}
