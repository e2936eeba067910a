import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { BoundedLineReader } from '../../src/mcp/bounded_line_reader.ts';

/** Returns the lines in the chunks, and the reasons of the dropped ones. */
async function read(
  chunks: readonly Buffer[],
  max_bytes = 16,
): Promise<[lines: string[], dropped: string[]]> {
  const lines: string[] = [];
  const dropped: string[] = [];
  const source = new PassThrough();
  const reader = new BoundedLineReader(source, {
    max_bytes,
    onLine: (line) => lines.push(line),
    onLineDropped: (reason) => dropped.push(reason),
    drainCalls: async () => {},
  });
  for (const chunk of chunks) source.write(chunk);
  source.end();
  for await (const _ of reader) throw new Error('the reader has data');
  return [lines, dropped];
}

const inSingleBytes = (bytes: Buffer) => [...bytes].map((byte) => Buffer.of(byte));

describe('BoundedLineReader', () => {
  test('BoundedLineReader drops lines that are too long, however they are chunked', async () => {
    const long = Buffer.from(`${'x'.repeat(17)}\nshort\n`);
    expect(await read([long])).toEqual([['short'], ['too_long']]);
    expect(await read(inSingleBytes(long))).toEqual([['short'], ['too_long']]);
  });

  test('BoundedLineReader drops lines that are not valid UTF-8', async () => {
    const broken = Buffer.concat([Buffer.from('a'), Buffer.of(0xff), Buffer.from('\n')]);
    expect(await read([broken, Buffer.from('b\n')])).toEqual([['b'], ['not_utf8']]);
  });

  test('BoundedLineReader passes all other lines unchanged, even if a character is split between chunks', async () => {
    const emoji = Buffer.from('🔑🔑\n');
    expect(await read([emoji.subarray(0, 2), emoji.subarray(2)])).toEqual([['🔑🔑'], []]);
  });

  test('BoundedLineReader skips a byte order mark before the first line, and no other', async () => {
    const marked = Buffer.from('\uFEFFone\n\uFEFFtwo\n');
    expect(await read([marked])).toEqual([['one', '\uFEFFtwo'], []]);
    expect(await read(inSingleBytes(marked))).toEqual([['one', '\uFEFFtwo'], []]);
  });
});
