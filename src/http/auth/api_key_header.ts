/**
 * Finds the one key that a request presents. There are three headers for it; who presents two different keys, or an
 * empty one, presents none. Nothing else about a request is ever taken for a key.
 */

const KEY_HEADERS = ['x-api-key', 'danube-api-key'] as const;
/** token68 of RFC 9110: what a bearer token may be made of. No blank and no comma, so never two headers joined. */
const TOKEN = /^[A-Za-z0-9._~+/-]{1,8192}=*$/;
const BEARER = /^bearer +(\S+)$/i;

export interface PresentedKey {
  readonly text: string;
  /** Whether it came as a bearer token, as a JWT does. */
  readonly bearer: boolean;
}

/** `undefined`: there is no key, or more than one. */
export function presentedKey(header: (name: string) => string | undefined): PresentedKey | undefined {
  const authorization = header('authorization');
  let text = authorization === undefined ? undefined : (BEARER.exec(authorization)?.[1] ?? '');
  for (const name of KEY_HEADERS) {
    const other = header(name) ?? text;
    if (text !== undefined && other !== text) return undefined;
    text = other;
  }
  return text !== undefined && TOKEN.test(text) ? { text, bearer: authorization !== undefined } : undefined;
}
