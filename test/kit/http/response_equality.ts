/** Reduces responses to the parts that must be equal for equal outcomes. */
import type { TestResponse } from './in_process_server.ts';

/** Headers that differ between any two responses. */
const PER_RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  'date',
  'x-request-id',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
]);

/**
 * Status, headers and body without the request id and without the texts of the request, which a response may repeat.
 * Also without new ids, keys, times and latencies if the request succeeded.
 */
export function withoutPerResponseData(
  { status, headers, text }: TestResponse,
  request_texts: readonly string[],
): unknown {
  let body = text.replaceAll(headers.get('x-request-id') ?? '?', 'REQUEST');
  for (const one of request_texts) body = body.replaceAll(one, 'ASKED');
  if (status < 300) {
    body = body
      .replaceAll(/kh_[0-9a-f]{5,32}(?:_[\w-]{43})?/g, 'KEY')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, 'ID')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/\b[0-9A-Z]{3}-[0-9A-Z]{3}\b/g, 'CODE')
      .replaceAll(/(?<=enter\/|"handle":")[\w-]{22}/g, 'HANDLE')
      .replaceAll(/"latency_ms":\d+/g, '"latency_ms":0');
  }
  const kept = [...headers].filter(([name]) => !PER_RESPONSE_HEADERS.has(name) && name !== 'content-length');
  return { status, headers: kept, body };
}
