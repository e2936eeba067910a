/** A protected credential through every interface of a running server, and the decision of a person in another process. */
import { expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/index.ts';
import { findCanary, findCanaryInFiles, newCanary } from '../kit/canary.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { connectClient } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { revealCredentials } from '../kit/vault/revealed_values.ts';

const SERVICE = { service_id: 'openai' };
const OLD = 'sk-proj-stored-by-the-person-0123456789';

/** A server with a credential that the person protected in another process. */
async function startProtected() {
  const server = await startServeProcess();
  const { home, url, admin_key } = server;
  const outputs: string[] = [];
  const command = async (
    args: readonly string[],
    env: NodeJS.ProcessEnv = { KEYHOLD_HOME: home },
    input = '',
  ) => {
    const { code, stdout, stderr } = await runProgram(args, { env, input });
    outputs.push(stdout, stderr);
    return { code, stdout, stderr };
  };
  const rest = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${admin_key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    outputs.push(text);
    return { status: response.status, text };
  };
  expect((await command(['store', 'openai', '--protect'], undefined, OLD)).code).toBe(0);
  return { server, outputs, command, rest };
}

test('every interface reports that the values wait or are refused, and shows none of them', async () => {
  const { server, outputs, command, rest } = await startProtected();
  const { home, url, admin_key } = server;
  const canary = newCanary();
  const { value } = canary;
  const stdio = await connectClient('client 2.x, 2026-07-28', home);
  const http = await connectHttpClient('sdk 1.x, 2025-11-25', `${url}/mcp`, { 'X-API-Key': admin_key });
  const bearer = { ...SERVICE, credential_type: 'bearer', credential_value: value } as const;
  const fields = { ...SERVICE, credentials: { openai_api_key: value } };

  for (const { call } of [stdio, http]) {
    for (const [tool, input] of [
      ['store_credential', bearer],
      ['update_credentials', fields],
    ] as const) {
      const { structured, text, is_error } = await call(tool, input);
      outputs.push(JSON.stringify(structured), text);
      expect([is_error, structured?.status]).toEqual([false, 'pending_approval']);
      expect(text).toMatch(/protected.*wait.*keyhold approvals approve [0-9a-f-]{36}/s);
    }
    const deleted = await call('delete_credential', SERVICE);
    outputs.push(deleted.text);
    expect([deleted.is_error, deleted.text]).toEqual([true, expect.stringContaining('protected')]);
    const status = await call('get_credential_status', SERVICE);
    outputs.push(JSON.stringify(status.structured), status.text);
    expect(status.structured).toMatchObject({ protected: true, status: 'active' });
    expect(status.text).toContain('It is protected');
  }

  const client = new KeyholdClient({ url, key: admin_key });
  const stored = await client.storeCredential(bearer);
  expect(stored).toMatchObject({ status: 'pending_approval', updated_fields: [] });
  expect(await client.updateCredentials(fields)).toMatchObject({ status: 'pending_approval' });
  await expect(client.deleteCredential(SERVICE)).rejects.toMatchObject({ code: 'FORBIDDEN' });

  expect((await rest('PUT', '/v1/credentials', bearer)).text).toContain('pending_approval');
  expect((await rest('POST', '/v1/credentials/update', fields)).text).toContain('pending_approval');
  const id = stored.credential_id;
  const { name, userId, unityId, integrationId } = JSON.parse(
    (await rest('GET', `/api/v1/credential/${id}`)).text,
  );
  const toolzz = { name, userId, unityId, integrationId };
  const item = { credential_type: 'api_key', credentials: { openai_api_key: value } };
  for (const [method, path, body] of [
    ['POST', '/v1/credentials/store', bearer],
    ['POST', '/v1/credentials/delete', SERVICE],
    ['PUT', '/v1/credentials/policy', { ...SERVICE, use_policy: { methods: ['GET'] } }],
    ['PUT', '/v1/stacks/default/servers/openai/credentials', { credentials: fields.credentials }],
    ['DELETE', '/v1/stacks/default/servers/openai'],
    ['PUT', `/integrations/credentials/${id}`, item],
    ['DELETE', `/integrations/credentials/${id}`],
    ['PUT', `/api/v1/credential/${id}`, { ...toolzz, status: false }],
    ['DELETE', `/api/v1/credential/${id}`],
  ] as const) {
    const { status, text } = await rest(method, path, body);
    expect([method, path, status, text]).toEqual([method, path, 403, expect.stringContaining('protected')]);
  }

  const remote = { KEYHOLD_URL: url, KEYHOLD_API_KEY: admin_key };
  const updated = await command(['update', 'openai', 'openai_api_key'], remote, value);
  expect([updated.code, updated.stdout]).toEqual([0, expect.stringContaining('keyhold approvals approve')]);
  const kept = await command(['store', 'openai', '--json'], remote, value);
  expect(JSON.parse(kept.stdout)).toMatchObject({ status: 'pending_approval' });
  expect((await command(['delete', 'openai', '--yes'], remote)).code).toBe(4);

  const listed = await command(['approvals', 'list', '--json']);
  const { approvals } = JSON.parse(listed.stdout) as { approvals: readonly { id: string }[] };
  expect(approvals).toHaveLength(1);
  await command(['approvals', 'show', approvals[0]?.id ?? '']);
  await command(['audit', 'list', '--limit', '100', '--json']);
  await stdio.close();
  await http.close();
  expect((await server.end('SIGTERM')).code).toBe(0);
  expect(findCanary([...outputs, server.stdout(), server.stderr()].join('\n'), canary)).toEqual([]);
  expect(findCanaryInFiles(home, canary)).toEqual([]);
  const revealed = await revealCredentials(home);
  expect(revealed.get('openai')?.values).toEqual({ openai_api_key: OLD });
});

test('a person approves in another process while the server runs, and the server uses the new value', async () => {
  const { server, command, rest } = await startProtected();
  const { home } = server;
  const give = async (credential_value: string) => {
    const body = { ...SERVICE, credential_type: 'bearer', credential_value };
    const { text } = await rest('PUT', '/v1/credentials', body);
    return (JSON.parse(text) as { pending_approval: { approval_id: string } }).pending_approval.approval_id;
  };
  const first = await give('sk-proj-first-0123456789abcdef');
  const second = await give('sk-proj-second-0123456789abcdef');
  expect((await command(['approvals', 'approve', first, '--yes'])).code).toBe(5);
  // Two people at the same time.
  const decided = await Promise.all([
    command(['approvals', 'approve', second, '--yes']),
    command(['approvals', 'deny', second]),
  ]);
  const codes = decided.map(({ code }) => code);
  expect(codes.toSorted()).toEqual([0, 5]);
  const status = JSON.parse((await rest('GET', '/v1/credentials?service_id=openai')).text);
  expect(status).toMatchObject({ protected: true, pending_approval: null });
  expect((await command(['audit', 'verify'])).code).toBe(0);
  expect((await server.end('SIGTERM')).code).toBe(0);
  const value = codes[0] === 0 ? 'sk-proj-second-0123456789abcdef' : OLD;
  expect((await revealCredentials(home)).get('openai')?.values).toEqual({ openai_api_key: value });
});
