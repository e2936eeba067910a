/** The headers of a response that a result shows, without values. */
import type { EgressResponse } from '../../../egress/egress.ts';
import type { PatternSet } from '../../../egress/redaction/pattern_set.ts';
import { redactText } from '../../../egress/redaction/redactor.ts';
import { typeInUtf8 } from './charset.ts';

const SHOWN =
  /^(?:content-type|link|location|etag|last-modified|retry-after|ratelimit.*|x-ratelimit.*|x-request-id|request-id|x-total-count|x-total-pages|x-next-page)$/;
const HEADER_MAX_CHARACTERS = 8_000;

export function shownHeaders(
  { headers }: Pick<EgressResponse, 'headers'>,
  patterns: PatternSet,
): { readonly headers: Readonly<Record<string, string>>; readonly redacted: number } {
  const shown = new Map<string, string>();
  let redacted = 0;
  for (const [name, value] of headers) {
    if (!SHOWN.test(name)) continue;
    const found = redactText(patterns, name === 'content-type' ? typeInUtf8(value) : value);
    redacted += found.count;
    const earlier = shown.get(name);
    const text = earlier === undefined ? found.text : `${earlier}, ${found.text}`;
    shown.set(name, text.slice(0, HEADER_MAX_CHARACTERS));
  }
  return { headers: Object.fromEntries(shown), redacted };
}
