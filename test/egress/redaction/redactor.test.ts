import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { encodingsOf } from '../../../src/egress/redaction/encodings.ts';
import { PatternSet } from '../../../src/egress/redaction/pattern_set.ts';
import { Redactor, redactJson, redactText } from '../../../src/egress/redaction/redactor.ts';
import { check } from '../../kit/property.ts';

const VALUE = 'sk-live/7Hq+"z9\\ünï€😀=end';

const patternsOf = (...values: string[]) => new PatternSet(values.map((value) => new Secret(value)));

/** Writes the text in the given pieces. */
function redactPieces(patterns: PatternSet, pieces: readonly Buffer[]) {
  const redactor = new Redactor(patterns);
  const parts = pieces.map((piece) => Buffer.concat(redactor.write(piece)));
  return { parts, text: Buffer.concat([...parts, ...redactor.end()]).toString('latin1'), redactor };
}

const hex = (text: string) => Buffer.from(text).toString('hex');

describe('a value in a response', () => {
  test.each([
    ['as it is', VALUE],
    ['in JSON', JSON.stringify({ a: VALUE })],
    [
      'in JSON with escapes of all other characters',
      '"sk-live/7Hq+\\"z9\\\\\\u00fcn\\u00ef\\u20ac\\ud83d\\ude00=end"',
    ],
    ['percent-encoded', `?a=${encodeURIComponent(VALUE)}&b`],
    [
      'percent-encoded with small letters',
      encodeURIComponent(VALUE).replaceAll(/%../g, (one) => one.toLowerCase()),
    ],
    ['with every byte percent-encoded', hex(VALUE).replaceAll(/../g, '%$&')],
    ['in JSON with escaped slashes', JSON.stringify(VALUE).replaceAll('/', '\\/')],
    ['in JSON with capitals in escapes', '"sk-live/7Hq+\\"z9\\\\\\u00FCn\\u00EF\\u20AC\\uD83D\\uDE00=end"'],
    ['in a form', new URLSearchParams({ a: VALUE }).toString()],
    ['in hexadecimal', hex(VALUE)],
    ['in hexadecimal with capitals', hex(VALUE).toUpperCase()],
    ['in the credentials of Basic', Buffer.from(`user:${VALUE}`).toString('base64')],
  ])('is replaced %s', (_encoding, text) => {
    const { text: redacted, count } = redactText(patternsOf(VALUE), `before ${text} after`);
    expect([redacted.startsWith('before '), redacted.endsWith(' after'), count]).toEqual([true, true, 1]);
    expect(redacted).toContain('[redacted]');
    expect(redacted.length).toBeLessThan('before [redacted] after'.length + 16);
  });

  test.each(['base64', 'base64url'] as const)(
    'is replaced in %s behind and before any other bytes',
    (encoding) => {
      for (const before of ['', 'a', 'ab', 'abc', 'abcd'])
        for (const after of ['', 'x', 'xy', 'xyz']) {
          const encoded = Buffer.from(before + VALUE + after).toString(encoding);
          const { text } = redactText(patternsOf(VALUE), encoded);
          const rest = text.split('[redacted]');
          expect([before, after, rest.length]).toEqual([before, after, 2]);
          // What is left can only be of the bytes beside the value, and parts of its first and last byte.
          expect(rest.join('').length).toBeLessThanOrEqual(
            encoded.length - Math.floor((VALUE.length * 8) / 6) + 4,
          );
        }
    },
  );

  test('with characters that some encoders escape is replaced in their encodings', () => {
    const value = "p!ss(word)*'<&>1";
    const encoded = [
      new URLSearchParams({ v: value }).toString(),
      'p%21ss%28word%29%2A%27%3C%26%3E1',
      "p!ss(word)*'\\u003c\\u0026\\u003e1",
    ];
    for (const text of encoded) expect(redactText(patternsOf(value), `<${text}>`).count).toBe(1);
  });

  test('with characters that are not ASCII is replaced in a header, which has the bytes as characters', () => {
    expect(redactText(patternsOf(VALUE), Buffer.from(`a ${VALUE}`).toString('latin1')).text).toBe(
      'a [redacted]',
    );
  });

  test('in JSON that is nested too deeply is not returned', () => {
    const json: unknown = JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`);
    expect(() => redactJson(patternsOf(VALUE), json)).toThrow('nested too deeply');
  });

  test('is replaced in names and strings of JSON, whatever their escapes', () => {
    const json = JSON.parse(
      '{"\\u0073k-live-0123456789": ["x sk-live-012\\u0033456789", 1, null, true, {}]}',
    );
    expect(redactJson(patternsOf('sk-live-0123456789'), json)).toEqual({
      json: { '[redacted]': ['x [redacted]', 1, null, true, {}] },
      count: 2,
    });
  });

  test('is replaced once if it overlaps another, and nothing of either is left', () => {
    const patterns = patternsOf('abcdefgh-1234', '1234-stuvwxyz');
    expect(redactText(patterns, '<abcdefgh-1234-stuvwxyz>')).toEqual({ text: '<[redacted]>', count: 1 });
    for (let at = 0; at < 24; at++) {
      const text = Buffer.from('<abcdefgh-1234-stuvwxyz>');
      const pieces = [text.subarray(0, at), text.subarray(at)];
      expect(redactPieces(patterns, pieces).text).toBe('<[redacted]>');
    }
  });

  test('is replaced as the longest of values that begin alike', () => {
    const patterns = patternsOf('token-1234', 'token-12345678');
    expect(redactText(patterns, 'token-12345678 token-1234').text).toBe('[redacted] [redacted]');
  });
});

describe('a stream', () => {
  const values = fc.array(
    fc.string({ unit: fc.constantFrom('a', 'b', '-', '"', 'é'), minLength: 8, maxLength: 30 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );

  test('is redacted in the same way, however it is split, and contains no encoding of a value', () => {
    const given = fc.record({
      values,
      filler: fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '-', '"'), maxLength: 12 }), {
        maxLength: 10,
      }),
      cuts: fc.array(fc.nat(400), { maxLength: 6 }),
      picks: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { maxLength: 10 }),
    });
    check(given, ({ values, filler, cuts, picks }) => {
      const patterns = patternsOf(...values);
      const encodings = values.flatMap(encodingsOf);
      const parts = picks.flatMap(([pick, text, is_cut]) => {
        const one = encodings[pick % encodings.length] as Buffer;
        return [
          is_cut ? one.subarray(0, one.length - 1) : one,
          Buffer.from(filler[text % Math.max(1, filler.length)] ?? ''),
        ];
      });
      const bytes = Buffer.concat(parts);
      const whole = redactPieces(patterns, [bytes]);
      const borders = [
        0,
        ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
        bytes.length,
      ];
      const pieces = borders.slice(1).map((end, at) => bytes.subarray(borders[at], end));
      expect(redactPieces(patterns, pieces).text).toBe(whole.text);
      const single = [...bytes].map((_, at) => bytes.subarray(at, at + 1));
      expect(redactPieces(patterns, single).text).toBe(whole.text);
      for (const encoding of encodings)
        if (encoding.length >= 8) expect(whole.text).not.toContain(encoding.toString('latin1'));
    });
  });

  test('without values is returned unchanged, and at once', () => {
    const patterns = patternsOf('sk-live-0123456789');
    const events = Array.from({ length: 20 }, (_, at) => Buffer.from(`data: {"text":"hello ${at}"}\n\n`));
    const { parts, redactor } = redactPieces(patterns, events);
    expect(parts.map(String)).toEqual(events.map(String));
    expect(redactor.count).toBe(0);
  });

  test('is delayed only by bytes that may begin a value', () => {
    const redactor = new Redactor(patternsOf('sk-live-0123456789'));
    const write = (text: string) => Buffer.concat(redactor.write(Buffer.from(text))).toString();
    expect(['one sk-l', 'ive', '-nothing', 's', 'k-live-0123456789!'].map(write)).toEqual([
      'one ',
      '',
      'sk-live-nothing',
      '',
      '[redacted]!',
    ]);
  });

  test('whose memory is reused by the caller is redacted', () => {
    const redactor = new Redactor(patternsOf('sk-live-0123456789'));
    const chunk = Buffer.from('x sk-live');
    const first = Buffer.concat(redactor.write(chunk)).toString();
    chunk.fill(0);
    const rest = Buffer.concat([...redactor.write(Buffer.from('-0123456789 y')), ...redactor.end()]);
    expect(first + rest.toString()).toBe('x [redacted] y');
  });
});

describe('a value of less than eight bytes', () => {
  test.each([
    ['pin=1234&x', 'pin=[redacted]&x'],
    ['{"pin":"1234"}', '{"pin":"[redacted]"}'],
    ['1234', '[redacted]'],
    ['12345 01234 a1234 1234_ x-1234', '12345 01234 a1234 1234_ x-1234'],
  ])('is replaced in %s only as a whole token', (text, expected) => {
    const patterns = patternsOf('1234');
    expect(redactText(patterns, text).text).toBe(expected);
    const single = [...Buffer.from(text)].map((byte) => Buffer.from([byte]));
    expect(redactPieces(patterns, single).text).toBe(expected);
  });

  test.each(['1', '123', '1234', '12345', '123456', '1234567'])(
    'is replaced in base64 and hexadecimal if it is the whole text (%s)',
    (value) => {
      for (const encoding of ['base64', 'base64url', 'hex'] as const) {
        const encoded = Buffer.from(value).toString(encoding);
        const { text } = redactText(patternsOf(value), `{"a":"${encoded}","b":"N"}`);
        expect(text).toMatch(/^\{"a":"\[redacted\]\w?=*","b":"N"\}$/);
      }
    },
  );

  test('is replaced in a number of JSON', () => {
    expect(redactJson(patternsOf('1234'), { pin: 1234, other: 12345 }).json).toEqual({
      pin: '[redacted]',
      other: 12345,
    });
  });
});

describe('input that is made to be slow', () => {
  /** Time for a text of one megabyte, relative to one without anything to find. */
  const MAX_MS = 5_000;
  test.each([
    ['a value of equal characters in a text of them', ['a'.repeat(20_000)], Buffer.alloc(1_000_000, 'a')],
    [
      'beginnings of many values',
      Array.from({ length: 50 }, (_, at) => `ghp_${String(at).padStart(36, 'x')}`),
      Buffer.from('ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'.repeat(27_000)),
    ],
    [
      'values that differ in their last byte',
      ['ghp_0123456789abcdef0123456789abcdef'],
      Buffer.from('ghp_0123456789abcdef0123456789abcdee'.repeat(27_000)),
    ],
  ])('%s is redacted in time', (_what, values, text) => {
    const patterns = patternsOf(...values);
    const from = performance.now();
    const pieces = Array.from({ length: Math.ceil(text.length / 65_536) }, (_, at) =>
      text.subarray(at * 65_536, (at + 1) * 65_536),
    );
    redactPieces(patterns, pieces);
    expect(performance.now() - from).toBeLessThan(MAX_MS);
  });
});

test('a value that is encoded in a URL or in JSON, and then once more, is replaced', () => {
  const first = [
    encodeURIComponent,
    (text: string) => new URLSearchParams({ v: text }).toString().slice('v='.length),
    (text: string) => JSON.stringify(text).slice(1, -1),
  ];
  const second = [
    encodeURIComponent,
    (text: string) => JSON.stringify(text),
    (text: string) => Buffer.from(text).toString('hex'),
    ...['', '.', '..'].flatMap((before) => [
      (text: string) => Buffer.from(`${before}${text}`).toString('base64'),
      (text: string) => Buffer.from(`${before}${text}`).toString('base64url'),
    ]),
  ];
  const values = fc.string({ unit: fc.constantFrom('a', '7', '+', '/', '"', ' ', 'é'), minLength: 8 });
  const given = fc.tuple(
    values.filter((value) => /[+/" é]/.test(value)),
    fc.constantFrom(...first),
    fc.constantFrom(...second),
  );
  check(given, ([value, once, again]) => {
    fc.pre(once(value) !== value);
    const patterns = new PatternSet([new Secret(value)]);
    expect(redactText(patterns, `before ${again(once(value))} after`).count).toBeGreaterThan(0);
  });
});
