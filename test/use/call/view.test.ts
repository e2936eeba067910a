/** How a stored response is shown: selected, shortened between items, paged, and never in the middle of a character. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Content } from '../../../src/use/call/response/content.ts';
import { cutJson } from '../../../src/use/call/response/json_cut.ts';
import { findNextPage } from '../../../src/use/call/response/next_page.ts';
import { assertExpression } from '../../../src/use/call/response/select.ts';
import { shapeOf } from '../../../src/use/call/response/shape.ts';
import type { StoredResponse } from '../../../src/use/call/response/stored_responses.ts';
import { viewOf } from '../../../src/use/call/response/view.ts';

const jsonContent = (json: unknown): Content => ({ kind: 'json', json, text: JSON.stringify(json) });
const stored = (content: Content): StoredResponse => ({
  status: 200,
  headers: {},
  content,
  redacted: 0,
  next: undefined,
  advice: {},
});
const show = (content: Content, options: Parameters<typeof viewOf>[1] = {}) =>
  viewOf(stored(content), options, () => 'r_1').output;

const ISSUES = Array.from({ length: 50 }, (_, id) => ({ id, title: `title ${id}`, user: { login: 'x' } }));

describe('JSON', () => {
  test('that fits is shown as a value', () => {
    expect(show(jsonContent({ a: 1 }))).toEqual({
      status: 200,
      ok: true,
      headers: {},
      body: { a: 1 },
      redacted: 0,
    });
  });

  test('that is too long is cut between the items of its longest array, and the rest is read on', () => {
    const content = jsonContent({ total: 50, data: { issues: ISSUES } });
    const first = show(content, { max_chars: 500 });
    expect(JSON.stringify(first.body).length).toBeLessThanOrEqual(500);
    expect(first.body).toMatchObject({ total: 50 });
    expect(first.truncated).toMatchObject({
      response_id: 'r_1',
      total_chars: JSON.stringify(content.kind === 'json' && content.json).length,
      items: { path: 'data.issues', from: 0, of: 50 },
      keys: ['total', 'data.issues[].{id, title, user}'],
    });
    const items = [...(first.body as { data: { issues: unknown[] } }).data.issues];
    for (let page = first; page.truncated?.next_offset; ) {
      page = show(content, { max_chars: 500, offset: page.truncated.next_offset });
      items.push(...(page.body as unknown[]));
    }
    expect(items).toEqual(ISSUES);
  });

  test('without an array that fits is cut as text', () => {
    const { body, truncated } = show(jsonContent({ file: 'x'.repeat(1_000) }), { max_chars: 100 });
    expect(body).toBe(`{"file":"${'x'.repeat(91)}`);
    expect(truncated).toMatchObject({ next_offset: 100, keys: ['file'] });
  });

  test('of any shape is never longer than the limit, and is a part of the whole', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.integer({ min: 5, max: 200 }), (json, max_chars) => {
        const part = cutJson(json, JSON.stringify(json), max_chars);
        if (part === undefined) return;
        expect(JSON.stringify(part.json).length).toBeLessThanOrEqual(max_chars);
        expect(part.kept).toBeLessThanOrEqual(part.of);
      }),
    );
  });
});

describe('a text', () => {
  test('is cut at a character, and its parts make up the whole', () => {
    const text = '😀'.repeat(100);
    const content: Content = { kind: 'text', text };
    const parts: string[] = [];
    for (let offset: number | null = 0; offset !== null; ) {
      const { body, truncated } = show(content, { max_chars: 101, offset });
      expect(String(body).isWellFormed()).toBe(true);
      parts.push(String(body));
      offset = truncated?.next_offset ?? null;
    }
    expect(parts.join('')).toBe(text);
  });

  test('from an offset past its end is empty', () => {
    expect(show({ kind: 'text', text: 'abc' }, { offset: 99 }).body).toBe('');
  });
});

describe('binary content', () => {
  const bytes = Buffer.from([1, 2, 3]);
  const binary = (content_type: string, content = bytes): Content => ({
    kind: 'binary',
    content_type,
    bytes: content,
    sha256: 'ab',
  });

  test('is described, and an image is shown too', () => {
    const { output, image } = viewOf(stored(binary('image/png')), {}, () => 'r_1');
    expect(output.binary).toEqual({ content_type: 'image/png', bytes: 3, sha256: 'ab' });
    expect(image).toEqual({ content_type: 'image/png', bytes });
    expect(viewOf(stored(binary('application/zip')), {}, () => 'r_1').image).toBeUndefined();
  });

  test('is not shown as an image above 1 MiB', () => {
    const large = binary('image/png', Buffer.alloc(1024 * 1024 + 1));
    expect(viewOf(stored(large), {}, () => 'r_1').image).toBeUndefined();
  });
});

describe('select', () => {
  test('picks from JSON', () => {
    expect(show(jsonContent(ISSUES), { select: '[?id < `2`].{id: id, t: title}' }).body).toEqual([
      { id: 0, t: 'title 0' },
      { id: 1, t: 'title 1' },
    ]);
    expect(show(jsonContent({ a: 1 }), { select: 'missing' }).body).toBeNull();
    expect(show(jsonContent({}), { select: 'constructor' }).body).toBeNull();
  });

  test.each(['a[', 'foo(', '#', 'a ? b'])('rejects %j before anything is sent', (expression) => {
    expect(() => assertExpression(expression)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });

  test('accepts functions whose argument is not null', () => {
    for (const expression of ['length(@)', 'sort_by(@, &id)[0]', 'keys(@)']) assertExpression(expression);
  });

  test('that does not fit the data shows the body with a hint', () => {
    const { body, hint } = show(jsonContent({ a: 1 }), { select: 'sum(@)' });
    expect(body).toEqual({ a: 1 });
    expect(hint).toMatch(/select/);
    expect(show({ kind: 'text', text: 'x' }, { select: 'a' }).hint).toMatch(/not JSON/);
  });

  test('that multiplies its result is stopped', () => {
    const expression = `${'[@,@]|'.repeat(150)}@`;
    const started = performance.now();
    expect(show(jsonContent({ a: 1 }), { select: expression }).hint).toMatch(/select/);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('that takes too long is stopped', () => {
    const items = Array.from({ length: 3_000 }, (_, at) => ({ a: at }));
    const started = performance.now();
    const nested = '[].[*][].[*][].[*][].a'.repeat(20);
    show(jsonContent(items), { select: `map(&sort_by($, &a), @) || ${nested}`.replace('$', '@') });
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

test('the shape of JSON names properties and arrays', () => {
  expect(shapeOf([{ id: 1, tags: ['a'] }])).toEqual(['[].{id, tags[]}']);
  expect(shapeOf({ items: [{ a: 1 }], total: 1, none: [] })).toEqual(['items[].a', 'total', 'none[]']);
  expect(shapeOf(Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`k${at}`, at])))).toHaveLength(21);
});

describe('the link', () => {
  const request = { method: 'GET', query: new URLSearchParams(), body: {} };
  test.each([
    [
      '<https://a.test/a?page=2>; rel="next", <https://a.test/a?page=9>; rel="last"',
      'https://a.test/a?page=2',
    ],
    ['<https://a.test/a?page=1>; rel="prev", </a?page=3>; rel=next', '/a?page=3'],
    ['<?page=2>; title="x"; rel="prefetch next"', '?page=2'],
    ['<https://a.test/a>; rel="nextish"', undefined],
    ['<https://a.test/a>; rel=next-archive', undefined],
    ['garbage', undefined],
    [undefined, undefined],
  ])('%j leads to %j', (link, url) => {
    const found = findNextPage(undefined, request, { content: { kind: 'empty' }, header: () => link });
    expect(found).toEqual(url === undefined ? undefined : { url });
  });
});
