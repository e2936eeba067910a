/** Relative times, spans, and text that is safe for a terminal. */
import { describe, expect, test } from 'vitest';
import { describeExpiry, parseTime, relativeTime } from '../../src/cli/terminal/relative_time.ts';
import { table } from '../../src/cli/terminal/table.ts';
import { paintFor, printable } from '../../src/cli/terminal/terminal_text.ts';
import { shellQuote } from '../../src/io/shell_quote.ts';

const NOW = new Date('2026-03-01T12:00:00.000Z');

describe('relativeTime', () => {
  test.each([
    ['2026-03-01T12:00:05.000Z', 'just now'],
    ['2026-03-01T11:59:59.500Z', 'just now'],
    ['2026-03-01T11:59:59.000Z', '1 second ago'],
    ['2026-03-01T11:57:00.000Z', '3 minutes ago'],
    ['2026-03-01T11:00:00.000Z', '1 hour ago'],
    ['2026-02-27T12:00:01.000Z', '1 day ago'],
    ['2026-01-01T12:00:00.000Z', '1 month ago'],
    ['2023-01-01T12:00:00.000Z', '3 years ago'],
  ])('relativeTime formats %s as %s', (at, expected) => {
    expect(relativeTime(at, NOW)).toBe(expected);
  });
});

describe('parseTime', () => {
  test.each([
    '',
    'now',
    '30',
    'd',
    '-1d',
    '1.5d',
    '1y',
    '2026',
    '2026-1-1',
    '2026-02-31T25:00',
    '1 January 2026',
    '9999999d',
    '999999w',
  ])('parseTime returns undefined for %j', (text) => {
    expect(parseTime(text, NOW)).toBeUndefined();
  });

  test.each([
    ['30d', '2026-01-30T12:00:00.000Z'],
    ['45m', '2026-03-01T11:15:00.000Z'],
    ['2w', '2026-02-15T12:00:00.000Z'],
    ['2026-02-01', '2026-02-01T00:00:00.000Z'],
    ['2026-02-01T10:00', '2026-02-01T10:00:00.000Z'],
    ['2026-02-01T10:00:00.5Z', '2026-02-01T10:00:00.500Z'],
    ['2026-02-01T10:00+02:00', '2026-02-01T08:00:00.000Z'],
  ])('parseTime parses %s as %s', (text, expected) => {
    expect(parseTime(text, NOW)).toBe(expected);
  });
});

describe('printable and table', () => {
  test('printable replaces control and invisible characters and bidirectional overrides, and keeps other Unicode', () => {
    expect(printable('a\u001b[2Jb\u202ec\u0085d\ne')).toBe('a?[2Jb?c?d?e');
    expect(printable('a\u{e0041}b\u3164c\u00ad')).toBe('a?b?c?');
    expect(printable('Zoë 👩‍💻 日本')).toBe('Zoë 👩‍💻 日本');
  });

  test('table aligns columns with wide characters and leaves no trailing spaces', async () => {
    const plain = paintFor({ stdout: {}, env: {} });
    const rows = await table(
      ['A', 'B', 'C'],
      [
        ['日本', 'x', ''],
        ['a', 'yy', 'z'],
      ],
      plain,
    );
    expect(rows.text).toBe('A     B   C\n日本  x\na     yy  z');
  });
});

describe('shellQuote', () => {
  test.each([
    ['linear', 'linear'],
    ['a b', "'a b'"],
    ['', "''"],
    ['$(id)', "'$(id)'"],
    ["it's", String.raw`'it'\''s'`],
  ])('shellQuote(%j) returns %s', (text, expected) => {
    expect(shellQuote(text)).toBe(expected);
  });
});

test.each([
  ['2026-01-16T00:00:01Z', null],
  ['2026-01-16T00:00:00Z', 'expires in 14 days'],
  ['2026-01-03T12:00:00Z', 'expires in 2 days'],
  ['2026-01-02T00:30:00Z', 'expires in 30 minutes'],
  ['2026-01-02T00:00:00Z', 'expired just now'],
  ['2026-01-01T00:00:00Z', 'expired 1 day ago'],
  [null, null],
])('a credential that ends at %s is described as %s on 2 January', (iso, described) => {
  expect(describeExpiry(iso, new Date('2026-01-02T00:00:00Z'))).toBe(described);
});
