/** Checks of requests to the pages: which site sent a POST, its CSRF token, and where the browser goes after a sign-in. */
import { timingSafeEqual } from 'node:crypto';
import { HttpError } from '../../http/error_response.ts';
import { isLoopbackHost } from '../../io/server_url.ts';

/** The name of the field with the CSRF token. */
export const CSRF_FIELD = 'csrf_token';
const HOME = '/dashboard';
const NEXT_MAX_CHARACTERS = 500;

/**
 * Throws 403 unless a page of this server sent the POST. Browsers send Origin with every POST, so one without it is refused too.
 * `own_origins`: of the public URL, and of the request itself.
 */
export function assertSameOrigin(headers: Headers, own_origins: readonly string[]): void {
  const site = headers.get('sec-fetch-site') ?? 'same-origin';
  if (site === 'same-origin' && own_origins.includes(headers.get('origin') ?? '')) return;
  throw new HttpError(
    403,
    'FORBIDDEN',
    'This request did not come from a page of this server, so nothing was changed. Open the page again and repeat it there.',
  );
}

/** Throws 403 unless the fields have the CSRF token of the session. */
export function assertCsrfToken(form: FormData, expected: string): void {
  const given = form.get(CSRF_FIELD);
  if (typeof given === 'string' && isSameText(given, expected)) return;
  throw new HttpError(
    403,
    'FORBIDDEN',
    'The page was made for another session, so nothing was changed. Open it again and repeat it there.',
  );
}

/** Throws 405 for HEAD, which arrives where GET does: a callback is a GET that changes something. */
export function assertCallbackMethod(method: string): void {
  if (method !== 'GET') throw new HttpError(405, 'INVALID_INPUT', 'A callback is a GET.', { Allow: 'GET' });
}

/**
 * Throws 403 if a password or a session token could be read on the network: only https, or a browser and a server on one
 * machine, keep them private.
 */
export function assertPrivateConnection(headers: Headers, public_url: string): void {
  const { protocol, hostname } = new URL(public_url);
  if (protocol === 'https:') return;
  const host = headers.get('host') ?? '';
  const is_loopback =
    isLoopbackHost(hostname) &&
    URL.canParse(`http://${host}`) &&
    isLoopbackHost(new URL(`http://${host}`).hostname);
  // A proxy that forwards requests of other machines.
  const is_forwarded = ['x-forwarded-for', 'x-forwarded-host', 'forwarded'].some((name) => headers.has(name));
  if (is_loopback && !is_forwarded) return;
  throw new HttpError(
    403,
    'FORBIDDEN',
    'Over plain http others on the network could read your sign-in. Use https: the operator sets KEYHOLD_PUBLIC_URL to an https URL.',
  );
}

/** The path to go to after a sign-in: a page of this server, or the first one. Never another site. */
export function safeNextPath(text: string | undefined): string {
  if (text === undefined || text.length > NEXT_MAX_CHARACTERS || !/^\/dashboard(?:[/?]|$)/.test(text))
    return HOME;
  // A browser reads a backslash as a slash, and drops line breaks and tabs.
  if (/[\\\p{Cc}]/u.test(text) || !URL.canParse(text, 'http://here.invalid')) return HOME;
  const { origin, pathname, search } = new URL(text, 'http://here.invalid');
  const is_page = origin === 'http://here.invalid' && (pathname === HOME || pathname.startsWith(`${HOME}/`));
  return is_page && !/^\/dashboard\/(?:sign-|assets\/)/.test(pathname) ? pathname + search : HOME;
}

/** Compares in a time that does not depend on the content. */
export function isSameText(a: string, b: string): boolean {
  const [first, second] = [Buffer.from(a), Buffer.from(b)];
  return first.length === second.length && timingSafeEqual(first, second);
}
