/** The password file of libpq: the first matching line, wildcards, and escapes, as PostgreSQL documents them. */
import { describe, expect, test } from 'vitest';
import { findPassword } from '../../../src/settings/postgres/password_file.ts';

const QUERY = { host: 'db', port: 5432, database: 'keyhold', user: 'ann' };

function find(lines: string, query: Partial<typeof QUERY> = {}): string | undefined {
  return findPassword(lines, { ...QUERY, ...query })?.reveal();
}

describe('a line of the password file', () => {
  test.each([
    'db:5432:keyhold:bob:wrong',
    'db:5432:other:ann:wrong',
    'db:5433:keyhold:ann:wrong',
    'db2:5432:keyhold:ann:wrong',
    '# db:5432:keyhold:ann:wrong',
    'db:5432:keyhold:ann',
    'db:5432:keyhold:ann:',
    ' db:5432:keyhold:ann:wrong',
    '',
  ])('"%s" does not match', (line) => {
    expect(find(line)).toBeUndefined();
  });

  test.each([
    ['db:5432:keyhold:ann:right', {}],
    ['*:*:*:*:right', {}],
    ['db:*:*:ann:right\r', {}],
    ['2001\\:db8\\:\\:1:5432:keyhold:ann:right', { host: '2001:db8::1' }],
    ['db:5432:a\\\\b:ann:right', { database: 'a\\b' }],
    ['localhost:5432:keyhold:ann:right', { host: '/run/postgresql' }],
    ['/srv/sockets:5432:keyhold:ann:right', { host: '/srv/sockets' }],
  ])('"%s" matches', (line, query) => {
    expect(find(`${line}\n`, query)).toBe('right');
  });

  test('may have escaped colons and backslashes in its password, which ends at another colon as in libpq', () => {
    expect(find('db:5432:keyhold:ann:a\\:b\\\\c')).toBe('a:b\\c');
    expect(find('db:5432:keyhold:ann:a:b')).toBe('a');
    expect(find('db:5432:keyhold:ann:secret\\:')).toBe('secret:');
    expect(find('db:5432:keyhold:ann:secret\\')).toBe('secret\\');
  });

  test('wins over later lines that match too', () => {
    expect(find('db:5432:keyhold:bob:wrong\n#x\ndb:5432:keyhold:ann:first\n*:*:*:*:second\n')).toBe('first');
  });
});
