/** Calls through REST, the client and the command line, with the vault of this machine and of a server. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../../src/client/keyhold_client.ts';
import { keyhold } from '../../kit/child/cli.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { FULL_SERVER_OPTIONS } from '../../kit/http/in_process_server.ts';
import { echo, redirect, respondJson, truncated } from '../../kit/upstream/handlers.ts';
import { type Handler, startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { BEARER, definitionOf, HOST } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';

/** A server whose vault has the credential, and the ways to run a command on its vault. */
async function open(handler: Handler) {
  const upstream = await startUpstream([HOST], handler);
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definitionOf(BEARER)));
  const env = upstreamEnv(temporaryFolder());
  const server = await startHttpServer({ ...FULL_SERVER_OPTIONS, home, env });
  await server.vault.update(server.caller(), { service_id: 'acme', credentials: { token: TOKEN } });
  const key = await server.key();
  const at = {
    'on this machine': { env },
    'on a server': { env: { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key } },
  };
  const run = (where: keyof typeof at, ...argv: readonly string[]) =>
    keyhold(home, ['call', ...argv], at[where]);
  return { upstream, server, key, run };
}

const WHERE = ['on this machine', 'on a server'] as const;

describe.each(WHERE)('keyhold call %s', (where) => {
  test('writes the body without the value, and sends what the options name', async () => {
    const { run, upstream } = await open(echo());
    const { code, stdout } = await run(
      where,
      'acme',
      'post',
      '/a',
      '-q',
      'b=c d',
      '-H',
      'X-Mine: 1',
      '--data',
      '{"e":1}',
    );
    expect([code, stdout]).toEqual([0, expect.stringContaining('[redacted]')]);
    expect(stdout).not.toContain(TOKEN);
    const [request] = upstream.requests;
    expect([request?.method, request?.path, request?.body.toString()]).toEqual([
      'POST',
      '/a?b=c%20d',
      '{"e":1}',
    ]);
    expect(request?.headers).toMatchObject({ 'x-mine': '1', authorization: `Bearer ${TOKEN}` });
  });

  test('prints the result as JSON, a selection, and a dry run', async () => {
    const { run, upstream } = await open(respondJson([{ id: 1 }, { id: 2 }]));
    expect(JSON.parse((await run(where, 'acme', '/a', '--json')).stdout)).toMatchObject({
      status: 200,
      ok: true,
    });
    expect(JSON.parse((await run(where, 'acme', '/a', '--select', '[].id')).stdout)).toEqual([1, 2]);
    const { stdout } = await run(where, 'acme', '/a', '--dry-run');
    expect(JSON.parse(stdout)).toMatchObject({ url: `https://${HOST}/a`, allowed: true });
    expect(upstream.requests.length).toBe(2);
  });

  test('writes a file that only its owner can read', async () => {
    const { run } = await open(echo());
    const folder = temporaryFolder();
    expect((await run(where, 'acme', '/a', '--output', join(folder, 'out'))).code).toBe(0);
    expect(readFileSync(join(folder, 'out'), 'utf8')).toContain('[redacted]');
    expect(statSync(join(folder, 'out')).mode & 0o777).toBe(0o600);
  });

  test('sends nothing if the file cannot be written', async () => {
    const { run, upstream } = await open(echo());
    const file = join(temporaryFolder(), 'no-such-folder', 'out');
    expect((await run(where, 'acme', 'POST', '/a', '--output', file)).code).toBe(13);
    expect(upstream.requests).toEqual([]);
  });

  test('leaves no file if the request is refused', async () => {
    const { run } = await open(echo());
    const folder = temporaryFolder();
    expect((await run(where, 'acme', '/a/../b', '--output', join(folder, 'out'))).code).toBe(2);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('leaves no file if the response breaks off', async () => {
    const { run } = await open(truncated());
    const folder = temporaryFolder();
    const { code, stderr } = await run(where, 'acme', '/a', '--output', join(folder, 'out'));
    expect([code, readdirSync(folder)]).toEqual([14, []]);
    expect(stderr).toMatch(/^error: /);
  });

  test.each([
    [401, 3],
    [404, 5],
    [429, 9],
    [500, 14],
    [422, 2],
  ])('with the status %i writes the body and exits with %i', async (status, exit_code) => {
    const { run } = await open(respondJson({ why: 'x' }, status));
    expect(await run(where, 'acme', '/a')).toMatchObject({ code: exit_code, stdout: '{"why":"x"}' });
  });

  test('reports a redirect and exits with 0', async () => {
    const { run } = await open(redirect('https://evil.test/'));
    expect(await run(where, 'acme', '/a')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('https://evil.test/'),
    });
  });

  test.each([
    [['acme', 'FETCH', '/a']],
    [['acme', '/a', '-q', 'b']],
    [['acme', '/a', '-H', 'authorization: Bearer x']],
    [['acme', '/a', '--data', '@/nowhere/x']],
    [['acme', '/a/../b']],
    [['acme', '/a', '--json', '--output', '/tmp/x']],
    [['acme', '/a', '--output', '/tmp']],
    [['acme', '/a', '--output', '/dev/null']],
    [['acme', '/a', '--output', '']],
    [['acme', '/a', '-H', 'X-Mine: 1', '-H', 'x-mine: 2']],
  ])('rejects %j and sends nothing', async (argv) => {
    const { run, upstream } = await open(respondJson({}));
    expect((await run(where, ...argv)).code).toBe(2);
    expect(upstream.requests).toEqual([]);
  });
});

test('the client calls a service, and a key without the scope cannot', async () => {
  const { server, key } = await open(respondJson({ a: 1 }));
  const client = new KeyholdClient({ url: server.url, key });
  expect(await client.callService({ service_id: 'acme', path: '/a' })).toMatchObject({
    ok: true,
    body: { a: 1 },
  });
  const reader = new KeyholdClient({
    url: server.url,
    key: await server.key({ scopes: ['credentials:read'] }),
  });
  const input = { service_id: 'acme', path: '/a' };
  await expect(reader.callService(input)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(reader.streamService(input)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(client.callService({ ...input, service_id: '../x' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  });
});
