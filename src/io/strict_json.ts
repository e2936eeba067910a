/**
 * What a JSON text must be before anybody takes it apart: not nested without end, no name twice in one object, and no
 * `__proto__`. Where a text says one thing twice, two readers may see two things.
 */
import { JSON_DEPTH_MAX, JSON_PARTS_MAX } from '../contract/limits.ts';

/** What is wrong with it; `undefined` for a text that may be used. Never quotes it. */
export function findJsonViolation(text: string): string | undefined {
  // First, since the readers below call themselves for each level.
  const names = namesWritten(text);
  if (names === 'deep') return `Nested deeper than ${JSON_DEPTH_MAX} levels.`;
  if (names === 'many') return `More than ${JSON_PARTS_MAX} names and elements.`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'Not JSON.';
  }
  const kept = namesKept(value);
  if (kept === undefined) return 'An object has a name that there cannot be.';
  return kept === names ? undefined : 'An object has the same name twice.';
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** How many names the objects of a JSON text have, each of which a colon follows; or what there is too much of. */
function namesWritten(text: string): number | 'deep' | 'many' {
  let names = 0;
  let commas = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === 0x3a) names++;
    else if (code === 0x2c) commas++;
    else if (code === 0x5b || code === 0x7b) {
      depth++;
      if (depth > JSON_DEPTH_MAX) return 'deep';
    } else if (code === 0x5d || code === 0x7d) depth--;
    if (names + commas > JSON_PARTS_MAX) return 'many';
  }
  return names;
}

/** Where the string that begins at `start` ends: at its quotation mark, or with the text. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) break;
  }
  return at;
}

/** How many names are left when it has been read: of those that are the same, one. `undefined`: one is `__proto__`. */
function namesKept(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return 0;
  let names = 0;
  if (!Array.isArray(value)) {
    if (Object.hasOwn(value, '__proto__')) return undefined;
    names = Object.keys(value).length;
  }
  for (const below of Object.values(value)) {
    const more = namesKept(below);
    if (more === undefined) return undefined;
    names += more;
  }
  return names;
}
