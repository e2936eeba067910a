/** Methods and paths of requests with a credential, and policies as text. Without zod, for programs that start fast. */

/** The methods of requests with a credential (RFC 9110, section 9; PATCH: RFC 5789). TRACE returns headers; CONNECT is no request to a service. */
export const USE_METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type UseMethod = (typeof USE_METHODS)[number];
/** RFC 9110, section 9.2.1. */
export const SAFE_METHODS: readonly UseMethod[] = ['GET', 'HEAD', 'OPTIONS'];

/** The members of a use policy; see `UsePolicy`. */
interface PolicyMembers {
  readonly methods?: readonly string[] | undefined;
  readonly path_prefixes?: readonly string[] | undefined;
  readonly calls_per_minute?: number | undefined;
  readonly expires_at?: string | undefined;
  readonly approve?: 'never' | 'writes' | 'always' | undefined;
}

/** The policy as text, for the audit log and lists; `null` without a limit. */
export function describePolicy(policy: PolicyMembers | null | undefined): string | null {
  if (policy === undefined || policy === null) return null;
  const { methods, path_prefixes, calls_per_minute, expires_at, approve } = policy;
  const parts = [
    ...(methods === undefined ? [] : [`methods ${methods.join(', ')}`]),
    ...(path_prefixes === undefined ? [] : [`paths ${path_prefixes.join(', ')}`]),
    ...(calls_per_minute === undefined ? [] : [`${calls_per_minute} uses a minute`]),
    ...(expires_at === undefined ? [] : [`until ${expires_at}`]),
    ...(approve === undefined || approve === 'never'
      ? []
      : [`approval of ${approve === 'always' ? 'all uses' : 'writes'}`]),
  ];
  return parts.length === 0 ? null : parts.join('; ');
}

/**
 * The segments of a path in one spelling (RFC 3986, section 6.2.2), without a trailing empty one. `undefined` for a path
 * that servers interpret differently, so that no prefix can be compared with it: empty and dot segments, path parameters,
 * backslashes, encoded separators, double encoding, and characters that are not allowed.
 */
export function pathSegments(path: string): readonly string[] | undefined {
  if (!/^\/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*$/.test(path)) return undefined;
  // A slash, a backslash, a semicolon, a percent sign and control characters.
  if (/%(?:2f|5c|3b|25|[01][0-9a-f]|7f)/i.test(path)) return undefined;
  const normal = path.replace(/%[0-9A-Fa-f]{2}/g, normalizeEscape);
  const segments = normal.slice(1).split('/');
  if (segments.at(-1) === '') segments.pop();
  return segments.some((segment) => segment === '' || segment === '.' || segment === '..')
    ? undefined
    : segments;
}

/** Decodes unreserved characters; others keep their escape, in upper case. */
function normalizeEscape(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(character) ? character : encoded.toUpperCase();
}

/** Whether the path, or another prefix, begins with all segments of the prefix. False if either is ambiguous. */
export function hasPathPrefix(path: string, prefix: string): boolean {
  const segments = pathSegments(path);
  const expected = pathSegments(prefix);
  if (segments === undefined || expected === undefined) return false;
  return expected.every((segment, at) => segments[at] === segment);
}

/** Headers of the connection, not of the request (RFC 9110, section 7.6.1), or decided by the URL and the body. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether neither a caller nor a definition may set the header. In upper or lower case. */
export function isConnectionHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return CONNECTION_HEADERS.has(lower) || lower.startsWith('proxy-');
}

/** Which requests an approval of a request covers: the one, its method and path, or its host. */
export const GRANT_EXTENTS = ['request', 'endpoint', 'host'] as const;
export type GrantExtent = (typeof GRANT_EXTENTS)[number];
