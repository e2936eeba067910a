/** Headers and bodies of a call: which headers a caller may send, and how a body becomes bytes. */
import { describe, expect, test } from 'vitest';
import { REQUEST_BODY_MAX_BYTES } from '../../../src/contract/limits.ts';
import { buildBody } from '../../../src/use/call/request/body.ts';
import { buildHeaders } from '../../../src/use/call/request/headers.ts';
import { assertNoMethodOverride } from '../../../src/use/call/request/method_override.ts';

describe('headers of a call', () => {
  test.each([
    'Host',
    'connection',
    'Keep-Alive',
    'TE',
    'trailer',
    'Transfer-Encoding',
    'Upgrade',
    'Content-Length',
    'Expect',
    'Authorization',
    'Cookie',
    'Proxy-Authorization',
    'Proxy-Foo',
    'X-HTTP-Method-Override',
    'X-Original-URL',
    'X-Forwarded-Host',
    'Accept-Encoding',
    'X-Api-Key',
    'x-api-KEY',
    'a b',
    'a:b',
    '',
  ])('do not take %s from the caller', (name) => {
    expect(() => buildHeaders({ [name]: 'x' }, {}, ['X-API-Key'])).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test.each(['a\r\nb: c', 'a\nb', 'a\0b', 'ü', 'x'.repeat(4_001)])('do not take the value %j', (value) => {
    expect(() => buildHeaders({ accept: value }, {}, [])).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('do not take one header in two cases', () => {
    expect(() => buildHeaders({ Accept: 'a', accept: 'b' }, {}, [])).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('have the defaults of the definition unless the caller sends its own', () => {
    const defaults = { 'Notion-Version': '2022-06-28', Accept: 'application/vnd.x+json' };
    expect(Object.fromEntries(buildHeaders({ 'notion-version': '2025-09-03' }, defaults, []))).toEqual({
      'notion-version': '2025-09-03',
      accept: 'application/vnd.x+json',
      'user-agent': 'keyhold',
    });
  });
});

describe('the body of a call', () => {
  const textOf = (...given: Parameters<typeof buildBody>) => {
    const { bytes, content_type } = buildBody(...given);
    return [content_type, bytes?.toString()];
  };

  test('is JSON for an object or an array', () => {
    expect(textOf({ body: { a: [1, null] } }, undefined)).toEqual(['application/json', '{"a":[1,null]}']);
    expect(textOf({ body: [1] }, 'application/vnd.api+json')).toEqual(['application/vnd.api+json', '[1]']);
  });

  test('is URL-encoded for an object with that content type, with brackets for nested names', () => {
    const body = {
      amount: 5,
      card: { 'a b': 'x&y' },
      items: [{ price: 'p' }],
      expand: ['a', 'b'],
      none: null,
    };
    expect(textOf({ body }, 'application/x-www-form-urlencoded; charset=utf-8')[1]).toBe(
      'amount=5&card%5Ba%20b%5D=x%26y&items%5B0%5D%5Bprice%5D=p&expand%5B%5D=a&expand%5B%5D=b',
    );
  });

  test('is a text as it is, with its content type inferred', () => {
    expect(textOf({ body: '{"a": {github_token}}' }, undefined)).toEqual([
      'text/plain; charset=utf-8',
      '{"a": {github_token}}',
    ]);
    expect(textOf({ body: ' {"a": 1}' }, undefined)).toEqual(['application/json', ' {"a": 1}']);
    expect(textOf({ body: 'a=b' }, 'application/x-www-form-urlencoded')[1]).toBe('a=b');
  });

  test('is bytes for base64', () => {
    const bytes = Buffer.from([0, 255, 1]);
    expect(buildBody({ body_base64: bytes.toString('base64') }, undefined)).toEqual({
      bytes,
      content_type: 'application/octet-stream',
    });
  });

  test.each([
    ['a body and base64', { body: 'x', body_base64: 'eA==' }, undefined],
    ['more than 1 MiB', { body: 'ü'.repeat(REQUEST_BODY_MAX_BYTES / 2 + 1) }, undefined],
    ['an object that has to be multipart', { body: { a: 1 } }, 'multipart/form-data; boundary=x'],
  ] as const)('may not be %s', (_what, given, type) => {
    expect(() => buildBody(given, type)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

describe('a parameter with which servers replace the method', () => {
  const FORM = 'application/x-www-form-urlencoded';
  const PART = '--x\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--x--';

  test.each(['_method=DELETE', 'a=b&_METHOD=delete', '%5Fmethod=PUT', '.method=PUT', '+_method=PUT'])(
    'is refused in the query %s',
    (query) => {
      expect(() => assertNoMethodOverride(query, {})).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT' }),
      );
    },
  );

  test.each([
    [{ _method: 'DELETE' }, undefined],
    [{ a: 'b', _method: 'DELETE' }, FORM],
    ['a=b&_method=DELETE', FORM],
    [' {"_method": "DELETE"}', undefined],
    ['{"_method": "DELETE"}', 'application/vnd.api+json'],
    [PART, 'multipart/form-data; boundary=x'],
  ])('is refused in the body %j of type %s', (body, content_type) => {
    const built = buildBody({ body }, content_type);
    expect(() => assertNoMethodOverride('', built)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
    const encoded = buildBody(
      { body_base64: built.bytes?.toString('base64') },
      content_type ?? 'application/json',
    );
    expect(() => assertNoMethodOverride('', encoded)).toThrow('_method');
  });

  test.each([
    ['payment_method=card&method=x', 'payment_method=card', FORM],
    ['', PART.replace('_method', 'payment_method'), 'multipart/form-data; boundary=x'],
    ['', { payment: { _method: 'inner' } }, undefined],
    ['', 'the text _method=DELETE', undefined],
    ['', '{"_method": ', 'application/json'],
  ])('is not found in the query %j with the body %j', (query, body, content_type) => {
    expect(() => assertNoMethodOverride(query, buildBody({ body }, content_type))).not.toThrow();
  });
});
