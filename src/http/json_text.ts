/**
 * What a JSON text must be before anybody takes it apart: not nested without end, no name twice in one object, and no
 * `__proto__`. Where a text says one thing twice, two readers may see two things.
 */
import { visit } from 'jsonc-parser';
import { JSON_DEPTH_MAX } from '../contract/limits.ts';

/** What is wrong with it; `undefined` for a text that may be used. Never quotes it. */
export function faultOfJson(text: string): string | undefined {
  // First, since the readers below call themselves for each level.
  if (isTooDeep(text)) return `Nested deeper than ${JSON_DEPTH_MAX} levels.`;
  try {
    JSON.parse(text);
  } catch {
    return 'Not JSON.';
  }
  return faultOfNames(text);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isTooDeep(text: string): boolean {
  let depth = 0;
  let in_string = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (in_string) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) in_string = false;
    } else if (code === QUOTE) in_string = true;
    else if (code === 0x5b || code === 0x7b) {
      depth++;
      if (depth > JSON_DEPTH_MAX) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

function faultOfNames(text: string): string | undefined {
  const objects: Set<string>[] = [];
  let fault: string | undefined;
  visit(text, {
    onObjectBegin: () => void objects.push(new Set()),
    onObjectEnd: () => void objects.pop(),
    onObjectProperty: (name) => {
      const names = objects.at(-1);
      if (name === '__proto__') fault = 'An object has a name that there cannot be.';
      if (names?.has(name)) fault = 'An object has the same name twice.';
      names?.add(name);
    },
  });
  return fault;
}
