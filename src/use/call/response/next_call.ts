/** The arguments of the call that requests the next page of a response. */
import { isJsonObject } from '../../../io/json_object.ts';
import { isCovered } from '../../../services/destination.ts';
import { baseUrlOf } from '../request/placement.ts';
import type { ParsedCall, PreparedCall } from '../request/prepare.ts';
import type { CallUrl } from '../request/url.ts';
import { findNextPage, type NextPage, type PagedResponse } from './next_page.ts';

export interface NextCall extends Readonly<Record<string, unknown>> {
  readonly service_id: string;
  readonly path: string;
}

/** A call with a long body is not repeated in its result. */
const NEXT_MAX_CHARACTERS = 8_000;

/** `undefined` if there is no next page, or it is not on a host of the service. */
export function nextCall(prepared: PreparedCall, response: PagedResponse): NextCall | undefined {
  const { credential, request, input } = prepared;
  const query = new URLSearchParams(request.url.query);
  const body = isJsonObject(input.body) ? input.body : {};
  const { method, url } = request;
  const page = findNextPage(credential.service.pagination, { method, query, body }, response);
  if (page === undefined) return undefined;
  const changed = 'url' in page ? byUrl(prepared, page.url) : byParameter(prepared, page, query, url);
  if (changed === undefined) return undefined;
  const { service_id, name, stack_id, headers } = input;
  const same = Object.entries({ name, stack_id, headers }).filter(([, value]) => value !== undefined);
  const next = { service_id, ...changed, ...Object.fromEntries(same) };
  return JSON.stringify(next).length <= NEXT_MAX_CHARACTERS ? next : undefined;
}

/** A link is followed with GET. */
function byUrl({ credential, request, placement }: PreparedCall, link: string) {
  const base = `${request.url.origin}${request.url.path}`;
  const url = URL.canParse(link, base) ? new URL(link, base) : undefined;
  if (url === undefined || !isCovered(url.origin, credential.destination.origins)) return undefined;
  // A service may repeat the credential in its links.
  for (const name of placement.parameters) url.searchParams.delete(name);
  return { path: pathText(url, baseUrlOf(credential)) };
}

function byParameter(
  { credential, request, input }: PreparedCall,
  { parameter, value }: Extract<NextPage, { parameter: string }>,
  query: URLSearchParams,
  { origin, path }: CallUrl,
) {
  const url = new URL(`${origin}${path}`);
  const is_in_body = request.method === 'POST' && !query.has(parameter);
  if (is_in_body && !isObjectBody(input)) return undefined;
  if (!is_in_body) query.set(parameter, String(value));
  url.search = query.toString();
  return {
    ...(request.method === 'GET' ? {} : { method: request.method }),
    path: pathText(url, baseUrlOf(credential)),
    ...(is_in_body
      ? { body: { ...(input.body as object | undefined), [parameter]: value } }
      : input.body === undefined
        ? {}
        : { body: input.body }),
  };
}

function isObjectBody({ body, body_base64 }: ParsedCall): boolean {
  return body_base64 === undefined && (body === undefined || isJsonObject(body));
}

/** The path alone, unless a call would read it as one below the base URL, or of another host. */
function pathText(url: URL, base_url: string | undefined): string {
  const base = base_url === undefined ? undefined : new URL(base_url);
  const folder = base?.pathname.replace(/\/$/, '') ?? '';
  const is_below = url.pathname === folder || url.pathname.startsWith(`${folder}/`);
  const path = `${url.pathname}${url.search}`;
  return url.origin === base?.origin && is_below ? path : `${url.origin}${path}`;
}
