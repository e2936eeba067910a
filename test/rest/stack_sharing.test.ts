/** A stack that is shared with another user, through the routes of every dialect, the client and MCP. */
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/keyhold_client.ts';
import { NEW_KEY_SCOPES } from '../../src/contract/caller.ts';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { superai } from '../../src/rest/superai/dialect.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startV1 } from './v1_server.ts';

const VALUE = 'lin_api_shared7c1d';

/** A stack of ann with a credential for Linear, and the key of bob. */
async function start() {
  const server = await startV1({ dialects: [toolrouter, danube, keyhold, superai, toolzz] });
  const key = (user: string) => server.key({ user });
  const [ann, bob] = [await key('ann'), await key('bob')];
  const { stack_id } = await server.get<{ stack_id: string }>('POST /v1/stacks', {
    key: ann,
    body: { stack_name: 'Production' },
  });
  const stored = { service_id: 'linear', credential_type: 'bearer', credential_value: VALUE, stack_id };
  await server.get('PUT /v1/credentials', { key: ann, body: stored });
  const share = (body: object) => server.send(`POST /v1/stacks/${stack_id}/shares`, { key: ann, body });
  return { server, ann, bob, stack_id, share };
}

describe('a stack shared over REST', () => {
  test('a share that is malformed or with an unknown user is refused', async () => {
    const { share } = await start();
    expect((await share({ user: 'bob' })).status).toBe(400);
    expect((await share({ user: 'bob', unit: 'default', role: 'use' })).status).toBe(400);
    expect((await share({ user: 'bob', role: 'owner' })).status).toBe(400);
    expect((await share({ user: 'nobody', role: 'use' })).status).toBe(404);
  });

  test('every dialect shows the stack and its credentials as long as it is shared, and never a value', async () => {
    const { server, ann, bob, stack_id, share } = await start();
    const requests = [
      `GET /v1/stacks/${stack_id}`,
      `GET /v1/stacks/${stack_id}/servers/linear/credentials`,
      `GET /v1/credentials?stack_id=${stack_id}`,
      `GET /v1/credentials?stack_id=${stack_id}&service_id=linear`,
      `GET /v1/services?stack_id=${stack_id}`,
    ];
    const statuses = async () => {
      const responses = await Promise.all(requests.map((request) => server.send(request, { key: bob })));
      for (const { text } of responses) expect(text).not.toContain(VALUE);
      return responses.map(({ status }) => status);
    };
    const hidden = await statuses();
    expect(hidden).toEqual(requests.map(() => 404));
    expect((await share({ user: 'bob', role: 'use' })).status).toBe(200);
    expect(await statuses()).toEqual(requests.map(() => 200));
    // SuperAI and Toolzz address credentials by their ids, and list those of all stacks.
    for (const request of ['GET /api/v1/credentials', 'GET /api/v1/credential'])
      expect((await server.send(request, { key: bob })).text).not.toContain(VALUE);
    const stacks = await server.get<readonly object[]>('GET /v1/stacks', { key: bob });
    expect(stacks).toMatchObject([
      { stack_id, owner: 'ann', role: 'use', shared_with: 1, servers: [{ server_name: 'linear' }] },
      { stack_id: 'default', owner: 'bob', role: 'owner' },
    ]);
    const update = { service_id: 'linear', credentials: { linear_api_key: 'w' }, stack_id };
    expect((await server.send('POST /v1/credentials/update', { key: bob, body: update })).status).toBe(403);
    await server.get(`POST /v1/stacks/${stack_id}/shares/remove`, { key: ann, body: { user: 'bob' } });
    expect(await statuses()).toEqual(hidden);
  });

  test('SuperAI and Toolzz let the role use read and not change, the role edit change, and show no value', async () => {
    const { server, share } = await start();
    const bob = await server.key({ user: 'bob', scopes: [...NEW_KEY_SCOPES, 'values:reveal'] });
    const send = (request: string, body?: object) =>
      server.send(request, { key: bob, ...(body === undefined ? {} : { body }) });
    const statusOf = async (request: string, body?: object) => {
      const { status, text } = await send(request, body);
      expect(text).not.toContain(VALUE);
      return status;
    };
    const ann = { ...server.caller(), user: 'ann' };
    const [info] = await server.vault.credentials.list(ann, {});
    const superai_path = `/integrations/credentials/${info?.id}`;
    const toolzz_path = `/api/v1/credential/${info?.id}`;
    const replaced = { credential_type: 'api_key', credentials: { linear_api_key: `${VALUE}-2` } };
    const changes = async () => [
      await statusOf(`PATCH ${superai_path}`, replaced),
      await statusOf(`PUT ${toolzz_path}`, toolzz_body),
      await statusOf(`DELETE ${superai_path}`),
      await statusOf(`DELETE ${toolzz_path}`),
    ];
    const reads = async () => [
      await statusOf(`GET ${superai_path}`),
      await statusOf(`GET ${toolzz_path}`),
      await statusOf(`GET ${superai_path}/credentials`),
    ];
    let toolzz_body = {};
    expect(await reads()).toEqual([404, 404, 404]);
    await share({ user: 'bob', role: 'use' });
    expect(await reads()).toEqual([200, 200, 403]);
    const { userId, unityId, integrationId, status } = JSON.parse((await send(`GET ${toolzz_path}`)).text);
    toolzz_body = { name: 'Renamed', userId, unityId, integrationId, status };
    expect(await changes()).toEqual([403, 403, 403, 403]);
    await share({ user: 'bob', role: 'edit' });
    expect((await changes()).slice(0, 3)).toEqual([200, 200, 204]);
    expect(await statusOf(`DELETE ${toolzz_path}`)).toBe(404);
    const { entries } = await server.vault.listAudit(server.caller(), { service_id: 'linear' });
    const written = entries.filter(({ user, outcome }) => user === 'bob' && outcome === 'allowed');
    expect(new Set(written.map(({ owner }) => owner))).toEqual(new Set(['ann']));
    expect(written.map(({ action }) => action)).toEqual(expect.arrayContaining(['update', 'delete']));
  });

  test('the client creates, renames, shares and deletes stacks', async () => {
    const { server, ann, bob } = await start();
    const client = new KeyholdClient({ url: server.url, key: ann });
    const { stack_id, role } = await client.createStack({ stack_name: 'Staging', analytics_enabled: true });
    expect(role).toBe('owner');
    expect(await client.shareStack(stack_id, { user: 'bob', role: 'edit' })).toMatchObject({
      shared_by: 'ann',
    });
    expect(await client.listStackShares(stack_id)).toMatchObject([{ user: 'bob', role: 'edit' }]);
    expect(await client.renameStack(stack_id, 'Test')).toMatchObject({ stack_name: 'Test', shared_with: 1 });
    const other = new KeyholdClient({ url: server.url, key: bob });
    expect((await other.listStacks()).map(({ stack_id }) => stack_id)).toContain(stack_id);
    await client.unshareStack(stack_id, { user: 'bob' });
    await expect(other.listStackShares(stack_id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await client.deleteStack(stack_id);
    await expect(client.deleteStack(stack_id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    for (const wrong of ['', '..', ann])
      await expect(client.deleteStack(wrong)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});
