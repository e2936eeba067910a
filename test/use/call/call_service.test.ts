/** Calls to real upstreams: what they return, what they must never return, and what is stored of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCanary, newCanary } from '../../kit/canary.ts';
import {
  decompressionBomb,
  ECHO_CODINGS,
  ECHO_ENCODINGS,
  echo,
  falselyEncoded,
  inOrder,
  redirect,
  respond,
  respondJson,
  truncated,
} from '../../kit/upstream/handlers.ts';
import { startUpstream } from '../../kit/upstream/upstream.ts';
import { definitionOf, HOST, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';

describe('an upstream that returns all it received', () => {
  test.each(ECHO_ENCODINGS)('in the encoding %s does not reveal the value', async (encoding) => {
    const canary = newCanary();
    // As headers take it.
    const token = canary.value.replace('é', '');
    const { call, upstream, home } = await openCalls(echo({ encoding, in_headers: true }), { token });
    const output = await call({ path: '/a', method: 'POST', body: { mine: 'text' } });
    expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${token}`);
    expect(findCanary(JSON.stringify(output), canary)).toEqual([]);
    expect(output.redacted).toBeGreaterThan(0);
    const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    for (const { parentPath, name } of files)
      expect(findCanary(readFileSync(join(parentPath, name)), canary), name).toEqual([]);
  });

  test.each(ECHO_CODINGS)('compressed with %s does not reveal the value', async (coding) => {
    const canary = newCanary();
    const definition = definitionOf({ in: 'query', query: { key: '{token}' } });
    const { call } = await openCalls(echo({ coding, chunk_bytes: 7 }), { token: canary.value }, definition);
    const output = await call({ path: '/a' });
    expect(findCanary(JSON.stringify(output), canary)).toEqual([]);
    expect(output.redacted).toBeGreaterThan(0);
  });

  test('in UTF-16, in a number and in a location does not reveal the value', async () => {
    const pin = '8374659201';
    const { call } = await openCalls(
      inOrder(
        respond(200, Buffer.from(`the key is ${pin}`, 'utf16le'), {
          'content-type': 'text/plain; charset=utf-16le',
        }),
        respond(200, `{"pin": ${pin}, "e": 8.374659201e9}`, { 'content-type': 'application/json' }),
        respond(302, '', {
          location: `https://${HOST}/x?key=${pin}`,
          'set-cookie': `a=${pin}`,
          'x-odd': pin,
        }),
      ),
      { token: pin },
    );
    expect(await call({ path: '/a' })).toMatchObject({ body: 'the key is [redacted]' });
    expect((await call({ path: '/a' })).body).toEqual({ pin: '[redacted]', e: '[redacted]' });
    const { headers } = await call({ path: '/a' });
    expect(headers).toEqual({ location: `https://${HOST}/x?key=[redacted]` });
  });
});

describe('a response', () => {
  test('that redirects is returned and not followed', async () => {
    const other = await startUpstream(['evil.test'], respondJson({}));
    const { call, upstream } = await openCalls(redirect('https://evil.test/x'), { token: TOKEN });
    expect(await call({ path: '/a' })).toMatchObject({
      status: 302,
      ok: true,
      headers: { location: 'https://evil.test/x' },
      hint: expect.stringContaining('not followed'),
    });
    expect([upstream.requests.length, other.connections()]).toEqual([1, 0]);
  });

  test.each([
    [401, false],
    [403, false],
    [404, false],
    [422, false],
    [429, true],
    [500, true],
    [503, true],
  ])('with the status %i is a result with a hint', async (status, retry) => {
    const { call } = await openCalls(respondJson({ error: 'why' }, status), { token: TOKEN });
    expect(await call({ path: '/a' })).toMatchObject({
      status,
      ok: false,
      retry,
      body: { error: 'why' },
      hint: expect.stringMatching(/\.$/),
    });
  });

  test.each([
    ['is a decompression bomb', decompressionBomb(50 * 1024 * 1024)],
    ['is not encoded as it claims', falselyEncoded()],
    ['has an unknown coding', respond(200, 'x', { 'content-encoding': 'compress' })],
    ['breaks off', truncated()],
  ])('that %s is an error', async (_what, handler) => {
    const { call } = await openCalls(handler, { token: TOKEN });
    await expect(call({ path: '/a' })).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test('that is long is read on without a second request, by its caller only', async () => {
    const items = Array.from({ length: 500 }, (_, id) => ({ id, text: 'x'.repeat(50) }));
    const { call, calls, caller, upstream } = await openCalls(respondJson(items), { token: TOKEN });
    const first = await call({ path: '/a', max_chars: 1_000 });
    const { response_id = '', next_offset } = first.truncated ?? {};
    const second = await call({ response_id, offset: next_offset ?? 0, max_chars: 1_000 });
    expect([...(first.body as unknown[]), ...(second.body as unknown[])]).toEqual(
      items.slice(0, (first.body as unknown[]).length + (second.body as unknown[]).length),
    );
    expect((await call({ response_id, select: 'length(@)' })).body).toBe(500);
    expect(upstream.requests.length).toBe(1);
    const others = [
      { ...caller(), api_key_id: 'other' },
      { ...caller(), edge: 'rest' as const },
    ];
    for (const other of others)
      await expect(calls.call(other, { service_id: 'acme', response_id })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    await expect(call({ response_id, path: '/b' })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(call({ response_id: 'r_unknown' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('has the path of the next page', async () => {
    const link = `<https://${HOST}/items?page=2&key=${TOKEN}>; rel="next"`;
    const definition = definitionOf({ in: 'query', query: { key: '{token}' } });
    const { call } = await openCalls(
      respond(200, '[]', { 'content-type': 'application/json', link }),
      { token: TOKEN },
      definition,
    );
    expect((await call({ path: '/items' })).next).toEqual({ service_id: 'acme', path: '/items?page=2' });
  });
});

describe('an idempotency key', () => {
  test('sends the request once, also for calls at the same time, and conflicts with another request', async () => {
    const definition = definitionOf(
      { in: 'header', headers: { Authorization: 'Bearer {token}' } },
      { idempotency_header: 'Idempotency-Key' },
    );
    const { call, upstream } = await openCalls(respondJson({ id: 1 }), { token: TOKEN }, definition);
    const input = { method: 'POST' as const, path: '/a', body: { a: 1 }, idempotency_key: 'k1' };
    const outputs = await Promise.all([call(input), call(input), call(input)]);
    expect(outputs.map(({ body }) => body)).toEqual([{ id: 1 }, { id: 1 }, { id: 1 }]);
    expect(outputs.filter(({ replayed }) => replayed)).toHaveLength(2);
    expect(upstream.requests.map(({ headers }) => headers['idempotency-key'])).toEqual(['k1']);
    await expect(call({ ...input, body: { a: 2 } })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(upstream.requests.length).toBe(1);
  });

  test('of a failed call can be used again', async () => {
    const { call, upstream } = await openCalls(inOrder(truncated(), respondJson({ id: 1 })), {
      token: TOKEN,
    });
    const input = { method: 'POST' as const, path: '/a', idempotency_key: 'k1' };
    await expect(call(input)).rejects.toMatchObject({ code: 'UPSTREAM' });
    expect(await call(input)).toMatchObject({ body: { id: 1 } });
    expect(upstream.requests.length).toBe(2);
  });

  test('of a call with a refused credential can be used again with a new one', async () => {
    const { call, vault, caller } = await openCalls(inOrder(respondJson({}, 401), respondJson({ id: 1 })), {
      token: TOKEN,
    });
    const input = { method: 'POST' as const, path: '/a', idempotency_key: 'k1' };
    expect(await call(input)).toMatchObject({ status: 401 });
    await vault.update(caller(), { service_id: 'acme', credentials: { token: `${TOKEN}2` } });
    expect(await call(input)).toMatchObject({ body: { id: 1 } });
  });
});

test('a call is logged before it is sent, with its outcome and without its query', async () => {
  const { call, vault, caller } = await openCalls(respondJson({}), { token: TOKEN });
  await call({ path: '/a?q=private', reason: 'a test' });
  const { entries } = await vault.listAudit({ ...caller(), scopes: new Set(['audit:read']) });
  const use = entries.find(({ action }) => action === 'use');
  expect(use).toMatchObject({
    outcome: 'allowed',
    use: { origin: `https://${HOST}`, method: 'GET', path: '/a', address: '127.0.0.1', reason: 'a test' },
  });
  expect(JSON.stringify(entries)).not.toContain('private');
});

test('a streamed response has no value in it, whatever its size', async () => {
  const { calls, caller } = await openCalls(
    respond(200, `${'x'.repeat(1_000_000)}${TOKEN}${'y'.repeat(100)}`, { 'content-type': 'text/plain' }),
    { token: TOKEN },
  );
  const { status, body } = await calls.stream(caller(), { service_id: 'acme', path: '/a' });
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  expect([status, Buffer.concat(parts).toString().slice(-115)]).toEqual([
    200,
    `xxxxx[redacted]${'y'.repeat(100)}`,
  ]);
});
