import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type DecodeLimits, decodeContent } from '../../src/egress/decoder.ts';

const LIMITS: DecodeLimits = { decoded_bytes: 4_000_000, ratio: 100 };
const TEXT = Buffer.from(
  JSON.stringify(Array.from({ length: 500 }, (_, at) => ({ at, text: `item ${at * 7919}` }))),
);

async function* inPieces(content: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function decode(
  content: Buffer,
  coding: string | undefined,
  limits = LIMITS,
  size = 1_000,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of decodeContent(inPieces(content, size), coding, limits)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const ENCODED: readonly (readonly [coding: string | undefined, content: Buffer])[] = [
  [undefined, TEXT],
  ['', TEXT],
  ['identity', TEXT],
  ['gzip', zlib.gzipSync(TEXT)],
  ['X-GZip', zlib.gzipSync(TEXT)],
  ['br', zlib.brotliCompressSync(TEXT)],
  ['deflate', zlib.deflateSync(TEXT)],
  ['deflate', zlib.deflateRawSync(TEXT)],
  ['gzip, br', zlib.brotliCompressSync(zlib.gzipSync(TEXT))],
];

function zstdBombs(): readonly (readonly [string, Buffer])[] {
  const compress: unknown = Reflect.get(zlib, 'zstdCompressSync');
  if (typeof compress !== 'function') return [];
  const bomb: Buffer = compress(Buffer.alloc(50_000_000));
  return [
    ['zstd', bomb],
    ['zstd, gzip', zlib.gzipSync(bomb)],
  ];
}

describe('the content of a response', () => {
  test.each(ENCODED)('with the coding %j is decoded', async (coding, content) => {
    expect(await decode(content, coding)).toEqual(TEXT);
    expect(await decode(content, coding, LIMITS, 1)).toEqual(TEXT);
  });

  test.runIf('createZstdDecompress' in zlib)(
    'with the coding zstd is decoded where Node.js has it',
    async () => {
      const compress = promisify(Reflect.get(zlib, 'zstdCompress')) as (content: Buffer) => Promise<Buffer>;
      expect(await decode(await compress(TEXT), 'zstd')).toEqual(TEXT);
    },
  );

  test.each(['compress', 'gzip;q=1', 'aws-chunked', 'gzip, unknown', 'gzip, gzip, gzip, gzip'])(
    'with the coding %j is refused before it is read',
    async (coding) => {
      let is_read = false;
      async function* content() {
        is_read = true;
        yield TEXT;
      }
      await expect(decodeContent(content(), coding, LIMITS).next()).rejects.toMatchObject({
        code: 'UPSTREAM',
      });
      expect(is_read).toBe(false);
    },
  );

  test.each(['gzip', 'br', 'deflate'])('that is empty needs no %s format', async (coding) => {
    expect(await decode(Buffer.alloc(0), coding)).toEqual(Buffer.alloc(0));
  });

  test.each(ENCODED.slice(3))('with the coding %s that is truncated is an error', async (coding, content) => {
    const half = content.subarray(0, Math.floor(content.length / 2));
    const read = decode(half, coding).then(({ length }) => length);
    await expect(read).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test.each(['gzip', 'deflate', 'br'])('with the coding %s that is damaged is an error', async (coding) => {
    const damaged = Buffer.from(ENCODED.find(([one]) => one === coding)?.[1] ?? TEXT);
    damaged.fill(0xff, 900, 950);
    const read = decode(damaged, coding).then(({ length }) => length);
    await expect(read).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test.each<readonly [coding: string, content: Buffer]>([
    ['gzip', zlib.gzipSync(Buffer.alloc(50_000_000))],
    ['br', zlib.brotliCompressSync(Buffer.alloc(50_000_000))],
    ['deflate', zlib.deflateSync(Buffer.alloc(50_000_000))],
    ['deflate', zlib.deflateRawSync(Buffer.alloc(50_000_000))],
    ['gzip, gzip', zlib.gzipSync(zlib.gzipSync(Buffer.alloc(50_000_000)))],
    ['deflate, br', zlib.brotliCompressSync(zlib.deflateSync(Buffer.alloc(50_000_000)))],
    ['gzip, deflate, br', zlib.brotliCompressSync(zlib.deflateSync(zlib.gzipSync(Buffer.alloc(50_000_000))))],
    ...zstdBombs(),
  ])('that grows by more than the ratio is cut off (%s)', async (coding, content) => {
    let decoded_bytes = 0;
    const read = async () => {
      for await (const chunk of decodeContent(inPieces(content, 100), coding, {
        ...LIMITS,
        decoded_bytes: 1e9,
      }))
        decoded_bytes += chunk.length;
    };
    await expect(read()).rejects.toMatchObject({ code: 'UPSTREAM' });
    expect(decoded_bytes).toBeLessThan(Math.max(1_000_000, content.length * 100 + 1));
  });

  test('past the limit of bytes is an error, with and without a coding', async () => {
    const limits = { ...LIMITS, decoded_bytes: TEXT.length - 1 };
    for (const [coding, content] of ENCODED)
      await expect(decode(content, coding, limits)).rejects.toMatchObject({ code: 'UPSTREAM' });
    expect(await decode(TEXT, undefined, { ...LIMITS, decoded_bytes: TEXT.length })).toEqual(TEXT);
  });

  test('that fails while it is read is an error', async () => {
    async function* failing() {
      yield zlib.gzipSync(TEXT).subarray(0, 100);
      throw new Error('the connection was reset');
    }
    const read = async () => {
      for await (const _ of decodeContent(failing(), 'gzip', LIMITS));
    };
    await expect(read()).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test('of many codings that decodes to nothing in the end is limited too', async () => {
    const empty = Buffer.concat(Array(200_000).fill(zlib.gzipSync(Buffer.alloc(0))));
    const read = decode(zlib.gzipSync(empty), 'gzip, gzip').then(({ length }) => length);
    await expect(read).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test.each([undefined, 'gzip'])('that is not read to its end leaves nothing open (%s)', async (coding) => {
    let is_ended = false;
    async function* content() {
      try {
        for (const piece of [zlib.gzipSync(TEXT).subarray(0, 1_500), Buffer.alloc(10), Buffer.alloc(10)])
          yield piece;
      } finally {
        is_ended = true;
      }
    }
    for await (const _ of decodeContent(content(), coding, LIMITS)) break;
    await expect.poll(() => is_ended).toBe(true);
  });

  test.each([
    ['grows past the limit', zlib.gzipSync(Buffer.alloc(50_000_000)), /larger than the limit/],
    ['is damaged', Buffer.from('this is not gzip'), /damaged/],
  ])('that %s is an error at once, though the connection stalls', async (_what, content, message) => {
    async function* stalled() {
      yield content;
      await new Promise(() => undefined);
    }
    const read = async () => {
      for await (const _ of decodeContent(stalled(), 'gzip', LIMITS));
    };
    await expect(read()).rejects.toMatchObject({ code: 'UPSTREAM', message: expect.stringMatching(message) });
  });
});
