/** The path of the next page: from the header Link (RFC 8288). */
import { isCovered } from '../../../services/destination.ts';
import type { CallUrl } from '../request/url.ts';

const LINK = /<([^<>]*)>((?:\s*;\s*[a-z*]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)/gi;
const NEXT = /;\s*rel\s*=\s*(?:next(?=[\s;]|$)|"(?:[^"]*\s)?next(?:\s[^"]*)?")/i;

/** `own_parameters`: those that carry the credential, which a service may repeat in its links. */
export function nextPage(
  link: string | undefined,
  { origin, path }: CallUrl,
  origins: readonly string[],
  own_parameters: readonly string[],
): string | undefined {
  for (const [, target = '', parameters = ''] of (link ?? '').matchAll(LINK)) {
    if (!NEXT.test(parameters)) continue;
    const url = URL.canParse(target, `${origin}${path}`) ? new URL(target, `${origin}${path}`) : undefined;
    if (url === undefined || !isCovered(url.origin, origins)) return undefined;
    for (const name of own_parameters) url.searchParams.delete(name);
    return url.origin === origin
      ? `${url.pathname}${url.search}`
      : `${url.origin}${url.pathname}${url.search}`;
  }
  return undefined;
}
