/** The output of a child process without values: over chunk borders, for slow and closed readers, and for prompts. */
import { PassThrough, Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { PatternSet } from '../../../src/egress/redaction/pattern_set.ts';
import { forward } from '../../../src/use/run/output.ts';

const VALUE = 'ghp_Zq81kLm02xTVbN';
const patterns = new PatternSet([new Secret(VALUE)]);

test('a value is redacted wherever its output is split', async () => {
  for (let at = 1; at < VALUE.length; at++) {
    const to = new PassThrough();
    const chunks = [`a ${VALUE.slice(0, at)}`, `${VALUE.slice(at)} b`].map((text) => Buffer.from(text));
    await forward(Readable.from(chunks), to, patterns);
    expect(String(to.read())).toBe('a [redacted] b');
  }
});

test('the beginning of a value at the end of the output is written', async () => {
  const to = new PassThrough();
  await forward(Readable.from([Buffer.from(VALUE.slice(0, 8))]), to, patterns);
  expect(String(to.read())).toBe(VALUE.slice(0, 8));
});

test('a prompt without a line end is written at once', async () => {
  const from = new PassThrough();
  const to = new PassThrough();
  const done = forward(from, to, patterns);
  from.write('Continue? [y/N] ');
  await new Promise((resolve) => to.once('readable', resolve));
  expect(String(to.read())).toBe('Continue? [y/N] ');
  from.end();
  await done;
});

test('a slow reader stops the reading of output, and everything is written in the end', async () => {
  let produced = 0;
  let written = 0;
  const from = new Readable({
    highWaterMark: 1,
    read() {
      produced += 1;
      this.push(produced > 200 ? null : Buffer.alloc(1024, 'a'));
    },
  });
  const callbacks: (() => void)[] = [];
  const to = new Writable({
    highWaterMark: 4096,
    write(chunk: Buffer, _encoding, done) {
      written += chunk.length;
      callbacks.push(done);
    },
  });
  const done = forward(from, to, patterns);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(produced).toBeLessThan(10);
  const timer = setInterval(() => callbacks.shift()?.(), 0);
  await done;
  clearInterval(timer);
  expect(written).toBe(200 * 1024);
});

test('a reader may close its end before the last bytes of the output', async () => {
  const to = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('closed'), { code: 'EPIPE' })),
  });
  await forward(Readable.from([Buffer.from(VALUE.slice(0, 8))]), to, patterns);
  expect(to.errored).toMatchObject({ code: 'EPIPE' });
});

test('a reader that closes its end closes the output of the child', async () => {
  const from = new PassThrough();
  const to = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('closed'), { code: 'EPIPE' })),
  });
  to.on('error', () => undefined);
  const done = forward(from, to, patterns);
  from.write('text');
  await done;
  expect(from.destroyed).toBe(true);
});
