/**
 * Adds a server to the text of a JSON configuration with comments, replaces it, removes it. Every other character stays:
 * comments, unknown keys, order, indentation, line ends. Touches no file.
 *
 * A new entry becomes the first one of its object: there no comment and no trailing comma belongs to a neighbour.
 * `modify` of jsonc-parser formats the neighbours again, moves their comments and leaves `{,}` after a removal.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  applyEdits,
  createScanner,
  type Edit,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
} from 'jsonc-parser';
import { VaultError } from '../../../contract/errors.ts';
import type { ServerEntry } from './clients.ts';

/** A server in a configuration file. `title` names the client in messages. */
export interface ServerLocation {
  readonly title: string;
  readonly servers_key: string;
  readonly name: string;
}

export interface EditedText {
  readonly text: string;
  readonly outcome: 'added' | 'replaced' | 'removed' | 'unchanged';
}

interface Style {
  readonly eol: string;
  /** One step of indentation. Empty: the document is one line and stays one line. */
  readonly indent: string;
}

/** Compares the server in the text with the entry. Throws INVALID_INPUT as `setServer` does. */
export function serverState(
  text: string,
  location: ServerLocation,
  entry: ServerEntry,
): 'same' | 'differs' | 'absent' {
  const server = findServer(text, location).server?.children?.[1];
  if (server === undefined) return 'absent';
  // Through JSON: the parser creates objects without a prototype, which never equal others strictly.
  return isDeepStrictEqual(JSON.parse(JSON.stringify(getNodeValue(server))), entry) ? 'same' : 'differs';
}

/**
 * Returns the text with the server set to the entry. Empty text counts as an empty object. Throws INVALID_INPUT with the
 * line if the text is not JSON (comments and trailing commas are allowed), if the key of the servers or of the server
 * occurs twice, or if the root or the servers are not an object.
 */
export function setServer(text: string, location: ServerLocation, entry: ServerEntry): EditedText {
  const { root, servers, server } = findServer(text, location);
  if (serverState(text, location, entry) === 'same') return { text, outcome: 'unchanged' };
  const style = styleOf(text, root);
  const value = server?.children?.[1];
  if (value !== undefined) {
    const content = formatValue(entry, style, lineIndent(text, value.offset));
    const edits = [{ offset: value.offset, length: value.length, content }];
    return { text: applyEdits(text, edits), outcome: 'replaced' };
  }
  const whole = { [location.servers_key]: { [location.name]: entry } };
  if (root === undefined) {
    const gap = text === '' || text.endsWith('\n') ? '' : style.eol;
    return { text: `${text}${gap}${formatValue(whole, style, '')}${style.eol}`, outcome: 'added' };
  }
  const edit =
    servers === undefined
      ? insertProperty(text, root, location.servers_key, whole[location.servers_key], style)
      : insertProperty(text, servers, location.name, entry, style);
  return { text: applyEdits(text, [edit]), outcome: 'added' };
}

/** Returns the text without the server; its comments stay. Throws INVALID_INPUT as `setServer` does. */
export function removeServer(text: string, location: ServerLocation): EditedText {
  const { servers, server } = findServer(text, location);
  if (servers === undefined || server === undefined) return { text, outcome: 'unchanged' };
  return { text: applyEdits(text, removeProperty(text, servers, server)), outcome: 'removed' };
}

function findServer(text: string, { title, servers_key, name }: ServerLocation) {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const reject = (offset: number, what: string): never => {
    const line = text.slice(0, offset).split('\n').length;
    throw new VaultError(
      'INVALID_INPUT',
      `The configuration file of ${title} ${what} (line ${line}). Fix it and run this again; nothing was changed. ` +
        '`keyhold install` without a client lists the path of the file.',
    );
  };
  const [error] = errors;
  if (error !== undefined) reject(error.offset, 'is not valid JSON');
  if (root !== undefined && root.type !== 'object') reject(root.offset, 'is not a JSON object');
  const child = (object: Node | undefined, key: string): Node | undefined => {
    const [found, second] = (object?.children ?? []).filter(
      (property) => property.children?.[0]?.value === key,
    );
    // JSON parsers differ in which of two equal keys they use.
    if (second !== undefined) reject(second.offset, 'has the same key twice');
    return found;
  };
  const servers = child(root, servers_key)?.children?.[1];
  if (servers !== undefined && servers.type !== 'object') {
    reject(servers.offset, `has no object under "${servers_key}"`);
  }
  return { root, servers, server: child(servers, name) };
}

function insertProperty(text: string, object: Node, key: string, value: unknown, style: Style): Edit {
  const offset = object.offset + 1;
  const is_empty = (object.children ?? []).length === 0;
  const comma = is_empty ? '' : ',';
  const is_one_line = !text.slice(offset, object.offset + object.length).includes('\n');
  if (style.indent === '' || (is_one_line && !is_empty)) {
    const content = `${JSON.stringify(key)}:${JSON.stringify(value)}${comma}`;
    return { offset, length: 0, content: style.indent === '' ? content : ` ${content}` };
  }
  const outer = lineIndent(text, object.offset);
  const inner = outer + style.indent;
  const property = `${style.eol}${inner}${JSON.stringify(key)}: ${formatValue(value, style, inner)}${comma}`;
  return { offset, length: 0, content: is_one_line ? property + style.eol + outer : property };
}

function removeProperty(text: string, object: Node, property: Node): Edit[] {
  const children = object.children ?? [];
  const end = property.offset + property.length;
  const edits: Edit[] = [];
  const previous = children[children.indexOf(property) - 1];
  const comma = findComma(text, end) ?? (previous && findComma(text, previous.offset + previous.length));
  const is_adjacent = comma !== undefined && comma >= end && text.slice(end, comma).trim() === '';
  if (comma !== undefined && !is_adjacent) edits.push({ offset: comma, length: 1, content: '' });
  const to = is_adjacent ? comma + 1 : end;
  // The blanks before the property go too, and its line if nothing else is on it.
  let from = property.offset;
  while (text[from - 1] === ' ' || text[from - 1] === '\t') from -= 1;
  if (text[from - 1] === '\n' && /^[ \t]*(?:\r?\n|$)/.test(text.slice(to)))
    from = text.slice(0, from).trimEnd().length;
  const close = object.offset + object.length - 1;
  const is_last = (text.slice(object.offset + 1, from) + text.slice(to, close)).trim() === '';
  return is_last
    ? [{ offset: object.offset + 1, length: close - object.offset - 1, content: '' }]
    : [...edits, { offset: from, length: to - from, content: '' }];
}

/** Returns the offset of the comma that follows, if nothing but comments comes before it. */
function findComma(text: string, offset: number): number | undefined {
  const scanner = createScanner(text, true);
  scanner.setPosition(offset);
  scanner.scan();
  const at = scanner.getTokenOffset();
  return text[at] === ',' ? at : undefined;
}

function styleOf(text: string, root: Node | undefined): Style {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const first = root?.children?.[0];
  if (root === undefined || first === undefined) return { eol, indent: '  ' };
  const is_one_line = !text.slice(root.offset, root.offset + root.length).includes('\n');
  return { eol, indent: is_one_line ? '' : lineIndent(text, first.offset) || '  ' };
}

function formatValue(value: unknown, { eol, indent }: Style, outer: string): string {
  return JSON.stringify(value, null, indent).replaceAll('\n', eol + outer);
}

function lineIndent(text: string, offset: number): string {
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset);
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}
