/**
 * Finds the one API key or bearer token of a request, in one of three headers. A request with two different keys, or an
 * empty one, has none.
 */

const KEY_HEADERS = ['x-api-key', 'danube-api-key'] as const;
/** token68 of RFC 9110. It has no blank and no comma, so two joined headers never match. */
const TOKEN_PATTERN = /^[A-Za-z0-9._~+/-]{1,8192}=*$/;
const BEARER_PATTERN = /^bearer +(\S+)$/i;

export interface PresentedKey {
  readonly text: string;
  /** Came as `Authorization: Bearer`, as a JWT does. */
  readonly is_bearer: boolean;
}

export function presentedKey(header: (name: string) => string | undefined): PresentedKey | undefined {
  const authorization = header('authorization');
  const is_bearer = authorization !== undefined;
  let text = is_bearer ? (BEARER_PATTERN.exec(authorization)?.[1] ?? '') : undefined;
  for (const name of KEY_HEADERS) {
    const other = header(name) ?? text;
    if (text !== undefined && other !== text) return undefined;
    text = other;
  }
  return text !== undefined && TOKEN_PATTERN.test(text) ? { text, is_bearer } : undefined;
}
