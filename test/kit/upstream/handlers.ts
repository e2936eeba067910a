/** Behaviours of an upstream: repeats the request in an encoding, is slow, endless, truncated, or sends something else than it claims. */
import { request as sendHttp } from 'node:http';
import zlib from 'node:zlib';
import type { Handler, ReceivedRequest } from './upstream.ts';

/** How `echo` encodes the request that it returns. */
const ENCODINGS = {
  raw: (text: string) => text,
  base64: (text: string) => Buffer.from(text).toString('base64'),
  /** The same bytes at the other alignments. */
  base64_offset_1: (text: string) => Buffer.from(`.${text}`).toString('base64'),
  base64_offset_2: (text: string) => Buffer.from(`..${text}`).toString('base64'),
  base64url: (text: string) => Buffer.from(text).toString('base64url'),
  hex: (text: string) => Buffer.from(text).toString('hex'),
  hex_upper: (text: string) => Buffer.from(text).toString('hex').toUpperCase(),
  percent: encodeURIComponent,
  percent_lower: (text: string) =>
    encodeURIComponent(text).replaceAll(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()),
  json: (text: string) => JSON.stringify({ received: text }),
  /** All but ASCII as `\uXXXX`, and `/` as `\/`. */
  json_ascii: (text: string) =>
    JSON.stringify({ received: text })
      .replaceAll('/', '\\/')
      .replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  /** As the password of RFC 7617. */
  basic: (text: string) => `Basic ${Buffer.from(`user:${text}`).toString('base64')}`,
} as const;
export type EchoEncoding = keyof typeof ENCODINGS;
export const ECHO_ENCODINGS = Object.keys(ENCODINGS) as readonly EchoEncoding[];

/** The value of Content-Encoding, and the compression. zstd only if this Node.js has it. */
const CODINGS: ReadonlyMap<string, (bytes: Buffer) => Buffer> = new Map([
  ['gzip', zlib.gzipSync],
  ['br', zlib.brotliCompressSync],
  ['deflate', zlib.deflateSync],
  ...('zstdCompressSync' in zlib
    ? [['zstd', zlib.zstdCompressSync as (bytes: Buffer) => Buffer] as const]
    : []),
]);
export const ECHO_CODINGS: readonly string[] = [...CODINGS.keys()];

export interface EchoOptions {
  readonly encoding?: EchoEncoding;
  /** One of `ECHO_CODINGS`. */
  readonly coding?: string;
  readonly status?: number;
  /** Also returns each header of the request as `x-echo-NAME`, encoded. */
  readonly in_headers?: boolean;
  /** Sends the body in parts of so many bytes, for values that cross the border of two chunks. */
  readonly chunk_bytes?: number;
}

/**
 * Returns all that it received: method, path, headers and body as text, encoded as a whole. The content type is JSON for the
 * two JSON encodings, otherwise text.
 */
export function echo({
  encoding = 'raw',
  coding,
  status = 200,
  in_headers,
  chunk_bytes,
}: EchoOptions = {}): Handler {
  const encode = ENCODINGS[encoding];
  return (request, response) => {
    const bytes = Buffer.from(encode(textOf(request)));
    const compressed = coding === undefined ? bytes : compress(coding, bytes);
    response.statusCode = status;
    response.setHeader('content-type', encoding.startsWith('json') ? 'application/json' : 'text/plain');
    if (coding !== undefined) response.setHeader('content-encoding', coding);
    if (in_headers === true)
      for (const [name, value] of Object.entries(request.headers))
        response.setHeader(`x-echo-${name}`, encode(String(value)));
    for (let at = 0; chunk_bytes !== undefined && at < compressed.length; at += chunk_bytes)
      response.write(compressed.subarray(at, at + chunk_bytes));
    response.end(chunk_bytes === undefined ? compressed : undefined);
  };
}

function textOf({ method, path, raw_headers, body }: ReceivedRequest): string {
  const lines = [`${method} ${path}`];
  for (let at = 0; at < raw_headers.length; at += 2) lines.push(`${raw_headers[at]}: ${raw_headers[at + 1]}`);
  return [...lines, '', body.toString()].join('\n');
}

export function compress(coding: string, bytes: Buffer): Buffer {
  const found = CODINGS.get(coding);
  if (found === undefined) throw new Error(`unknown coding ${coding}`);
  return found(bytes);
}

/** A fixed response. */
export function respond(
  status: number,
  body: string | Buffer = '',
  headers: Readonly<Record<string, string>> = {},
): Handler {
  return (_request, response) => void response.writeHead(status, headers).end(body);
}

/** A fixed response in JSON. */
export function respondJson(json: unknown, status = 200): Handler {
  return respond(status, JSON.stringify(json), { 'content-type': 'application/json' });
}

export function redirect(location: string, status = 302): Handler {
  return respond(status, '', { location });
}

/** Responds after `delay_ms`; with `in_body` the headers come at once and the body after it. */
export function slow(delay_ms: number, { in_body = false } = {}): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    if (in_body) response.flushHeaders();
    setTimeout(() => response.end('late'), delay_ms).unref();
  };
}

/** Never responds. */
export function silent(): Handler {
  return () => undefined;
}

/** Sends `chunk` until the client closes the connection. */
export function endless(chunk: string | Buffer = 'x'.repeat(16 * 1024)): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    const send = () => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', send);
    };
    send();
  };
}

/** Announces more bytes than it sends, then closes the connection. */
export function truncated(body = 'the beginning'): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length + 1000 });
    response.write(body, () => response.socket?.end());
  };
}

/** Claims a content coding for bytes that are not encoded. */
export function falselyEncoded(coding = 'gzip', body = 'not compressed'): Handler {
  return respond(200, body, { 'content-type': 'text/plain', 'content-encoding': coding });
}

/** Zeros that are compressed a thousandfold (CWE-409). */
export function decompressionBomb(decoded_bytes: number, coding = 'gzip'): Handler {
  const bytes = compress(coding, Buffer.alloc(decoded_bytes));
  return respond(200, bytes, { 'content-type': 'text/plain', 'content-encoding': coding });
}

/** The first handler for the first request and so on; the last one for all others. */
export function inOrder(...handlers: readonly [Handler, ...Handler[]]): Handler {
  let next = 0;
  return (request, response) => {
    const handler = handlers[Math.min(next, handlers.length - 1)] ?? handlers[0];
    next += 1;
    handler(request, response);
  };
}

/** Forwards to a plain HTTP server on this machine, with the headers as they came, such as a simulator of a service. */
export function forward(port: number): Handler {
  return ({ method, path, headers, body }, response) => {
    const options = { host: '127.0.0.1', port, method, path, headers };
    const forwarded = sendHttp(options, (result) => {
      response.writeHead(result.statusCode ?? 502, result.headers);
      result.pipe(response);
    });
    forwarded.on('error', () => response.destroy()).end(body);
  };
}
