/**
 * Reads the body of a request before a route runs. A body over the limit is rejected as soon as its size is known,
 * declared or not. Never repeats any of the body in a response.
 */
import type { Context } from 'hono';
import { REQUEST_BODY_MAX_BYTES } from '../../contract/limits.ts';
import { parseStrictJson } from '../../io/strict_json.ts';
import type { PipelineEnv } from '../context.ts';
import { HttpError } from '../error_response.ts';

/** `text`: `undefined` without a body. `json`: its value, if the media type is JSON. `violation`: why it is invalid. */
export type ReadBody =
  | { readonly text: string | undefined; readonly json?: unknown }
  | { readonly violation: string };

const NO_BODY: ReadBody = { text: undefined };

/** Rejects with 413 and 415. */
export async function readBody(c: Context<PipelineEnv>): Promise<ReadBody> {
  const { method } = c.req;
  if (method === 'GET' || method === 'HEAD') return NO_BODY;
  const declared = c.req.header('content-length');
  if (Number(declared ?? 0) > REQUEST_BODY_MAX_BYTES) throw tooLargeError();
  // HTTP/1.1 has a body exactly if it has one of two headers (RFC 9112, section 6.3).
  const is_streamed = declared === undefined;
  if (is_streamed ? c.req.header('transfer-encoding') === undefined : declared === '0') return NO_BODY;
  const media_type = requireMediaType(c);
  const bytes = await readBytes(c.req, is_streamed).catch((thrown: unknown) => {
    throw toBodyError(thrown);
  });
  const text = decodeUtf8(bytes);
  if (text === undefined) return { violation: 'Not UTF-8.' };
  if (text === '') return NO_BODY;
  if (media_type !== 'application/json') return { text };
  const json = parseStrictJson(text);
  if ('violation' in json) return json;
  // Hono's validator calls json(), which would parse the text again.
  c.req.json = async <Json>() => json.value as Json;
  return { text, json: json.value };
}

/**
 * Removes `Content-Type` from a request without a body. Many clients always send it, and the validator would then reject
 * the empty body as malformed JSON.
 */
export function dropContentType(c: Context<PipelineEnv>): void {
  const { method, raw, url } = c.req;
  if (method === 'GET' || method === 'HEAD' || !raw.headers.has('content-type')) return;
  const headers = new Headers(raw.headers);
  headers.delete('content-type');
  c.req.raw = new Request(url, { method, headers });
}

/** Returns the media type. Throws 415 unless the route group accepts it. */
function requireMediaType(c: Context<PipelineEnv>): string {
  const [type = '', ...parameters] = (c.req.header('content-type') ?? '').toLowerCase().split(';');
  const media_type = type.trim();
  const is_utf8 = parameters.every((one) => !/^\s*charset\s*=/.test(one) || /=\s*"?utf-?8"?\s*$/.test(one));
  const is_plain = (c.req.header('content-encoding') ?? 'identity') === 'identity';
  const { content_types } = c.env.context.group;
  if (content_types.includes(media_type) && is_utf8 && is_plain) return media_type;
  throw new HttpError(
    415,
    'INVALID_INPUT',
    `A body must be ${content_types.join(' or ')} in UTF-8, not compressed.`,
    { Accept: content_types.join(', ') },
  );
}

/** Limits a body without a declared length. The HTTP parser enforces a declared length. */
async function readBytes({ raw }: Context['req'], is_streamed: boolean): Promise<Uint8Array> {
  if (!is_streamed) return new Uint8Array(await raw.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = raw.body?.getReader();
  for (;;) {
    const { value } = (await reader?.read()) ?? {};
    if (value === undefined) return Buffer.concat(chunks);
    length += value.byteLength;
    if (length > REQUEST_BODY_MAX_BYTES) {
      void reader?.cancel().catch(() => undefined);
      throw tooLargeError();
    }
    chunks.push(value);
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function tooLargeError(): HttpError {
  return new HttpError(
    413,
    'INVALID_INPUT',
    `The request is too large: a body has at most ${REQUEST_BODY_MAX_BYTES} bytes.`,
  );
}

function toBodyError(thrown: unknown): HttpError {
  if (thrown instanceof HttpError) return thrown;
  return new HttpError(400, 'INVALID_INPUT', 'The request body is incomplete.');
}
