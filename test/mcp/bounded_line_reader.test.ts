import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { BoundedLineReader } from '../../src/mcp/bounded_line_reader.ts';

/** Returns the output for the chunks, and the number of dropped lines. */
async function through(chunks: readonly Buffer[], max_bytes = 16): Promise<[text: string, dropped: number]> {
  let dropped = 0;
  const source = new PassThrough();
  const limit = new BoundedLineReader(
    source,
    max_bytes,
    () => {
      dropped++;
    },
    async () => {},
  );
  for (const chunk of chunks) source.write(chunk);
  source.end();
  let text = '';
  for await (const part of limit) text += part;
  return [text, dropped];
}

describe('BoundedLineReader', () => {
  test('BoundedLineReader drops lines that are too long, however they are chunked', async () => {
    const long = Buffer.from(`${'x'.repeat(17)}\nshort\n`);
    expect(await through([long])).toEqual(['short\n', 1]);
    expect(await through([...long].map((byte) => Buffer.of(byte)))).toEqual(['short\n', 1]);
  });

  test('BoundedLineReader drops lines that are not valid UTF-8', async () => {
    const broken = Buffer.concat([Buffer.from('a'), Buffer.of(0xff), Buffer.from('\n')]);
    expect(await through([broken, Buffer.from('b\n')])).toEqual(['b\n', 1]);
  });

  test('BoundedLineReader passes all other lines unchanged, even if a character is split between chunks', async () => {
    const emoji = Buffer.from('🔑🔑\n');
    expect(await through([emoji.subarray(0, 2), emoji.subarray(2)])).toEqual(['🔑🔑\n', 0]);
  });
});
