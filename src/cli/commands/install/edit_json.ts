/**
 * Puts a server into the text of a JSON configuration, replaces it, takes it out. Every character that does not
 * belong to that server stays: comments, order, indentation, trailing commas, line ends. Touches no file.
 *
 * jsonc-parser's own `modify` formats the lines around an edit anew, drops comments next to a removed property and
 * leaves `{ , }` behind, so the edits are computed here from its syntax tree.
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

/** Which server of which file: `title` is the client's, for messages. */
export interface ServerPlace {
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

/** How the server stands in the text: `same` as the entry, otherwise (`differs`), or not at all. INVALID_INPUT as below. */
export function serverState(
  text: string,
  place: ServerPlace,
  entry: ServerEntry,
): 'same' | 'differs' | 'absent' {
  const server = findServer(text, place).server?.children?.[1];
  if (server === undefined) return 'absent';
  // Through JSON, because the parser makes objects without a prototype, which are never strictly equal to others.
  return isDeepStrictEqual(JSON.parse(JSON.stringify(getNodeValue(server))), entry) ? 'same' : 'differs';
}

/**
 * The text with the server set to the entry. Empty text counts as an empty object.
 * INVALID_INPUT, naming the line, when the text is not JSON (comments and trailing commas are allowed), when a key
 * on the way is there twice, or when the root or the servers are no object.
 */
export function setServer(text: string, place: ServerPlace, entry: ServerEntry): EditedText {
  const { root, servers, server } = findServer(text, place);
  const value = server?.children?.[1];
  if (value !== undefined && serverState(text, place, entry) === 'same')
    return { text, outcome: 'unchanged' };
  const style = styleOf(text, root);
  if (root === undefined) {
    const gap = text === '' || text.endsWith('\n') ? '' : style.eol;
    const whole = formatValue({ [place.servers_key]: { [place.name]: entry } }, style, '');
    return { text: `${text}${gap}${whole}${style.eol}`, outcome: 'added' };
  }
  if (value !== undefined) {
    const content = formatValue(entry, style, lineIndent(text, value.offset));
    return {
      text: applyEdits(text, [{ offset: value.offset, length: value.length, content }]),
      outcome: 'replaced',
    };
  }
  const edits =
    servers === undefined
      ? insertProperty(text, root, place.servers_key, { [place.name]: entry }, style)
      : insertProperty(text, servers, place.name, entry, style);
  return { text: applyEdits(text, edits), outcome: 'added' };
}

/** The text without the server; its comments stay. INVALID_INPUT as for `setServer`. */
export function removeServer(text: string, place: ServerPlace): EditedText {
  const { servers, server } = findServer(text, place);
  if (servers === undefined || server === undefined) return { text, outcome: 'unchanged' };
  return { text: applyEdits(text, removeProperty(text, servers, server)), outcome: 'removed' };
}

function findServer(text: string, { title, servers_key, name }: ServerPlace) {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const refuse = (offset: number, what: string): never => {
    const line = text.slice(0, offset).split('\n').length;
    throw new VaultError(
      'INVALID_INPUT',
      `The configuration file of ${title} ${what} (line ${line}). Mend it and run this again; nothing was changed. ` +
        'Without a client, "keyhold install" lists where the file is.',
    );
  };
  const [error] = errors;
  if (error !== undefined) refuse(error.offset, 'is not valid JSON');
  if (root !== undefined && root.type !== 'object') refuse(root.offset, 'is not a JSON object');
  const child = (object: Node | undefined, key: string): Node | undefined => {
    const [found, second] = (object?.children ?? []).filter(
      (property) => property.children?.[0]?.value === key,
    );
    // Readers of JSON differ on which of two equal keys counts.
    if (second !== undefined) refuse(second.offset, 'has the same key twice');
    return found;
  };
  const servers = child(root, servers_key)?.children?.[1];
  if (servers !== undefined && servers.type !== 'object') {
    refuse(servers.offset, `has something else than an object under "${servers_key}"`);
  }
  return { root, servers, server: child(servers, name) };
}

function insertProperty(text: string, object: Node, key: string, value: unknown, style: Style): Edit[] {
  const close = object.offset + object.length - 1;
  const last = object.children?.at(-1);
  const start = last === undefined ? object.offset + 1 : last.offset + last.length;
  const { comma, content_end } = readGap(text, start, close);
  const outer = lineIndent(text, object.offset);
  if (last === undefined) {
    const inner = outer + style.indent;
    const property = formatProperty(key, value, style, inner);
    const content = style.indent === '' ? property : style.eol + inner + property + style.eol + outer;
    return [{ offset: content_end, length: close - content_end, content }];
  }
  // Before the comments that follow the last value, so that they stay with it.
  const edits: Edit[] = comma === undefined ? [{ offset: start, length: 0, content: ',' }] : [];
  const one_line = !text.slice(object.offset, close).includes('\n');
  const gap = style.indent === '' ? '' : ' ';
  const inner = startsLine(text, last.offset) ? lineIndent(text, last.offset) : outer + style.indent;
  const property = one_line
    ? gap + formatProperty(key, value, { ...style, indent: '' }, '')
    : style.eol + inner + formatProperty(key, value, style, inner);
  edits.push({ offset: content_end, length: 0, content: property + (comma === undefined ? '' : ',') });
  return edits;
}

function removeProperty(text: string, object: Node, property: Node): Edit[] {
  const properties = object.children ?? [];
  const at = properties.indexOf(property);
  const before = properties[at - 1];
  const after = properties[at + 1];
  const close = object.offset + object.length - 1;
  const end = property.offset + property.length;
  const following = readGap(text, end, after?.offset ?? close);
  const edits: Edit[] = [];
  let from = property.offset;
  let to = end;
  if (following.comma !== undefined) {
    // Only a comma that stands right at the value goes with it in one piece; a comment between them stays.
    if (text.slice(end, following.comma).trim() === '') to = following.comma + 1;
    else edits.push({ offset: following.comma, length: 1, content: '' });
  } else if (before !== undefined) {
    const preceding = readGap(text, before.offset + before.length, property.offset);
    if (preceding.comma !== undefined) edits.push({ offset: preceding.comma, length: 1, content: '' });
  }
  const blank_after = to + (/^[ \t]*/.exec(text.slice(to))?.[0].length ?? 0);
  const line_ends = /^(?:\r?\n|$)/.test(text.slice(blank_after));
  if (startsLine(text, from) && line_ends) {
    from = text.lastIndexOf('\n', from - 1);
    if (text[from - 1] === '\r') from -= 1;
    to = blank_after;
  } else if ((after === undefined || line_ends) && !startsLine(text, from)) {
    const line = text.slice(text.lastIndexOf('\n', from - 1) + 1, from);
    from -= line.length - line.trimEnd().length;
  } else {
    to = blank_after;
  }
  const alone =
    properties.length === 1 &&
    text.slice(object.offset + 1, from).trim() === '' &&
    text.slice(to, close).trim() === '';
  if (alone && edits.length === 0) {
    return [{ offset: object.offset + 1, length: close - object.offset - 1, content: '' }];
  }
  return [...edits, { offset: from, length: to - from, content: '' }];
}

/** What stands between two parts of an object: where its comma is, and where its last comma or comment ends. */
function readGap(
  text: string,
  start: number,
  end: number,
): { readonly comma?: number; readonly content_end: number } {
  const scanner = createScanner(text, false);
  scanner.setPosition(start);
  let comma: number | undefined;
  let content_end = start;
  for (scanner.scan(); scanner.getTokenOffset() < end; scanner.scan()) {
    const token_end = scanner.getTokenOffset() + scanner.getTokenLength();
    const token = text.slice(scanner.getTokenOffset(), token_end);
    if (token === ',') comma = scanner.getTokenOffset();
    if (token.trim() !== '') content_end = token_end;
  }
  return { ...(comma === undefined ? {} : { comma }), content_end };
}

function styleOf(text: string, root: Node | undefined): Style {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const first = root?.children?.[0];
  if (root === undefined || first === undefined) return { eol, indent: '  ' };
  if (!text.slice(root.offset, root.offset + root.length).includes('\n')) return { eol, indent: '' };
  const indent = startsLine(text, first.offset) ? lineIndent(text, first.offset) : '';
  return { eol, indent: indent === '' ? '  ' : indent };
}

function formatProperty(key: string, value: unknown, style: Style, indent: string): string {
  return `${JSON.stringify(key)}:${style.indent === '' ? '' : ' '}${formatValue(value, style, indent)}`;
}

function formatValue(value: unknown, style: Style, indent: string): string {
  if (style.indent === '') return JSON.stringify(value);
  return JSON.stringify(value, null, style.indent).replaceAll('\n', style.eol + indent);
}

function lineIndent(text: string, offset: number): string {
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset);
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}

function startsLine(text: string, offset: number): boolean {
  const newline = text.lastIndexOf('\n', offset - 1);
  return newline >= 0 && text.slice(newline + 1, offset).trim() === '';
}
