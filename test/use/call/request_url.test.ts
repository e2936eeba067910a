/** The URL of a call: what a caller can and cannot choose. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { buildUrl, type UrlRules } from '../../../src/use/call/request/url.ts';

const RULES: UrlRules = {
  base_url: 'https://api.example.com',
  origins: ['https://api.example.com', 'https://uploads.example.com', 'https://*.regions.example.com'],
  own_parameters: ['key'],
};
const WITH_PATH: UrlRules = { ...RULES, base_url: 'https://api.example.com/api/v1' };

function urlOf(path: string, query?: Parameters<typeof buildUrl>[0]['query'], rules = RULES): string {
  const url = buildUrl({ path, query }, rules);
  return `${url.origin}${url.path}${url.query === '' ? '' : `?${url.query}`}`;
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a path that could lead elsewhere is refused:', () => {
  test.each([
    ['a protocol-relative URL', '//evil.example/x'],
    ['a backslash', '/\\evil.example'],
    ['two slashes inside', '/a//b'],
    ['a parent segment', '/a/../../b'],
    ['a parent segment with %2e', '/a/%2e%2E/b'],
    ['half of it encoded', '/a/.%2e/b'],
    ['an encoded slash around dots', '/a%2F..%2Fb'],
    ['an encoded backslash around dots', '/a%5c..%5cb'],
    ['a path parameter after dots', '/a/..;/b'],
    ['an encoded path parameter after dots', '/a/..%3B/b'],
    ['a dot segment', '/a/./b'],
    ['a line end', '/a\r\nX: y'],
    ['a tab, which WHATWG URLs leave out', '/a\t/../b'],
    ['a NUL', '/a%00b'],
    ['a fragment', '/a#b'],
    ['a line separator', '/a\u2028b'],
    ['an empty path', '  '],
  ])('%s', (_what, path) => {
    expect(codeOf(() => urlOf(path))).toBe('INVALID_INPUT');
  });
});

describe('a URL of another host is refused:', () => {
  test.each([
    ['an unknown host', 'https://evil.example/x'],
    ['http', 'http://api.example.com/x'],
    ['another port', 'https://api.example.com:8443/x'],
    ['the host as a prefix', 'https://api.example.com.evil.example/x'],
    ['the host as a suffix', 'https://evilapi.example.com/x'],
    ['the domain of a wildcard itself', 'https://regions.example.com/x'],
    ['a suffix of the domain of a wildcard', 'https://evilregions.example.com/x'],
    ['an address', 'https://2130706433/x'],
    ['another scheme', 'ftp://api.example.com/x'],
  ])('%s', (_what, path) => {
    expect(codeOf(() => urlOf(path))).toBe('FORBIDDEN');
  });

  test.each([
    ['user info', 'https://user:pass@api.example.com/x'],
    ['an empty user', 'https://@api.example.com/x'],
    ['the host as user info', 'https://api.example.com@evil.example/x'],
    ['a backslash before user info', 'https://api.example.com\\@evil.example/x'],
    ['no host', 'https:///x'],
    ['a parent segment', 'https://api.example.com/a/../b'],
  ])('%s', (_what, path) => {
    expect(['INVALID_INPUT', 'FORBIDDEN']).toContain(codeOf(() => urlOf(path)));
  });
});

describe('a path', () => {
  test('is put below the base URL', () => {
    expect(urlOf('/repos/o/r')).toBe('https://api.example.com/repos/o/r');
    expect(urlOf('repos/o/r')).toBe('https://api.example.com/repos/o/r');
    expect(urlOf('/users', undefined, WITH_PATH)).toBe('https://api.example.com/api/v1/users');
  });

  test('may repeat the path of the base URL, but only whole segments of it', () => {
    expect(urlOf('/api/v1/users', undefined, WITH_PATH)).toBe('https://api.example.com/api/v1/users');
    expect(urlOf('/api/v12', undefined, WITH_PATH)).toBe('https://api.example.com/api/v1/api/v12');
  });

  test('may be a full URL of a bound host', () => {
    expect(urlOf('https://uploads.example.com/a?b=c')).toBe('https://uploads.example.com/a?b=c');
    expect(urlOf('HTTPS://API.EXAMPLE.COM/A')).toBe('https://api.example.com/A');
    expect(urlOf('https://eu.regions.example.com/a')).toBe('https://eu.regions.example.com/a');
  });

  test('keeps encoded characters, encodes others, and leaves placeholders text', () => {
    expect(urlOf('/projects/group%2Fname/a b/ü')).toBe(
      'https://api.example.com/projects/group%2Fname/a%20b/%C3%BC',
    );
    expect(urlOf('/{github_token}?q={github_token}')).toBe(
      'https://api.example.com/%7Bgithub_token%7D?q={github_token}',
    );
  });

  test('without a base URL must be a full URL', () => {
    const rules = { ...RULES, base_url: undefined };
    expect(codeOf(() => urlOf('/a', undefined, rules))).toBe('INVALID_INPUT');
    expect(urlOf('https://uploads.example.com/a', undefined, rules)).toBe('https://uploads.example.com/a');
  });

  test('is refused if the base URL is on a host that the credential is not bound to', () => {
    expect(codeOf(() => urlOf('/a', undefined, { ...RULES, origins: ['https://other.example.com'] }))).toBe(
      'FORBIDDEN',
    );
  });
});

describe('the query', () => {
  test('is merged with that of the path: arrays repeat, and the same name replaces', () => {
    expect(urlOf('/a?state=open&page=1', { page: 2, labels: ['x y', 'z&'], closed: false })).toBe(
      'https://api.example.com/a?state=open&page=2&labels=x%20y&labels=z%26&closed=false',
    );
    expect(urlOf('/a?url=https://b.example/../c?d')).toBe(
      'https://api.example.com/a?url=https://b.example/../c?d',
    );
  });

  test.each([
    ['in query', '/a', { key: 'x' }],
    ['in path', '/a?key=x', undefined],
    ['in another case', '/a?KEY=x', undefined],
    ['encoded', '/a?k%65y=x', undefined],
  ] as const)('with the parameter of the credential %s is refused', (_what, path, query) => {
    expect(codeOf(() => urlOf(path, query))).toBe('INVALID_INPUT');
  });
});
