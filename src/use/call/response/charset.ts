/** Converts content in UTF-16 to UTF-8, in which values are searched for. Changes no other content. */
import { TextDecoder } from 'node:util';

/** Types that may begin with the bytes of a byte order mark by chance. */
const NEVER_TEXT = /^\s*(?:image|audio|video|font)\//i;
const CHARSET = /;\s*charset\s*=\s*"?([^";\s]+)"?/i;
const MARK_BYTES = 2;

/** `content_type`: the header. A byte order mark is enough where it names no charset. */
export async function* inUtf8(content: AsyncIterable<Buffer>, content_type = ''): AsyncGenerator<Buffer> {
  let first: Buffer = Buffer.alloc(0);
  let decoder: TextDecoder | undefined;
  let is_known = false;
  for await (const chunk of content) {
    let bytes = chunk;
    if (!is_known) {
      first = Buffer.concat([first, chunk]);
      if (first.length < MARK_BYTES) continue;
      decoder = decoderFor(first, content_type);
      is_known = true;
      bytes = first;
    }
    yield decoder === undefined ? bytes : Buffer.from(decoder.decode(bytes, { stream: true }));
  }
  if (!is_known) yield first;
  if (decoder !== undefined) yield Buffer.from(decoder.decode());
}

/** The header without a charset that the content no longer has. */
export function typeInUtf8(content_type: string): string {
  const charset = CHARSET.exec(content_type)?.[1];
  return isUtf16(charset) ? content_type.replace(CHARSET, '; charset=utf-8') : content_type;
}

/** Whether the WHATWG Encoding Standard reads the label as UTF-16. */
export function isUtf16(charset: string | undefined): boolean {
  return encodingOf(charset)?.startsWith('utf-16') === true;
}

function decoderFor(first: Buffer, content_type: string): TextDecoder | undefined {
  const by_mark = NEVER_TEXT.test(content_type) ? undefined : encodingByMark(first);
  const charset = CHARSET.exec(content_type)?.[1];
  const encoding = by_mark ?? (isUtf16(charset) ? encodingOf(charset) : undefined);
  return encoding === undefined ? undefined : new TextDecoder(encoding);
}

function encodingByMark([first, second]: Buffer): string | undefined {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  return first === 0xfe && second === 0xff ? 'utf-16be' : undefined;
}

function encodingOf(charset: string | undefined): string | undefined {
  try {
    return charset === undefined ? undefined : new TextDecoder(charset).encoding;
  } catch {
    return undefined;
  }
}
