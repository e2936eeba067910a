/** A shared stack for agents over MCP: what each role may do, that no value is returned, and which user the log names. */
import { expect, onTestFinished, test } from 'vitest';
import { findCanary, newCanary } from '../kit/canary.ts';
import { CLIENT_KINDS } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { startMcpServer } from './http_server.ts';

const GITHUB = { service_id: 'github' };

/** A stack of ann with a token for GitHub, and an agent of bob. */
async function start() {
  const canary = newCanary();
  const upstream = await startUpstream(['api.github.com'], (_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"login":"octo","id":1}'),
  );
  const server = await startMcpServer({ env: upstreamEnv(temporaryFolder()) });
  const { vault } = server;
  const ann = await vault.api_keys.authenticate(
    await server.key({ organization: 'acme', user: 'ann' }),
    'cli',
    'test',
  );
  const auditor = { ...ann, scopes: new Set(['audit:read' as const]) };
  const bob_key = await server.key({ organization: 'acme', user: 'bob' });
  const { stack_id } = await vault.stacks.create(ann, { stack_name: 'Production' });
  const shared = { ...GITHUB, stack_id };
  await vault.store(ann, { ...shared, credential_type: 'bearer', credential_value: canary.value });
  const share = (role: 'use' | 'edit') => vault.stack_shares.share(ann, stack_id, { user: 'bob', role });
  const agent = await connectHttpClient(CLIENT_KINDS[2], server.mcp_url, {
    authorization: `Bearer ${bob_key}`,
  });
  onTestFinished(() => agent.close());
  const texts: string[] = [];
  /** `ok`, or the code of the error. */
  const call = async (tool: string, input: object) => {
    const result = await agent.call(tool, { ...input });
    texts.push(JSON.stringify(result));
    return result.is_error ? (/^[A-Z_]+/.exec(result.text)?.[0] ?? result.text) : 'ok';
  };
  const uses = () =>
    Promise.all([
      call('get_credential_status', shared),
      call('list_services', { stack_id }),
      call('call_service', { ...shared, method: 'GET', path: '/user' }),
      call('test_credential', shared),
    ]);
  const value = { credential_type: 'bearer', credential_value: `${canary.value}-of-bob` };
  const changes = async () => [
    await call('store_credential', { ...shared, ...value, name: 'second' }),
    await call('update_credentials', { ...shared, credentials: { github_token: `${canary.value}-2` } }),
    await call('delete_credential', { ...shared, name: 'second' }),
  ];
  return { vault, ann, auditor, upstream, canary, shared, share, uses, changes, texts };
}

test('without a share, each tool reports the stack as missing, and nothing is sent', async () => {
  const { uses, changes, upstream } = await start();
  for (const outcome of [...(await uses()), ...(await changes())]) expect(outcome).toBe('NOT_FOUND');
  expect(upstream.requests).toEqual([]);
});

test('an agent with the role use can use the credentials of the stack and changes none', async () => {
  const { vault, ann, auditor, uses, changes, share, shared, upstream, canary, texts } = await start();
  await share('use');
  const before = await vault.status(ann, shared);
  expect(await changes()).toEqual(['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN']);
  expect(await uses()).toEqual(['ok', 'ok', 'ok', 'ok']);
  expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual(
    upstream.requests.map(() => `Bearer ${canary.value}`),
  );
  const { modified_by, updated_at } = await vault.status(ann, shared);
  expect([modified_by, updated_at]).toEqual([before.modified_by, before.updated_at]);
  expect(findCanary(texts.join('\n'), canary)).toEqual([]);
  const { entries } = await vault.listAudit(auditor);
  const of_bob = entries.filter(({ user }) => user === 'bob');
  expect(new Set(of_bob.map(({ owner }) => owner))).toEqual(new Set(['ann']));
  expect(of_bob.filter(({ outcome }) => outcome === 'denied')).toHaveLength(3);
  expect(of_bob.some(({ action, outcome }) => action === 'use' && outcome === 'allowed')).toBe(true);
});

test('an agent with the role edit stores, updates and deletes in the stack, and sees no value', async () => {
  const { vault, ann, auditor, changes, share, shared, canary, texts } = await start();
  await share('edit');
  expect(await changes()).toEqual(['ok', 'ok', 'ok']);
  expect(await vault.status(ann, shared)).toMatchObject({ status: 'active', modified_by: 'bob' });
  expect(await vault.status(ann, { ...shared, name: 'second' })).toMatchObject({ status: 'missing' });
  expect(findCanary(texts.join('\n'), canary)).toEqual([]);
  for (const action of ['store', 'update', 'delete'])
    expect((await vault.listAudit(auditor, { action })).entries[0]).toMatchObject({
      user: 'bob',
      owner: 'ann',
      outcome: 'allowed',
    });
});
