/** `keyhold approvals` of the built program: an agent over stdio makes requests, a person grants and revokes them. */
import { expect, onTestFinished, test } from 'vitest';
import type { Approval } from '../../src/contract/approval.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { CLIENT_KINDS, connectClient } from '../kit/mcp/mcp_clients.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const TOKEN = 'ghp_approvals_canary_0123456789abcdef01';
const POST = { service_id: 'github', method: 'POST', path: '/repos/acme/web/issues' };

/** An agent whose calls all need an approval, and the command line of the person. */
async function start() {
  const upstream = await startUpstream(['api.github.com'], (_request, response) =>
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"number":1}'),
  );
  const home = temporaryFolder();
  const env = { ...upstreamEnv(temporaryFolder()), KEYHOLD_HOME: home };
  const run = (argv: readonly string[], input = '') => runProgram(argv, { env, input });
  expect((await run(['store', 'github', '--stdin'], TOKEN)).code).toBe(0);
  expect((await run(['update', 'github', '--approve', 'always'])).code).toBe(0);
  const connect = async () => {
    const client = await connectClient(CLIENT_KINDS[1], home, env as Record<string, string>);
    onTestFinished(() => client.close());
    return client;
  };
  const first = await connect();
  /** `ok`, or the id of the approval that the refusal names. */
  const call = async (title: string, more: object = {}, agent = first) => {
    const { text, is_error } = await agent.call('call_service', { ...POST, body: { title }, ...more });
    expect(text).not.toContain(TOKEN);
    return is_error ? (/approvals show ([0-9a-f-]{36})/.exec(text)?.[1] ?? text) : 'ok';
  };
  const approvals = (...argv: string[]) => run(['approvals', ...argv]);
  const granted = async () => {
    const { stdout } = await approvals('list', '--granted', '--json');
    return (JSON.parse(stdout) as { approvals: readonly Approval[] }).approvals;
  };
  return { upstream, connect, call, approvals, granted };
}

test('approve refuses unknown values of --for and --each, and nothing is sent', async () => {
  const { upstream, call, approvals } = await start();
  const id = await call('one');
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  for (const wrong of [
    ['--for', 'forever'],
    ['--for', '-1h'],
    ['--for', '999d'],
    ['--each', 'service'],
  ]) {
    const { code, stdout } = await approvals('approve', id, '--yes', ...wrong);
    expect([wrong, code, stdout]).toEqual([wrong, 2, '']);
  }
  expect((await approvals('revoke', id)).code).toBe(5);
  expect(await call('one')).toBe(id);
  expect(upstream.requests).toEqual([]);
}, 60_000);

test('approve --for 30m --each endpoint allows other bodies, list --granted shows it, and revoke ends it', async () => {
  const { upstream, call, approvals, granted } = await start();
  expect(await granted()).toEqual([]);
  expect((await approvals('list', '--granted')).stdout).not.toContain('api.github.com');
  const id = await call('one');
  const approved = await approvals('approve', id, '--yes', '--for', '30m', '--each', 'endpoint', '--json');
  expect([approved.code, approved.stderr]).toEqual([0, '']);
  expect(JSON.parse(approved.stdout)).toMatchObject({ id, state: 'granted' });
  expect([await call('one'), await call('two')]).toEqual(['ok', 'ok']);
  expect(await call('three', { method: 'PATCH' })).toMatch(/^[0-9a-f-]{36}$/);
  const [grant] = await granted();
  expect(grant).toMatchObject({ id, grant: { uses: 2 } });
  const minutes = (Date.parse(grant?.expires_at ?? '') - Date.now()) / 60_000;
  expect(minutes).toBeGreaterThan(25);
  expect(minutes).toBeLessThanOrEqual(30);
  const listed = await approvals('list', '--granted');
  expect(listed.stdout).toContain(id);
  expect(listed.stdout).toContain('POST https://api.github.com/repos/acme/web/issues');
  expect((await approvals('revoke', id)).code).toBe(0);
  expect(await granted()).toEqual([]);
  expect(await call('four')).toMatch(/^[0-9a-f-]{36}$/);
  expect((await approvals('revoke', id)).code).toBe(5);
  expect(upstream.requests.map(({ body }) => JSON.parse(String(body)).title)).toEqual(['one', 'two']);
}, 60_000);

test('approve --for session --each host allows other paths to one process of the agent only', async () => {
  const { connect, call, approvals, granted } = await start();
  const id = await call('one');
  expect((await approvals('approve', id, '--yes', '--for', 'session', '--each', 'host')).code).toBe(0);
  expect(await call('two', { path: '/repos/acme/other/issues' })).toBe('ok');
  expect(await call('three', {}, await connect())).toMatch(/^[0-9a-f-]{36}$/);
  expect(await granted()).toMatchObject([{ id, grant: { uses: 1 } }]);
}, 60_000);
