/** Calls whose values a command prints, and requests and responses whose content type matters. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { echo, inOrder, respond, respondJson } from '../../kit/upstream/handlers.ts';
import { readStream } from '../../kit/upstream/read_stream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { BEARER, definitionOf, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';

describe('a value that a command prints', () => {
  /** Prints how often it ran. */
  async function openWithCommand(cache_seconds: number, statuses: readonly [number, ...number[]]) {
    const [first, ...rest] = statuses.map((status) => respondJson({}, status));
    const opened = await openCalls(inOrder(first ?? respondJson({}), ...rest), { token: TOKEN });
    const file = join(temporaryFolder(), 'runs');
    const args = ['-c', `echo run >> ${file}; echo printed-token-$(grep -c run ${file})`];
    const commands = new Map([['token', { program: '/bin/sh', args, cache_seconds }]]);
    const caller = { ...opened.caller(), edge: 'cli' as const };
    await opened.vault.update(caller, { service_id: 'acme', credentials: {} }, { commands });
    const sent = () => opened.upstream.requests.map(({ headers }) => headers.authorization);
    const state = async () => (await opened.vault.status(caller, { service_id: 'acme' })).status;
    return { ...opened, file, sent, state };
  }

  test('for this call and is refused makes the credential rejected', async () => {
    const { call, state, file } = await openWithCommand(60, [401]);
    expect(await call({ path: '/a' })).toMatchObject({ status: 401, retry: false });
    expect(await state()).toBe('rejected');
    await expect(call({ path: '/a' })).rejects.toMatchObject({ reason: 'credential_rejected' });
    expect(readFileSync(file, 'utf8')).toBe('run\n');
  });

  test('earlier and is refused is printed once more at the next call, then the credential is rejected', async () => {
    const { call, state, sent } = await openWithCommand(60, [200, 401, 401]);
    await call({ path: '/a' });
    expect(await call({ path: '/a' })).toMatchObject({
      status: 401,
      retry: true,
      hint: expect.stringContaining('repeat the same call'),
    });
    expect(await state()).toBe('active');
    expect(await call({ path: '/a' })).toMatchObject({ status: 401, retry: false });
    expect(await state()).toBe('rejected');
    expect(sent()).toEqual(
      ['printed-token-1', 'printed-token-1', 'printed-token-2'].map((one) => `Bearer ${one}`),
    );
  });

  test('earlier and is refused in a stream is printed once more at the next call', async () => {
    const { calls, caller, call, sent, state } = await openWithCommand(60, [200, 401, 200]);
    await call({ path: '/a' });
    const { status, body } = await calls.stream(caller(), { service_id: 'acme', path: '/a' });
    await readStream(body);
    expect([status, await state()]).toEqual([401, 'active']);
    await call({ path: '/a' });
    expect(sent().at(-1)).toBe('Bearer printed-token-2');
  });
});

describe('a default content type of the definition', () => {
  const definition = definitionOf(BEARER, {
    default_headers: { 'Content-Type': 'application/vnd.api+json', 'X-Version': '2' },
  });

  test('is not sent without a body', async () => {
    const { call, upstream } = await openCalls(respondJson({}), { token: TOKEN }, definition);
    await call({ path: '/a' });
    await call({ path: '/a', method: 'DELETE' });
    for (const { headers } of upstream.requests) {
      expect(headers['content-type']).toBeUndefined();
      expect(headers['x-version']).toBe('2');
    }
    const { dry_run } = await call({ path: '/a', dry_run: true });
    expect(dry_run?.headers).not.toContain('content-type');
  });

  test('is sent with a body, unless the caller sends another', async () => {
    const { call, upstream } = await openCalls(respondJson({}), { token: TOKEN }, definition);
    await call({ path: '/a', method: 'POST', body: { a: 1 } });
    await call({ path: '/a', method: 'POST', body: {}, headers: { 'content-type': 'application/json' } });
    expect(upstream.requests.map(({ headers }) => headers['content-type'])).toEqual([
      'application/vnd.api+json',
      'application/json',
    ]);
  });
});

describe('a response in UTF-16', () => {
  const text = `the key is ${TOKEN}, é`;
  const little = Buffer.from(text, 'utf16le');
  const big = Buffer.from(text, 'utf16le').swap16();
  test.each<[string, Buffer, Record<string, string>]>([
    ['little endian by its charset', little, { 'content-type': 'text/plain; charset=UTF-16LE' }],
    ['big endian by its charset', big, { 'content-type': 'text/csv; charset="utf-16be"' }],
    ['by another name of the charset', little, { 'content-type': 'text/plain;charset=unicode' }],
    ['little endian by its mark', Buffer.concat([Buffer.from([0xff, 0xfe]), little]), {}],
    [
      'big endian by its mark, of a type that is not text',
      Buffer.concat([Buffer.from([0xfe, 0xff]), big]),
      { 'content-type': 'application/octet-stream' },
    ],
  ])('%s is redacted as text, in a result and in a stream', async (_what, bytes, headers) => {
    const { call, calls, caller } = await openCalls(respond(200, bytes, headers), { token: TOKEN });
    expect(await call({ path: '/a' })).toMatchObject({ body: 'the key is [redacted], é', redacted: 1 });
    const stream = await calls.stream(caller(), { service_id: 'acme', path: '/a' });
    expect((await readStream(stream.body)).toString()).toBe('the key is [redacted], é');
    expect(stream.headers['content-type'] ?? '').not.toMatch(/utf-16|unicode/i);
  });

  test('is redacted as JSON over chunk borders', async () => {
    const json = Buffer.from(JSON.stringify({ key: TOKEN }), 'utf16le');
    const { call } = await openCalls(
      ({ path: _ }, response) => {
        response.writeHead(200, { 'content-type': 'application/json; charset=utf-16' });
        for (let at = 0; at < json.length; at += 3) response.write(json.subarray(at, at + 3));
        response.end();
      },
      { token: TOKEN },
    );
    expect((await call({ path: '/a' })).body).toEqual({ key: '[redacted]' });
  });

  test('is not looked for in an image that begins with the same bytes', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x41, 0x00]);
    const { calls, caller } = await openCalls(respond(200, bytes, { 'content-type': 'image/x-test' }), {
      token: TOKEN,
    });
    const { body } = await calls.stream(caller(), { service_id: 'acme', path: '/a' });
    expect(await readStream(body)).toEqual(bytes);
  });
});

test('a service that is used by programs only cannot be called, and the error names the command', async () => {
  const { vault, calls, caller } = await openCalls(echo(), { token: TOKEN });
  const credentials = { connection_string: 'postgresql://app:pa55-word-of-db@db.example.com/app' };
  await vault.update(caller(), { service_id: 'internal_postgresql', credentials });
  await expect(calls.call(caller(), { service_id: 'internal_postgresql', path: '/' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('keyhold run --service internal_postgresql -- COMMAND'),
  });
});
