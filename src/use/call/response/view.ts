/** Shows a stored response in a result: selects, shortens and pages. Sends nothing. */

import { CALL_CHARACTERS, CALL_IMAGE_MAX_BYTES } from '../../../contract/limits.ts';
import type { CallImage, CallOutput, CallView, Truncated } from '../../../contract/use/call.ts';
import type { Content } from './content.ts';
import { cutJson, itemsFrom, type JsonPart } from './json_cut.ts';
import { select } from './select.ts';
import { shapeOf } from './shape.ts';
import type { StoredResponse } from './stored_responses.ts';

export interface ViewOptions {
  readonly select?: string | undefined;
  readonly max_chars?: number | undefined;
  readonly offset?: number | undefined;
}

/** `responseId` stores the response; it is called only if the result does not have all of it. */
export function viewOf(
  response: StoredResponse,
  { select: expression, max_chars = CALL_CHARACTERS, offset = 0 }: ViewOptions,
  responseId: () => string | undefined,
): CallView {
  const { status, headers, content, redacted, next, advice } = response;
  const selected = expression === undefined ? { content } : select(content, expression);
  const shown = 'content' in selected ? selected.content : content;
  const { truncated, ...part } = partOf(shown, offset, max_chars);
  const response_id = truncated === undefined ? undefined : responseId();
  const shownAs = {
    ...(expression === undefined ? {} : { select: expression }),
    ...(max_chars === CALL_CHARACTERS ? {} : { max_chars }),
  };
  const output: CallOutput = {
    status,
    ok: isOk(status),
    headers,
    ...part,
    ...(truncated === undefined ? {} : { truncated: { ...truncated, response_id: response_id ?? '' } }),
    ...(next === undefined ? {} : { next: { ...next, ...shownAs } }),
    redacted,
    ...('failure' in selected ? { hint: selected.failure } : {}),
    ...advice,
  };
  return { output, image: imageOf(content) };
}

export function isOk(status: number): boolean {
  return status >= 200 && status < 400;
}

type Part = Pick<CallOutput, 'body' | 'binary'> & {
  readonly truncated?: Omit<Truncated, 'response_id'> | undefined;
};

function partOf(content: Content, offset: number, max_chars: number): Part {
  switch (content.kind) {
    case 'empty':
      return {};
    case 'binary': {
      const { content_type, bytes, sha256 } = content;
      return { binary: { content_type, bytes: bytes.length, sha256 } };
    }
    case 'text':
      return content.text.length <= max_chars && offset === 0
        ? { body: content.text }
        : textPart(content.text, offset, max_chars);
    case 'json':
      return jsonPart(content, offset, max_chars);
  }
}

function jsonPart(
  { json, text }: Extract<Content, { kind: 'json' }>,
  offset: number,
  max_chars: number,
): Part {
  if (offset === 0 && text.length <= max_chars) return { body: json };
  const part = offset === 0 ? cutJson(json, text, max_chars) : itemsFrom(json, offset, max_chars);
  const keys = offset === 0 ? { keys: [...shapeOf(json)] } : {};
  if (part !== undefined) return { body: part.json, truncated: { ...describeCut(part, text), ...keys } };
  const { truncated, ...rest } = textPart(text, offset, max_chars);
  return { ...rest, ...(truncated === undefined ? {} : { truncated: { ...truncated, ...keys } }) };
}

function describeCut({ path, from, kept, of, next_offset }: JsonPart, text: string) {
  return { total_chars: text.length, next_offset, items: { path, from, kept, of } };
}

/** A part of the text that ends and begins at a character. */
function textPart(text: string, offset: number, max_chars: number): Part {
  const start = borderAt(text, Math.min(offset, text.length));
  const end = borderAt(text, Math.min(start + max_chars, text.length));
  const next_offset = end < text.length ? end : null;
  return { body: text.slice(start, end), truncated: { total_chars: text.length, next_offset } };
}

/** Not within a surrogate pair. */
function borderAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 1 : at;
}

function imageOf(content: Content): CallImage | undefined {
  if (content.kind !== 'binary' || !/^image\/[a-z0-9.+-]+$/.test(content.content_type)) return undefined;
  const { content_type, bytes } = content;
  return bytes.length <= CALL_IMAGE_MAX_BYTES ? { content_type, bytes } : undefined;
}
