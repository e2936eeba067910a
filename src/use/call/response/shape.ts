/** The shape of a JSON value as JMESPath-like lines, from which a model can write a `select`: `items[].{id, title, ..}`. */
import { isJsonObject } from '../../../io/json_object.ts';

const LINES_MAX = 20;
const NAMES_MAX = 15;
const LINE_MAX_CHARACTERS = 200;

export function shapeOf(json: unknown): readonly string[] {
  if (!isJsonObject(json)) return [lineOf('', json)];
  const entries = Object.entries(json);
  const lines = entries.slice(0, LINES_MAX).map(([name, value]) => lineOf(name, value));
  return entries.length > LINES_MAX ? [...lines, '..'] : lines;
}

function lineOf(name: string, value: unknown): string {
  const line = `${name}${suffixOf(value, 0)}`;
  return line.length > LINE_MAX_CHARACTERS ? `${line.slice(0, LINE_MAX_CHARACTERS).toWellFormed()}..` : line;
}

function suffixOf(value: unknown, depth: number): string {
  if (Array.isArray(value))
    return `[]${value.length === 0 || depth > 2 ? '' : suffixOf(value[0], depth + 1)}`;
  if (!isJsonObject(value)) return '';
  const entries = Object.entries(value);
  // An object around a list, such as `data.issues.nodes[]`.
  const [only] = entries;
  if (entries.length === 1 && only !== undefined && depth < 5)
    return `.${only[0]}${suffixOf(only[1], depth + 1)}`;
  const names = entries.slice(0, NAMES_MAX).map(([name, inner]) => name + (Array.isArray(inner) ? '[]' : ''));
  return `.{${[...names, ...(entries.length > NAMES_MAX ? ['..'] : [])].join(', ')}}`;
}
