/**
 * Reads the content of a response into memory: decoded, limited and without the values of the credential. What it returns
 * is all that the rest of a call sees of the response.
 */
import { createHash } from 'node:crypto';
import { VaultError } from '../../../contract/errors.ts';
import { CALL_DECODE_RATIO_MAX, CALL_RESPONSE_MAX_BYTES } from '../../../contract/limits.ts';
import { decodeContent } from '../../../egress/decoder.ts';
import type { EgressResponse } from '../../../egress/egress.ts';
import type { PatternSet } from '../../../egress/redaction/pattern_set.ts';
import { Redactor, redactJson, redactText } from '../../../egress/redaction/redactor.ts';
import { inUtf8, isUtf16 } from './charset.ts';

/** A body without values. Of JSON, `text` is what `JSON.stringify` returns. */
export type Content =
  | { readonly kind: 'empty' }
  | { readonly kind: 'json'; readonly json: unknown; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'binary';
      readonly content_type: string;
      readonly bytes: Buffer;
      readonly sha256: string;
    };

export interface ReadContent {
  readonly content: Content;
  /** The number of values that were replaced. */
  readonly redacted: number;
  /** Decoded. */
  readonly bytes: number;
}

const DEFAULT_TYPE = 'application/octet-stream';
const JSON_TYPE = /^(?:application|text)\/(?:[a-z0-9.+_-]+\+)?json$/;
const TEXT_TYPE =
  /^(?:text\/.*|application\/(?:[a-z0-9.+_-]+\+xml|xml|javascript|yaml|x-yaml|x-ndjson|jsonl|graphql|x-www-form-urlencoded|jwt|sql))$/;
/** A value that was a number in JSON. */
const BARE_MASK = /([:,[]\s*)\[redacted\](?=\s*[,}\]])/g;

export async function readContent(
  response: EgressResponse,
  patterns: PatternSet,
  max_bytes = CALL_RESPONSE_MAX_BYTES,
): Promise<ReadContent> {
  const { bytes, size, count } = await readRedacted(response, patterns, max_bytes);
  const { type, charset } = parseType(headerOf(response, 'content-type'));
  if (bytes.length === 0) return { content: { kind: 'empty' }, redacted: count, bytes: size };
  const text = isBinary(type, bytes) ? undefined : decodeText(bytes, charset);
  if (text === undefined) {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const content_type = redactText(patterns, type || DEFAULT_TYPE).text;
    return { content: { kind: 'binary', content_type, bytes, sha256 }, redacted: count, bytes: size };
  }
  // In another charset, the bytes of a value are other ones.
  const again = redactText(patterns, text);
  const json =
    type === '' || type === 'text/plain' || JSON_TYPE.test(type) ? parseJson(again.text) : undefined;
  if (json === undefined)
    return { content: { kind: 'text', text: again.text }, redacted: count + again.count, bytes: size };
  const { content, count: more } = redactedJson(json.value, patterns);
  return { content, redacted: count + again.count + more, bytes: size };
}

/** The decoded content in parts, in UTF-8 if it was in UTF-16, each without values. `onReplaced` is called with the number of values at the end. */
export async function* redactedParts(
  response: EgressResponse,
  patterns: PatternSet,
  decoded_bytes: number,
  onReplaced: (count: number) => void = () => undefined,
): AsyncGenerator<Buffer> {
  const redactor = new Redactor(patterns);
  const limits = { decoded_bytes, ratio: CALL_DECODE_RATIO_MAX };
  const decoded = decodeContent(response.body, headerOf(response, 'content-encoding'), limits);
  for await (const chunk of inUtf8(decoded, headerOf(response, 'content-type'))) yield* redactor.write(chunk);
  yield* redactor.end();
  onReplaced(redactor.count);
}

async function readRedacted(response: EgressResponse, patterns: PatternSet, max_bytes: number) {
  const parts: Buffer[] = [];
  let count = 0;
  let size = 0;
  for await (const part of redactedParts(response, patterns, max_bytes, (found) => {
    count = found;
  })) {
    parts.push(part);
    size += part.length;
  }
  return { bytes: Buffer.concat(parts), size, count };
}

export function headerOf({ headers }: Pick<EgressResponse, 'headers'>, name: string): string | undefined {
  const values = headers.filter(([found]) => found === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(', ');
}

function parseType(content_type: string | undefined) {
  const [type = '', ...parameters] = (content_type ?? '').split(';');
  const charset = parameters
    .map((one) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/i.exec(one)?.[1])
    .find(Boolean);
  return { type: type.trim().toLowerCase(), charset };
}

function isBinary(type: string, bytes: Buffer): boolean {
  if (JSON_TYPE.test(type) || TEXT_TYPE.test(type)) return false;
  return type.startsWith('image/') || bytes.includes(0) || !isUtf8(bytes);
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** `undefined` for a charset that Node.js does not have. Content in UTF-16 has been converted. */
function decodeText(bytes: Buffer, charset = 'utf-8'): string | undefined {
  try {
    return new TextDecoder(isUtf16(charset) ? 'utf-8' : charset).decode(bytes);
  } catch {
    return undefined;
  }
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  for (const candidate of [text, text.replaceAll(BARE_MASK, '$1"[redacted]"')]) {
    try {
      return { value: JSON.parse(candidate) };
    } catch {
      // Not JSON, or a value in it was a number.
    }
  }
  return undefined;
}

/** JSON whose strings have no values after their escapes are decoded. */
function redactedJson(
  parsed: unknown,
  patterns: PatternSet,
): { readonly content: Content; readonly count: number } {
  try {
    const text = JSON.stringify(parsed);
    // Far faster than looking at each string: most responses have no value.
    if (redactText(patterns, text).count === 0)
      return { content: { kind: 'json', json: parsed, text }, count: 0 };
    const { json, count } = redactJson(patterns, parsed);
    return { content: { kind: 'json', json, text: JSON.stringify(json) }, count };
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    // RangeError: the stack is too small for so many levels.
    const message = 'The JSON of the response is nested too deeply. Request another part of it.';
    throw new VaultError('UPSTREAM', message, { cause });
  }
}
