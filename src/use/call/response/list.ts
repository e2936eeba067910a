/** Finds the list of records in a JSON response, and single values in it. Pure functions. */

import { isJsonObject } from '../../../io/json_object.ts';

/** `{"hits": {"hits": []}}`. */
const DEPTH_MAX = 2;

/**
 * The array of objects that is nearest to the top, the longest of several. Not one within an object that has an `id`: a
 * single record, such as a user with roles, is not a list.
 */
export function listIn(json: unknown): readonly unknown[] | undefined {
  let level: readonly unknown[] = [json];
  for (let depth = 0; depth <= DEPTH_MAX; depth++) {
    const lists = level.filter((value): value is unknown[] => Array.isArray(value) && isJsonObject(value[0]));
    const [longest] = lists.sort((a, b) => b.length - a.length);
    if (longest !== undefined) return longest;
    level = level
      .filter((value) => isJsonObject(value) && !('id' in value))
      .flatMap((value) => Object.values(value as object));
  }
  return undefined;
}

/** The value at a JSON pointer (RFC 6901); `undefined` if it is missing. */
export function valueAt(json: unknown, pointer: string): unknown {
  let value = json;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}
