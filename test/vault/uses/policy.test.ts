/** Use policies as pure functions: which paths begin with a prefix, and which policy is within another. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import { hasPathPrefix, pathSegments } from '../../../src/contract/use/rules.ts';
import { isPolicyWithin } from '../../../src/vault/uses/policy.ts';
import { check } from '../../kit/property.ts';

/** Paths that some server resolves to another one than it seems. */
const AMBIGUOUS = [
  '/repos/../orgs',
  '/repos/./x',
  '/repos/..',
  '/repos/%2e%2e/orgs',
  '/repos/%2E%2e/orgs',
  '/repos/.%2E/orgs',
  '/repos//x',
  '//repos',
  '/repos%2f..%2forgs',
  '/repos%2Fx',
  '/repos%5cx',
  '/repos\\x',
  '/repos;a=1/x',
  '/repos/..;/orgs',
  '/repos%3b/x',
  '/repos/%252e%252e/orgs',
  '/repos/%00',
  '/repos/%0a',
  '/repos/x%zz',
  '/repos/x%2',
  '/repos/a b',
  '/repos/é',
  '/repos?x',
  '/repos#x',
  'repos',
  '',
];

describe('path prefixes', () => {
  test.each(AMBIGUOUS)('the path %j is ambiguous and begins with no prefix', (path) => {
    expect(pathSegments(path)).toBeUndefined();
    expect([hasPathPrefix(path, '/repos'), hasPathPrefix(path, '/')]).toEqual([false, false]);
    expect(hasPathPrefix('/repos/x', path)).toBe(false);
  });

  test('a prefix matches whole segments, in any spelling of unreserved characters', () => {
    for (const path of ['/repos', '/repos/', '/repos/a', '/%72epos/a', '/repos/a%20b', '/repos/a:b@c'])
      expect([path, hasPathPrefix(path, '/repos')]).toEqual([path, true]);
    for (const path of ['/repository', '/repos.json', '/Repos', '/', '/x/repos', '/repos%20/a'])
      expect([path, hasPathPrefix(path, '/repos')]).toEqual([path, false]);
    expect(hasPathPrefix('/a%c3%a9/b', '/a%C3%A9')).toBe(true);
    expect(hasPathPrefix('/anything', '/')).toBe(true);
  });

  const segment = fc.oneof(
    fc.constantFrom('.', '..', '', '%2e', '%2e%2E', '..;', 'repos', 'orgs', '%2f', '%5C', '%252f', ';'),
    fc.string({ unit: fc.constantFrom('a', 'b', '%41', '-'), maxLength: 4 }),
  );
  const anyPath = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`);

  /** Often continues the prefix. */
  const underOften = (prefix: string) =>
    fc.tuple(fc.boolean(), anyPath).map(([is_under, path]) => (is_under ? `${prefix}${path}` : path));

  test('a path that is accepted stays under its prefix however a server decodes and resolves it', () => {
    const pairs = anyPath.chain((prefix) => fc.tuple(underOften(prefix), fc.constant(prefix)));
    check(pairs, ([path, prefix]) => {
      if (!hasPathPrefix(path, prefix)) return;
      const resolve = (text: string) => new URL(text, 'https://example.com').pathname;
      const base = decodeURIComponent(prefix).replace(/\/$/, '');
      const spellings = [path, resolve(path), decodeURIComponent(path), resolve(decodeURIComponent(path))];
      for (const one of spellings) expect(`${decodeURIComponent(one)}/`.startsWith(`${base}/`)).toBe(true);
    });
  });

  test('a longer prefix is within a shorter one, and paths under it are under both', () => {
    const nested = anyPath.chain((outer) =>
      underOften(outer).chain((inner) => fc.tuple(underOften(inner), fc.constant(inner), fc.constant(outer))),
    );
    check(nested, ([path, inner, outer]) => {
      if (!hasPathPrefix(inner, outer) || !hasPathPrefix(path, inner)) return;
      expect(hasPathPrefix(path, outer)).toBe(true);
    });
  });
});

describe('a policy within another', () => {
  const outer: UsePolicy = {
    methods: ['GET', 'HEAD'],
    path_prefixes: ['/repos'],
    calls_per_minute: 10,
    expires_at: '2030-01-01T00:00:00Z',
    approve: 'writes',
  };
  const wider: readonly UsePolicy[] = [
    { ...outer, methods: ['GET', 'POST'] },
    { ...outer, methods: undefined },
    { ...outer, path_prefixes: ['/repos', '/orgs'] },
    { ...outer, path_prefixes: ['/'] },
    { ...outer, path_prefixes: undefined },
    { ...outer, calls_per_minute: 11 },
    { ...outer, calls_per_minute: undefined },
    { ...outer, expires_at: '2030-01-01T00:00:01Z' },
    { ...outer, expires_at: '2030-01-01T00:00:00-01:00' },
    { ...outer, expires_at: undefined },
    { ...outer, approve: 'never' },
    { ...outer, approve: undefined },
    {},
  ];
  test.each(wider.map((policy) => [JSON.stringify(policy), policy] as const))('%s is wider', (_, policy) => {
    expect(isPolicyWithin(policy, outer)).toBe(false);
  });

  test('the same policy and a tighter one are within it, and every policy is within none', () => {
    const tighter = { ...outer, methods: ['GET'], path_prefixes: ['/repos/a'], approve: 'always' } as const;
    expect(isPolicyWithin(outer, outer)).toBe(true);
    expect(isPolicyWithin({ ...tighter, methods: ['GET'], path_prefixes: ['/repos/a'] }, outer)).toBe(true);
    expect([isPolicyWithin(outer, undefined), isPolicyWithin(undefined, undefined)]).toEqual([true, true]);
    expect(isPolicyWithin(undefined, outer)).toBe(false);
  });
});
