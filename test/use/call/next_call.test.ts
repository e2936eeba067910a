/** The arguments for the next page: from the definition of the service, and only for a page of a list. */
import { describe, expect, test } from 'vitest';
import type { CallInput } from '../../../src/contract/use/call.ts';
import { respond, respondJson } from '../../kit/upstream/handlers.ts';
import type { Handler } from '../../kit/upstream/upstream.ts';
import { BEARER, definitionOf, HOST, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';
const FOLDER = `https://${HOST}/v1`;
const USERS = [{ id: 'u1' }, { id: 'u2' }];

async function nextOf(
  pagination: unknown,
  handler: Handler,
  input: Omit<CallInput, 'service_id'>,
  more: Record<string, unknown> = {},
) {
  const definition = definitionOf(BEARER, { ...more, ...(pagination === undefined ? {} : { pagination }) });
  const { call } = await openCalls(handler, { token: TOKEN }, definition);
  return (await call(input)).next;
}

const list = { path: '/users?limit=2&q=a' };
const by_offset = { style: 'offset', parameter: 'offset' };
const by_page = { style: 'page', parameter: 'page' };
const by_cursor = { style: 'cursor', parameter: 'cursor', pointer: '/meta/next' };

describe('no next page is given', () => {
  test.each<[string, unknown, Handler, Omit<CallInput, 'service_id'>]>([
    ['for a response without a cursor', by_cursor, respondJson({ data: USERS, meta: { next: null } }), list],
    ['for an empty cursor', by_cursor, respondJson({ data: USERS, meta: { next: '' } }), list],
    [
      'for a cursor beside which the service reports that it is the last page',
      by_cursor,
      respondJson({ data: USERS, meta: { next: 'c', has_more: false } }),
      list,
    ],
    [
      'for a cursor that is a URL of another host',
      by_cursor,
      respondJson({ meta: { next: 'https://evil.test/x' } }),
      list,
    ],
    ['for a list that is shorter than a page', by_offset, respondJson([{ id: 1 }]), list],
    ['for an empty list', by_page, respondJson({ data: [] }), { path: '/users' }],
    ['for the last offset of a known total', by_offset, respondJson({ total: 2, data: USERS }), list],
    ['for a single record with lists in it', by_page, respondJson({ id: 1, roles: USERS }), { path: '/u/1' }],
    [
      'for a POST that is no search',
      by_page,
      respondJson({ data: USERS }),
      { ...list, path: '/u', method: 'POST', body: {} },
    ],
    ['for a DELETE', by_cursor, respondJson({ meta: { next: 'c' } }), { ...list, method: 'DELETE' }],
    ['for an error', by_cursor, respondJson({ meta: { next: 'c' } }, 404), list],
    ['for a body that is text', by_offset, respond(200, 'text', { 'content-type': 'text/plain' }), list],
    ['for a service whose lists have no pages', { style: 'none' }, respondJson(USERS), list],
    [
      'for a link to another host',
      undefined,
      respond(200, '[]', { link: '<https://evil.test/a>; rel="next"' }),
      list,
    ],
    [
      'for a body that is too long to repeat',
      by_cursor,
      respondJson({ meta: { next: 'c' } }),
      { path: '/s', method: 'POST', body: { q: 'x'.repeat(9_000) } },
    ],
  ])('%s', async (_what, pagination, handler, input) => {
    expect(await nextOf(pagination, handler, input)).toBeUndefined();
  });
});

describe('the next page', () => {
  test.each<[string, unknown, Handler, Omit<CallInput, 'service_id'>, object]>([
    [
      'of a cursor',
      by_cursor,
      respondJson({ meta: { next: 'c=/1' } }),
      list,
      { path: '/users?limit=2&q=a&cursor=c%3D%2F1' },
    ],
    [
      'of a number as a cursor',
      by_cursor,
      respondJson({ meta: { next: 7 } }),
      list,
      { path: '/users?limit=2&q=a&cursor=7' },
    ],
    [
      'of a cursor in the body of a POST',
      by_cursor,
      respondJson({ meta: { next: 'c1' } }),
      { path: '/search', method: 'POST', body: { q: 'a' } },
      { method: 'POST', path: '/search', body: { q: 'a', cursor: 'c1' } },
    ],
    [
      'of a URL in the body',
      { style: 'cursor', pointer: '/next' },
      respondJson({ next: `https://${HOST}/users?cursor=2` }),
      list,
      { path: '/users?cursor=2' },
    ],
    [
      'of a path in the body',
      { style: 'cursor', pointer: '/@odata.nextLink' },
      respondJson({ '@odata.nextLink': '/users?skip=2' }),
      list,
      { path: '/users?skip=2' },
    ],
    [
      'of the last item of the list',
      { style: 'cursor', parameter: 'after', last_item: '/id' },
      respondJson({ has_more: true, data: USERS }),
      { path: '/users', query: { after: 'u0', tag: ['a', 'b'] } },
      { path: '/users?after=u2&tag=a&tag=b' },
    ],
    [
      'of a header',
      { style: 'cursor', parameter: 'token', header: 'X-Next-Token' },
      respond(200, '[]', { 'x-next-token': 't2', 'content-type': 'application/json' }),
      { path: '/users' },
      { path: '/users?token=t2' },
    ],
    [
      'of an XML element',
      { style: 'cursor', parameter: 'marker', element: 'NextMarker' },
      respond(200, '<R><NextMarker>m2</NextMarker></R>', { 'content-type': 'application/xml' }),
      { path: '/c' },
      { path: '/c?marker=m2' },
    ],
    [
      'of the first page',
      by_page,
      respondJson({ data: USERS }),
      { path: '/users' },
      { path: '/users?page=2' },
    ],
    [
      'of a later page',
      by_page,
      respondJson(USERS),
      { path: '/users?page=7&per_page=2' },
      { path: '/users?page=8&per_page=2' },
    ],
    [
      'of pages from 0 on',
      { ...by_page, first: 0 },
      respondJson(USERS),
      { path: '/users' },
      { path: '/users?page=1' },
    ],
    [
      'of an offset',
      by_offset,
      respondJson({ total: 9, hits: { hits: USERS } }),
      { path: '/users?offset=4' },
      { path: '/users?offset=6' },
    ],
    [
      'of an offset in the body of a POST',
      { style: 'offset', parameter: 'from' },
      respondJson({ hits: { hits: USERS } }),
      { path: '/_search', method: 'POST', body: { size: 2, query: {} } },
      { method: 'POST', path: '/_search', body: { size: 2, query: {}, from: 2 } },
    ],
    [
      'of a link, whatever the definition has',
      by_page,
      respond(200, '[]', { link: '<?page=5>; rel="next"' }),
      list,
      { path: '/users?page=5' },
    ],
  ])('%s is a call with the same arguments', async (_what, pagination, handler, input, expected) => {
    const same = { headers: { 'X-Mine': '1' }, stack_id: 'default', select: '@', max_chars: 1_000 };
    const next = await nextOf(pagination, handler, { ...input, ...same, idempotency_key: 'k1' });
    expect(next).toEqual({ service_id: 'acme', ...expected, ...same });
  });

  test('is a full URL if a call would read its path as one below the base URL', async () => {
    const definition = { base_url: FOLDER };
    const link = (path: string) => respond(200, '[]', { link: `<${path}>; rel="next"` });
    const input = { path: '/users' };
    expect(await nextOf(undefined, link('/v1/users?p=2'), input, definition)).toMatchObject({
      path: '/v1/users?p=2',
    });
    expect(await nextOf(undefined, link('/v2/users?p=2'), input, definition)).toMatchObject({
      path: `https://${HOST}/v2/users?p=2`,
    });
  });

  test('can be requested with the arguments as they are, and does not repeat the credential', async () => {
    const pages: Handler = ({ path }, response) => {
      const next = path.includes('p=2') ? [] : { link: `<${path.replace('p=1', 'p=2')}>; rel="next"` };
      response.writeHead(200, { 'content-type': 'application/json', ...next }).end('[{"a":1}]');
    };
    const definition = definitionOf({ in: 'query', query: { key: '{token}' } });
    const { call, upstream } = await openCalls(pages, { token: TOKEN }, definition);
    const first = await call({ path: '/a?p=1' });
    expect(first.next).toEqual({ service_id: 'acme', path: '/a?p=2' });
    const second = await call(first.next as Omit<CallInput, 'service_id'>);
    expect(second.next).toBeUndefined();
    expect(upstream.requests.map(({ path }) => path)).toEqual([`/a?p=1&key=${TOKEN}`, `/a?p=2&key=${TOKEN}`]);
  });
});
