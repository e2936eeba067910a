/** The headers of every answer. What a page sets for itself, such as its own content security policy, stays. */

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

/** The answer with its headers: a new one where those of the given one cannot be changed, as for what `fetch` got. */
export function withHeaders(
  given: Response,
  request_id: string,
  own: ReadonlyMap<string, string>,
  is_https: boolean,
): Response {
  const response = isWritable(given) ? given : new Response(given.body, given);
  const { headers } = response;
  headers.set('X-Request-ID', request_id);
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
