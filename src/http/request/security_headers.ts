/** The headers of every answer. What a page sets for itself, such as its own content security policy, stays. */
import type { ServerResponse } from 'node:http';

const FOR_ALL: readonly (readonly [name: string, value: string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Cache-Control', 'no-store'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];
/** A year, for the host that people reach it by. */
const HSTS = 'max-age=31536000';

/**
 * Writes them on the answer of the connection, beside the `Response`, whose own headers win when it is sent. The adapter
 * sends a `Response` that nobody has looked into without ever making one of the platform's, which costs far more.
 */
export function setHeaders(
  outgoing: ServerResponse,
  request_id: string,
  own: ReadonlyMap<string, string>,
  is_https: boolean,
): void {
  for (const [name, value] of FOR_ALL) outgoing.setHeader(name, value);
  if (is_https) outgoing.setHeader('Strict-Transport-Security', HSTS);
  outgoing.setHeader('X-Request-ID', request_id);
  for (const [name, value] of own) outgoing.setHeader(name, value);
}

/** The answer with its headers, where there is no connection. */
export function withHeaders(
  given: Response,
  request_id: string,
  own: ReadonlyMap<string, string>,
  is_https: boolean,
): Response {
  const response = isWritable(given) ? given : new Response(given.body, given);
  const { headers } = response;
  headers.set('X-Request-ID', request_id);
  // Whether a connection is kept is for the listener alone to say.
  headers.delete('Connection');
  for (const [name, value] of own) headers.set(name, value);
  for (const [name, value] of FOR_ALL) if (!headers.has(name)) headers.set(name, value);
  if (is_https && !headers.has('Strict-Transport-Security')) headers.set('Strict-Transport-Security', HSTS);
  return response;
}

function isWritable({ headers }: Response): boolean {
  try {
    headers.delete('X-Request-ID');
    return true;
  } catch {
    return false;
  }
}
