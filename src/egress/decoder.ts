/**
 * Decodes the content of a response (RFC 9110, section 8.4), so that values in it can be found: gzip, br, deflate with and
 * without the zlib format, zstd where Node.js has it. Limits the size and the ratio, so that a small response cannot fill the
 * memory (CWE-409). Anything else is refused: values in it could not be found.
 */
import { pipeline, Readable, type Transform } from 'node:stream';
import zlib from 'node:zlib';
import { VaultError } from '../contract/errors.ts';

export interface DecodeLimits {
  /** Of the decoded content. */
  readonly decoded_bytes: number;
  /** Decoded bytes for each encoded one, beyond the first 64 KiB. */
  readonly ratio: number;
}

const CODINGS_MAX = 3;
/** zstd from Node.js 22.15 and 23.8 on. Requests do not accept it. */
const CODINGS = new Set([
  'gzip',
  'x-gzip',
  'br',
  'deflate',
  ...('createZstdDecompress' in zlib ? ['zstd'] : []),
]);
/** A small response may have any ratio. */
const RATIO_FREE_BYTES = 64 * 1024;
const ZLIB_METHOD_DEFLATE = 8;
/** Larger than by default: the decoder decodes the next part in another thread while the last one is redacted. */
const BUFFERS = { chunkSize: 64 * 1024, readableHighWaterMark: 256 * 1024 };

/**
 * The decoded content. `content_encoding`: the header of the response, if it has one. The iteration throws UPSTREAM: at its
 * start for an unknown coding, later for content that is damaged, truncated or past a limit. Then, and when the caller
 * stops reading, the caller must end the connection (`EgressResponse.discard`).
 */
export async function* decodeContent(
  content: AsyncIterable<Buffer>,
  content_encoding: string | undefined,
  limits: DecodeLimits,
): AsyncGenerator<Buffer> {
  let encoded_bytes = 0;
  async function* counted() {
    for await (const chunk of content) {
      encoded_bytes += chunk.length;
      yield chunk;
    }
  }
  /** After each coding: the last one may decode much to little. */
  async function* limited(decoded: AsyncIterable<Buffer>) {
    let bytes = 0;
    for await (const chunk of decoded) {
      bytes += chunk.length;
      if (bytes > limits.decoded_bytes || bytes > Math.max(RATIO_FREE_BYTES, encoded_bytes * limits.ratio))
        throw new VaultError(
          'UPSTREAM',
          'The response is larger than the limit. Request a smaller part of it.',
          { next: 'Request a smaller part: fewer items, a filter or another path.', retry: false },
        );
      yield chunk;
    }
  }
  let decoded: AsyncIterable<Buffer> = counted();
  for (const coding of codingsOf(content_encoding)) decoded = limited(decodeOne(decoded, coding));
  yield* limited(decoded);
}

/** The codings in the order of decoding. Throws UPSTREAM for one that cannot be decoded. */
function codingsOf(content_encoding: string | undefined): readonly string[] {
  const codings = (content_encoding ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length > CODINGS_MAX || codings.some((coding) => !CODINGS.has(coding))) {
    const message =
      'The response has a content coding that cannot be decoded, so it was not read. Request gzip, br or none.';
    throw new VaultError('UPSTREAM', message, {
      next: 'Request gzip, br or no coding where the service lets you; do not repeat the same call.',
      retry: false,
    });
  }
  return codings.reverse();
}

async function* decodeOne(content: AsyncIterable<Buffer>, coding: string): AsyncGenerator<Buffer> {
  const chunks = content[Symbol.asyncIterator]();
  const first = await firstByteOf(chunks);
  // Servers send it for responses without content too.
  if (first === undefined) return;
  const decoder = newDecoder(coding, first[0] ?? 0);
  async function* all() {
    yield first as Buffer;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  }
  // The error comes from the iteration.
  pipeline(Readable.from(all(), { objectMode: false }), decoder, () => undefined);
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw new VaultError('UPSTREAM', 'The response is damaged or incomplete. Try again later.', {
      next: 'Repeat the call later. Before you repeat a write, check whether it was made.',
      retry: true,
      cause,
    });
  } finally {
    decoder.destroy();
    // Not awaited: the next chunk of a stalled connection may never come. The reader ends the connection itself.
    chunks.return?.().catch(() => undefined);
  }
}

async function firstByteOf(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  for (;;) {
    const next = await chunks.next();
    if (next.done) return undefined;
    if (next.value.length > 0) return next.value;
  }
}

function newDecoder(coding: string, first_byte: number): Transform {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return zlib.createGunzip(BUFFERS);
    case 'br':
      return zlib.createBrotliDecompress(BUFFERS);
    case 'deflate':
      // RFC 9110, section 8.4.1.2: some servers leave the zlib format out.
      return (first_byte & 0x0f) === ZLIB_METHOD_DEFLATE
        ? zlib.createInflate(BUFFERS)
        : zlib.createInflateRaw(BUFFERS);
    default:
      return Reflect.get(zlib, 'createZstdDecompress')(BUFFERS);
  }
}
