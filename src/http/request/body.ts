/**
 * Reads the body of a request, within the limit, before a route sees it. What is too large is refused as soon as that
 * is known, declared or not; nothing of a body is ever repeated in an answer.
 */
import type { Context } from 'hono';
import { REQUEST_BODY_MAX_BYTES } from '../../contract/limits.ts';
import { findJsonViolation } from '../../io/strict_json.ts';
import type { PipelineEnv } from '../context.ts';
import { HttpError } from '../errors.ts';

/** `invalid`: what the body is not. */
export type ReadBody = { readonly text: string | undefined } | { readonly invalid: string };

/** Resolves to the text of the body, `undefined` where there is none. Rejects with 413 and 415. */
export async function readBody(c: Context<PipelineEnv>): Promise<ReadBody> {
  const { method } = c.req;
  if (method === 'GET' || method === 'HEAD') return { text: undefined };
  const declared = c.req.header('content-length');
  const is_streamed = declared === undefined;
  if (!is_streamed && Number(declared) > REQUEST_BODY_MAX_BYTES) throw tooLarge();
  // HTTP/1.1 has a body exactly where one of two headers says so (RFC 9112, section 6.3).
  const has_body = is_streamed ? c.req.header('transfer-encoding') !== undefined : declared !== '0';
  if (!has_body) return { text: undefined };
  const media_type = assertContentType(c);
  const bytes = await (is_streamed ? readStream(c) : readDeclared(c));
  const text = decode(bytes);
  if (text === undefined) return { invalid: 'Not UTF-8.' };
  if (text === '') return { text: undefined };
  const fault = media_type === 'application/json' ? findJsonViolation(text) : undefined;
  if (fault !== undefined) return { invalid: fault };
  // Whoever asks for the body gets what was read. The library's types say what the promise is of.
  Object.assign(c.req.bodyCache, { text: Promise.resolve(text) });
  return { text };
}

/**
 * Makes a request without a body one that speaks of none: many clients name a type of body with every request, and the
 * libraries that validate would refuse the nothing that comes for no JSON.
 */
export function dropContentType(c: Context<PipelineEnv>): void {
  const { method, raw, url } = c.req;
  if (method === 'GET' || method === 'HEAD' || !raw.headers.has('content-type')) return;
  const headers = new Headers(raw.headers);
  headers.delete('content-type');
  c.req.raw = new Request(url, { method, headers });
}

/** The media type, which is one of those that the area takes. */
function assertContentType(c: Context<PipelineEnv>): string {
  const [type = '', ...parameters] = (c.req.header('content-type') ?? '').toLowerCase().split(';');
  const media_type = type.trim();
  const is_utf8 = parameters.every((one) => !/^\s*charset\s*=/.test(one) || /=\s*"?utf-?8"?\s*$/.test(one));
  const is_plain = (c.req.header('content-encoding') ?? 'identity') === 'identity';
  const { content_types } = c.env.exchange.area;
  if (content_types.includes(media_type) && is_utf8 && is_plain) return media_type;
  throw new HttpError(
    415,
    'INVALID_INPUT',
    `A body must be ${content_types.join(' or ')} in UTF-8, not compressed.`,
    { Accept: content_types.join(', ') },
  );
}

/** Exactly as long as was declared: the HTTP parser sees to that. */
async function readDeclared(c: Context<PipelineEnv>): Promise<Uint8Array> {
  try {
    return new Uint8Array(await c.req.raw.arrayBuffer());
  } catch {
    throw brokenOff();
  }
}

/** A body that does not say how long it is. */
async function readStream(c: Context<PipelineEnv>): Promise<Uint8Array> {
  const reader = c.req.raw.body?.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const read = await reader?.read().catch(() => {
      throw brokenOff();
    });
    const { done, value } = read ?? { done: true, value: undefined };
    if (value !== undefined) {
      length += value.byteLength;
      if (length > REQUEST_BODY_MAX_BYTES) {
        void reader?.cancel().catch(() => undefined);
        throw tooLarge();
      }
      chunks.push(value);
    }
    if (done) break;
  }
  const bytes = new Uint8Array(Buffer.concat(chunks));
  // What was read once cannot be read again: the routes get it anew.
  c.req.raw = new Request(c.req.url, { method: c.req.method, headers: c.req.raw.headers, body: bytes });
  return bytes;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function tooLarge(): HttpError {
  return new HttpError(
    413,
    'INVALID_INPUT',
    `The request is too large: a body has at most ${REQUEST_BODY_MAX_BYTES} bytes.`,
  );
}

function brokenOff(): HttpError {
  return new HttpError(400, 'INVALID_INPUT', 'The body broke off before its end.');
}
