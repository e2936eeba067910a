/** The body of a call and its content type. */

import { VaultError } from '../../../contract/errors.ts';
import { BODY_SHOWN_MAX_BYTES, REQUEST_BODY_MAX_BYTES } from '../../../contract/limits.ts';
import type { CallInput } from '../../../contract/use/call.ts';
import { encodeQuery } from './url.ts';

export interface CallBody {
  /** Absent without a body. */
  readonly bytes?: Buffer | undefined;
  /** An object or array that the caller gave, to which fields of the credential can be added. */
  readonly json?: unknown;
  readonly content_type?: string | undefined;
}

export const FORM_TYPE = 'application/x-www-form-urlencoded';
const FORM_DEPTH_MAX = 8;

/** `content_type`: of the caller or the definition. */
export function buildBody(
  { body, body_base64 }: Pick<CallInput, 'body' | 'body_base64'>,
  content_type: string | undefined,
): CallBody {
  if (body !== undefined && body_base64 !== undefined) throw invalid('Give body or body_base64, not both.');
  if (body_base64 !== undefined) {
    const bytes = Buffer.from(body_base64, 'base64');
    return { bytes: limited(bytes), content_type: content_type ?? 'application/octet-stream' };
  }
  if (body === undefined) return {};
  if (typeof body === 'string')
    return { bytes: limited(Buffer.from(body)), content_type: content_type ?? typeOfText(body) };
  const { bytes, content_type: type } = encodeObject(body, content_type);
  return { bytes: limited(bytes), json: body, content_type: type };
}

/**
 * What a person who approves the request sees of the body: its begin, and how long it is if there is more. Of a body that is
 * no text only length and type.
 */
export function shownBody({ bytes, content_type }: CallBody): string | undefined {
  if (bytes === undefined) return undefined;
  const begin = bytes.subarray(0, BODY_SHOWN_MAX_BYTES);
  const of = `${bytes.length} bytes of ${content_type ?? 'an unknown type'}`;
  let text: string;
  try {
    // `stream`: the last character may be cut.
    text = new TextDecoder('utf-8', { fatal: true }).decode(begin, { stream: true });
  } catch {
    return of;
  }
  return begin.length < bytes.length ? `(the first ${begin.length} of ${of}) ${text}` : text;
}

/** An object or array as a form or as JSON. */
export function encodeObject(
  body: unknown,
  content_type: string | undefined,
): { readonly bytes: Buffer; readonly content_type: string } {
  const type = content_type ?? 'application/json';
  if (/^multipart\//i.test(type))
    throw invalid('A multipart body must be a string or body_base64, with its boundary in the content-type.');
  const text = isForm(type)
    ? formPairs('', body, 0)
        .map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`)
        .join('&')
    : toJson(body);
  return { bytes: Buffer.from(text), content_type: type };
}

export function isForm(content_type: string): boolean {
  return content_type.split(';')[0]?.trim().toLowerCase() === FORM_TYPE;
}

/** Nested names with brackets, as Stripe, Rails and PHP read them: `card[number]`, `items[0][price]`, `expand[]`. */
function formPairs(name: string, value: unknown, depth: number): readonly (readonly [string, string])[] {
  if (depth > FORM_DEPTH_MAX) throw invalid('body is nested too deeply for this content-type.');
  if (value === null || value === undefined) return [];
  if (Array.isArray(value))
    return value.flatMap((item, at) =>
      formPairs(`${name}[${typeof item === 'object' ? at : ''}]`, item, depth + 1),
    );
  if (typeof value !== 'object') return [[name, String(value)]];
  return Object.entries(value).flatMap(([key, inner]) =>
    formPairs(name === '' ? key : `${name}[${key}]`, inner, depth + 1),
  );
}

function toJson(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw new VaultError('INVALID_INPUT', 'body cannot be sent as JSON.', { cause });
  }
}

function typeOfText(text: string): string {
  if (!/^\s*[[{]/.test(text)) return 'text/plain; charset=utf-8';
  try {
    JSON.parse(text);
    return 'application/json';
  } catch {
    return 'text/plain; charset=utf-8';
  }
}

function limited(bytes: Buffer): Buffer {
  if (bytes.length <= REQUEST_BODY_MAX_BYTES) return bytes;
  throw invalid(`body must be at most ${REQUEST_BODY_MAX_BYTES} bytes long.`);
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
