/**
 * A strict JSON parser: limits nesting and size, and rejects duplicate names and `__proto__`. Two readers of a text with
 * a duplicate name may see two different values.
 */
import { JSON_DEPTH_MAX, JSON_PARTS_MAX } from '../contract/limits.ts';

/** The violation of a text that no parser accepts. */
export const NOT_JSON = 'Not JSON.';

/** `violation` never quotes the text. */
export function parseStrictJson(text: string): { readonly value: unknown } | { readonly violation: string } {
  // First, because JSON.parse and countParsedNames recurse into each level.
  const written = countWrittenNames(text);
  if (written === 'deep') return { violation: `Nested deeper than ${JSON_DEPTH_MAX} levels.` };
  if (written === 'many') return { violation: `More than ${JSON_PARTS_MAX} names and elements.` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { violation: NOT_JSON };
  }
  const parsed = countParsedNames(value);
  if (parsed === undefined)
    return { violation: 'An object has the name "__proto__", which is not allowed. Remove it.' };
  return parsed === written ? { value } : { violation: 'An object has the same name twice.' };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Counts the names in the text, each of which a colon follows; or reports the limit that the text exceeds. */
function countWrittenNames(text: string): number | 'deep' | 'many' {
  let names = 0;
  let commas = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COLON) names++;
    else if (code === COMMA) commas++;
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      depth++;
      if (depth > JSON_DEPTH_MAX) return 'deep';
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth--;
    if (names + commas > JSON_PARTS_MAX) return 'many';
  }
  return names;
}

/** The position of the closing quotation mark of the string that begins at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) break;
  }
  return at;
}

/** Counts the names in the value, where duplicates have been merged. Returns `undefined` for `__proto__`. */
function countParsedNames(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return 0;
  let names = 0;
  if (!Array.isArray(value)) {
    if (Object.hasOwn(value, '__proto__')) return undefined;
    names = Object.keys(value).length;
  }
  for (const child of Object.values(value)) {
    const below = countParsedNames(child);
    if (below === undefined) return undefined;
    names += below;
  }
  return names;
}
