/**
 * The URL of a call (WHATWG URL Standard): a path below the base URL of the service, or a full URL of a bound origin. The
 * caller decides nothing else about where the request goes: text that parsers read in different ways is refused.
 */

import { VaultError } from '../../../contract/errors.ts';
import type { CallInput } from '../../../contract/use/call.ts';
import { isCovered } from '../../../services/destination.ts';

/** A URL to which no part of the credential has been added. */
export interface CallUrl {
  readonly origin: string;
  /** Without the query, percent-encoded. */
  readonly path: string;
  /** Without the question mark; empty without a query. */
  readonly query: string;
}

export interface UrlRules {
  /** With all fields expanded; `undefined` if the service has none, so that only full URLs work. */
  readonly base_url: string | undefined;
  /** Those that the credential is bound to. */
  readonly origins: readonly string[];
  /** Query parameters that the credential is added as. */
  readonly own_parameters: readonly string[];
}

const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\//i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are refused.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\\\u2028\u2029]/;
const ENCODED_SLASH = /\/|%2f|%5c/i;

export function buildUrl({ path, query }: Pick<CallInput, 'path' | 'query'>, rules: UrlRules): CallUrl {
  const typed = (path ?? '').trim();
  if (typed === '')
    throw invalid('path is missing. Give the path of the API, such as "/v1/users", or response_id.');
  if (UNSAFE.test(typed)) throw invalid('path must not contain control characters or backslashes.');
  if (typed.includes('#')) throw invalid('path must not contain a fragment. Write "#" in a value as %23.');
  const [target = '', ...queries] = typed.split('?');
  const { origin, path: parsed } = ABSOLUTE.test(typed)
    ? parseAbsolute(target, rules)
    : parseRelative(target, rules);
  return { origin, path: parsed, query: mergeQuery(queries.join('?'), query ?? {}, rules.own_parameters) };
}

function parseAbsolute(
  typed: string,
  { origins }: UrlRules,
): { readonly origin: string; readonly path: string } {
  const url = parseUrl(typed);
  if (url.username !== '' || url.password !== '' || /^[^/]*:\/\/[^/]*@/.test(typed))
    throw invalid('path must not contain a user name or password.');
  if (!isCovered(url.origin, origins)) {
    const message = `The credential may not be sent to that host. Its hosts: ${origins.join(', ') || 'none'}.`;
    throw new VaultError('FORBIDDEN', message);
  }
  assertPlainPath(typed.replace(ABSOLUTE, '').replace(/^[^/]*/, ''));
  return { origin: url.origin, path: url.pathname };
}

function parseRelative(typed: string, { base_url, origins }: UrlRules) {
  if (base_url === undefined)
    throw invalid(`The service has no base URL. Give a full URL of one of its hosts: ${origins.join(', ')}.`);
  const base = parseUrl(base_url);
  if (!isCovered(base.origin, origins))
    throw new VaultError(
      'FORBIDDEN',
      'The credential is not bound to the host of the service. Store its secrets again.',
    );
  const path = typed.startsWith('/') ? typed : `/${typed}`;
  assertPlainPath(path);
  const folder = base.pathname.replace(/\/$/, '');
  // Callers often repeat the path of the base URL, which documentation has in every example.
  const whole = path === folder || path.startsWith(`${folder}/`) ? path : `${folder}${path}`;
  return { origin: base.origin, path: parseUrl(`${base.origin}${whole}`).pathname };
}

/** Throws for a path that a server could read as another one. */
function assertPlainPath(path: string): void {
  if (path.includes('//'))
    throw invalid('path must not contain "//". Write a URL inside of a path with %3A%2F%2F.');
  if (/%00/.test(path)) throw invalid('path must not contain %00.');
  // Some servers decode %2F and %2E, and cut a segment at ";", before they resolve dots.
  const segments = path.split(ENCODED_SLASH).map((segment) => segment.replaceAll(/%2e/gi, '.'));
  if (segments.some((segment) => /^\.{1,2}$/.test(segment.split(/;|%3b/i)[0] ?? '')))
    throw invalid('path must not contain "." or ".." segments. Write the path that they lead to.');
}

/** Adds `query` to the query of the path. A parameter of the same name replaces it. */
function mergeQuery(
  typed: string,
  query: NonNullable<CallInput['query']>,
  own_parameters: readonly string[],
): string {
  const names = new Set(Object.keys(query));
  const kept = typed
    .split('&')
    .filter((part) => part !== '')
    .map((part) => ({ part, name: decodeName(part.split('=')[0] ?? '') }));
  for (const name of [...names, ...kept.map((one) => one.name)])
    if (own_parameters.some((own) => own.toLowerCase() === name.toLowerCase()))
      throw invalid('The query has a parameter that carries the credential. Leave it out: Keyhold adds it.');
  const added = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${encodeQuery(name)}=${encodeQuery(String(one))}`),
  );
  const parts = [...kept.filter(({ name }) => !names.has(name)).map(({ part }) => part), ...added];
  return parts.length === 0 ? '' : parseUrl(`https://host/?${parts.join('&')}`).search.slice(1);
}

export function encodeQuery(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new VaultError('INVALID_INPUT', 'path is not a valid path or URL.', { cause });
  }
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
