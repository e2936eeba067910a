/**
 * The security headers of every response. A header that a page has set, such as its own content security policy, is
 * kept.
 */
import type { ServerResponse } from 'node:http';

const COMMON_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Cache-Control', 'no-store'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];
/** One year, without subdomains. */
const HSTS = 'max-age=31536000';

/**
 * Sets the headers on Node's response. The headers of the `Response` override them when it is sent. Faster than
 * `withHeaders`: the adapter can then send the `Response` without creating a real one.
 */
export function setHeaders(
  outgoing: ServerResponse,
  request_id: string,
  own: ReadonlyMap<string, string>,
  is_https: boolean,
): void {
  for (const [name, value] of COMMON_HEADERS) outgoing.setHeader(name, value);
  if (is_https) outgoing.setHeader('Strict-Transport-Security', HSTS);
  outgoing.setHeader('X-Request-ID', request_id);
  for (const [name, value] of own) outgoing.setHeader(name, value);
}

/** Returns the response with the headers. Copies it if its headers are immutable. */
export function withHeaders(
  given: Response,
  request_id: string,
  own: ReadonlyMap<string, string>,
  is_https: boolean,
): Response {
  const response = hasMutableHeaders(given) ? given : new Response(given.body, given);
  const { headers } = response;
  headers.set('X-Request-ID', request_id);
  // Only the listener decides whether the connection is kept.
  headers.delete('Connection');
  for (const [name, value] of own) headers.set(name, value);
  for (const [name, value] of COMMON_HEADERS) if (!headers.has(name)) headers.set(name, value);
  if (is_https && !headers.has('Strict-Transport-Security')) headers.set('Strict-Transport-Security', HSTS);
  return response;
}

function hasMutableHeaders({ headers }: Response): boolean {
  try {
    headers.delete('X-Request-ID');
    return true;
  } catch {
    return false;
  }
}
