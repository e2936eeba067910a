/**
 * Shortens JSON to a number of characters by leaving out items of its longest array. The rest stays valid and whole. The
 * offset of a later part is a position in the text of the whole JSON, as `JSON.stringify` returns it.
 */

export interface JsonPart {
  readonly json: unknown;
  /** Where the array is, as a JMESPath: `data.issues`. */
  readonly path: string;
  readonly from: number;
  readonly kept: number;
  readonly of: number;
  /** Where the first item that was left out begins; `null` if none was left out. */
  readonly next_offset: number | null;
}

interface FoundArray {
  readonly path: readonly string[];
  readonly items: readonly unknown[];
  /** Where each item begins in the whole text. */
  readonly starts: readonly number[];
  /** The position after the bracket that ends the array. */
  readonly end: number;
}

const DEPTH_MAX = 20;

/** The JSON with as many items of its longest array as fit; `undefined` if not even one does. */
export function cutJson(json: unknown, text: string, max_chars: number): JsonPart | undefined {
  const found = findArray(json);
  if (found === undefined) return undefined;
  const [first = found.end - 1] = found.starts;
  const room = max_chars - (text.length - (found.end - 1 - first));
  const kept = countFitting(found, 0, room);
  if (kept === 0) return undefined;
  const part = replaceAt(json, found.path, found.items.slice(0, kept));
  return { json: part, ...describe(found, 0, kept) };
}

/** The items of the longest array from `offset` on, if an item begins there. */
export function itemsFrom(json: unknown, offset: number, max_chars: number): JsonPart | undefined {
  const found = findArray(json);
  const from = found?.starts.indexOf(offset) ?? -1;
  if (found === undefined || from === -1) return undefined;
  const kept = countFitting(found, from, max_chars - 2);
  if (kept === 0) return undefined;
  return { json: found.items.slice(from, from + kept), ...describe(found, from, kept) };
}

function describe({ path, items, starts }: FoundArray, from: number, kept: number) {
  const { length: of } = items;
  return { path: path.join('.'), from, kept, of, next_offset: starts[from + kept] ?? null };
}

/** How many items from `from` on take at most `room` characters. */
function countFitting({ items, starts, end }: FoundArray, from: number, room: number): number {
  const start = starts[from] ?? end;
  let kept = 0;
  while (from + kept < items.length && (starts[from + kept + 1] ?? end) - 1 - start <= room) kept += 1;
  return kept;
}

/** Follows the longest property, or the only item, down to an array. */
function findArray(json: unknown): FoundArray | undefined {
  const path: string[] = [];
  let value = json;
  let start = 0;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (Array.isArray(value)) return { path, items: value, ...startsOf(value, start) };
    if (typeof value !== 'object' || value === null) return undefined;
    let at = start + 1;
    let longest = { name: '', value: undefined as unknown, start: 0, length: -1 };
    for (const [name, inner] of Object.entries(value)) {
      at += JSON.stringify(name).length + 1;
      const { length } = JSON.stringify(inner);
      if (length > longest.length) longest = { name, value: inner, start: at, length };
      at += length + 1;
    }
    if (longest.length === -1) return undefined;
    path.push(longest.name);
    ({ value, start } = longest);
  }
  return undefined;
}

function startsOf(items: readonly unknown[], array_start: number): Pick<FoundArray, 'starts' | 'end'> {
  let at = array_start + 1;
  const starts = items.map((item) => {
    const start = at;
    at += JSON.stringify(item).length + 1;
    return start;
  });
  return { starts, end: items.length === 0 ? array_start + 2 : at };
}

/** A copy in which the value at `path` is another one. */
function replaceAt(json: unknown, path: readonly string[], replacement: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return replacement;
  return Object.fromEntries(
    Object.entries(json as object).map(([key, value]) => [
      key,
      key === name ? replaceAt(value, rest, replacement) : value,
    ]),
  );
}
