/** One stored credential is tested over every interface: each returns the same result and no value. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { KeyholdClient } from '../../src/client/index.ts';
import type { TestOutput } from '../../src/contract/use/test.ts';
import { openVault } from '../../src/index.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { connectClient } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const SERVICE = { service_id: 'github' };
const TOKEN = 'ghp_interface_canary_0123456789abcdef0123';
const TIMEOUT_MS = 120_000;

type TestOverInterface = () => Promise<unknown>;

/** A server, a token for GitHub that the command line stored, and a test of it over each interface. */
async function startInterfaces() {
  const service = { status: 200 };
  const upstream = await startUpstream(['api.github.com'], (_request, response) =>
    response
      .writeHead(service.status, { 'content-type': 'application/json' })
      .end(JSON.stringify(service.status === 200 ? { login: 'octo', id: 1 } : { message: 'no' })),
  );
  const env = upstreamEnv(temporaryFolder());
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const [name, value] of Object.entries(env)) if (name.startsWith('KEYHOLD_')) vi.stubEnv(name, value);
  const server = await startServeProcess({ env });
  const { home, url, admin_key } = server;
  const stored = await runProgram(['store', 'github', '--stdin'], {
    env: { ...env, KEYHOLD_HOME: home },
    input: TOKEN,
  });
  expect(stored.code).toBe(0);
  const stdio = await connectClient('client 2.x, 2026-07-28', home, env as Record<string, string>);
  const http = await connectHttpClient('sdk 1.x, 2025-11-25', `${url}/mcp`, { 'X-API-Key': admin_key });
  const client = new KeyholdClient({ url, key: admin_key });
  const library = await openVault({ home });
  const { credential_id } = await client.getCredentialStatus(SERVICE);
  const rest = async (path: string, body?: object) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'X-API-Key': admin_key, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response.json();
  };
  const command = async (options: readonly string[], more: NodeJS.ProcessEnv) => {
    const { stdout } = await runProgram(['test', 'github', '--json', ...options], {
      env: { ...env, ...more },
    });
    return (JSON.parse(stdout) as TestOutput[])[0];
  };
  const interfaces: Readonly<Record<string, TestOverInterface>> = {
    'tool over stdio': async () => (await stdio.call('test_credential', SERVICE)).structured,
    'tool over HTTP': async () => (await http.call('test_credential', SERVICE)).structured,
    REST: () => rest('/v1/credentials/test', SERVICE),
    'REST by id': () => rest(`/v1/credentials/${credential_id}/test`),
    client: () => client.testCredential(SERVICE),
    library: () => library.testCredential(SERVICE),
    'command line': () => command([], { KEYHOLD_HOME: home }),
    'command line with --url': () => command(['--url', url], { KEYHOLD_API_KEY: admin_key }),
  };
  const close = async () => {
    await stdio.close();
    await http.close();
    await library.close();
    expect((await server.end('SIGTERM')).code).toBe(0);
  };
  return { service, upstream, client, interfaces, close };
}

test(
  'a stored credential has the same test result over every interface, and its status shows it',
  async () => {
    const { service, upstream, client, interfaces, close } = await startInterfaces();
    const count = Object.keys(interfaces).length;
    for (const [status, expected] of [
      [503, { result: 'unknown', reason: 'service_failed' }],
      [401, { result: 'invalid', reason: 'refused_credentials' }],
      [200, { result: 'valid', reason: 'accepted', account: 'octo (1)' }],
    ] as const) {
      service.status = status;
      const results: unknown[] = [];
      for (const [name, testOver] of Object.entries(interfaces)) {
        const { latency_ms, tested_at, ...same } = (await testOver()) as TestOutput;
        expect([name, same]).toEqual([name, expect.objectContaining(expected)]);
        expect([name, latency_ms >= 0, Date.parse(tested_at) > 0]).toEqual([name, true, true]);
        results.push(same);
      }
      expect(results).toEqual(Array(count).fill(results[0]));
      expect(JSON.stringify(results)).not.toContain(TOKEN);
      const stored = await client.getCredentialStatus(SERVICE);
      expect([stored.status, stored.last_test]).toEqual([
        status === 401 ? 'rejected' : 'active',
        expect.objectContaining(expected),
      ]);
    }
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual(
      Array(3 * count).fill(`Bearer ${TOKEN}`),
    );
    await close();
  },
  TIMEOUT_MS,
);
