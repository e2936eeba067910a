/**
 * Finds where a response continues: in its header Link (RFC 8288), or by the pagination of the definition. Suggests no page
 * unless the response has one or looks like a page of a list, since a caller would request a page that does not exist.
 */
import type { Pagination } from '../../../contract/service/operations.ts';
import { isJsonObject } from '../../../io/json_object.ts';
import type { Content } from './content.ts';
import { listIn, valueAt } from './list.ts';

/** A URL, absolute or not, or a parameter to set in the same request. */
export type NextPage =
  | { readonly url: string }
  | { readonly parameter: string; readonly value: string | number };

/** The parts of a request that page parameters can be in. */
export interface PagedRequest {
  readonly method: string;
  readonly query: URLSearchParams;
  /** An object that the caller gave as the body. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface PagedResponse {
  readonly content: Content;
  /** The header without values of the credential. */
  readonly header: (name: string) => string | undefined;
}

const LINK = /<([^<>]*)>((?:\s*;\s*[a-z*]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)/gi;
const NEXT = /;\s*rel\s*=\s*(?:next(?=[\s;]|$)|"(?:[^"]*\s)?next(?:\s[^"]*)?")/i;
const CURSOR_MAX_CHARACTERS = 4_000;
/** Parameters with which services take the number of items of a page. */
const SIZE_NAMES = [
  'limit',
  'per_page',
  'perPage',
  'page_size',
  'pageSize',
  'page[size]',
  'size',
  'count',
  'rows',
  'hitsPerPage',
  'itemsPerPage',
  '_limit',
];
const TOTAL_NAMES = ['total', 'total_count', 'totalCount', 'TotalCount', 'total_items', 'total_results'];
const MORE_NAMES = ['has_more', 'hasMore', 'has_more_items'];

export function findNextPage(
  pagination: Pagination | undefined,
  request: PagedRequest,
  response: PagedResponse,
): NextPage | undefined {
  const link = nextLink(response.header('link'));
  if (link !== undefined) return { url: link };
  if (pagination === undefined || !['GET', 'POST'].includes(request.method)) return undefined;
  switch (pagination.style) {
    case 'cursor':
      return byCursor(pagination, response);
    case 'page':
      return byNumber(pagination, request, response.content, () => 1);
    case 'offset':
      return byNumber(pagination, request, response.content, (items) => items);
    case 'link_header':
    case 'none':
      return undefined;
  }
}

function nextLink(link = ''): string | undefined {
  const found = [...link.matchAll(LINK)].find(([, , parameters = '']) => NEXT.test(parameters));
  return found?.[1];
}

function byCursor(pagination: Pagination, response: PagedResponse): NextPage | undefined {
  const { parameter } = pagination;
  const cursor = cursorOf(pagination, response);
  if (cursor === undefined) return undefined;
  // Some services give the whole URL of the next page.
  if (/^https:\/\//i.test(cursor) || (cursor.startsWith('/') && (!parameter || cursor.includes('?'))))
    return { url: cursor };
  return parameter === undefined ? undefined : { parameter, value: cursor };
}

function cursorOf(
  { pointer, header, element, last_item }: Pagination,
  response: PagedResponse,
): string | undefined {
  const { content } = response;
  if (header !== undefined) return cursorText(response.header(header));
  // The name has letters only.
  if (element !== undefined)
    return content.kind === 'text'
      ? cursorText(new RegExp(`<${element}>([^<]*)</${element}>`).exec(content.text)?.[1])
      : undefined;
  if (content.kind !== 'json' || isLastPage(content.json, pointer ?? '')) return undefined;
  if (pointer !== undefined) return cursorText(valueAt(content.json, pointer));
  return last_item === undefined ? undefined : cursorText(valueAt(listIn(content.json)?.at(-1), last_item));
}

function cursorText(value: unknown): string | undefined {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  return text === '' || text.length > CURSOR_MAX_CHARACTERS ? undefined : text;
}

/** Whether the response reports it, at its top or near the cursor: some services give a cursor on the last page too. */
function isLastPage(json: unknown, pointer: string): boolean {
  const sibling = valueAt(json, pointer.slice(0, Math.max(0, pointer.lastIndexOf('/'))));
  return [json, sibling].some((one) => isJsonObject(one) && MORE_NAMES.some((name) => one[name] === false));
}

/** `step`: how far the parameter moves after a page with so many items. */
function byNumber(
  { parameter, style, first = style === 'page' ? 1 : 0 }: Pagination,
  request: PagedRequest,
  content: Content,
  step: (items: number) => number,
): NextPage | undefined {
  if (parameter === undefined || content.kind !== 'json') return undefined;
  const { json } = content;
  const size = SIZE_NAMES.map((name) => numberIn(request, name)).find((one) => one !== undefined);
  const given = numberIn(request, parameter);
  // A POST without such a parameter may have changed something.
  if (request.method === 'POST' && given === undefined && size === undefined) return undefined;
  const items = listIn(json)?.length ?? 0;
  if (items === 0 || (size !== undefined && items < size) || isLastPage(json, '')) return undefined;
  const value = (given ?? first) + step(items);
  const total = isJsonObject(json) ? TOTAL_NAMES.map((name) => json[name]).find(Number.isInteger) : undefined;
  if (style === 'offset' && typeof total === 'number' && value >= total) return undefined;
  return { parameter, value };
}

function numberIn({ query, body }: PagedRequest, name: string): number | undefined {
  const given = query.get(name) ?? body[name];
  const number = typeof given === 'number' ? given : Number.parseInt(String(given), 10);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}
