/** Who sees whose credentials, as docs/http-api.md describes it under "Sharing credentials". */
import { describe, expect, test } from 'vitest';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startV1 } from './v1_server.ts';

interface Listed {
  readonly credentials: readonly { readonly service_id: string }[];
}

async function start() {
  const server = await startV1({ dialects: [danube, keyhold, toolzz] });
  const { api_keys } = server.vault;
  const make = (input: Parameters<typeof api_keys.create>[1]) =>
    api_keys.create({ ...server.caller(), edge: 'cli' }, { organization: 'acme', ...input });
  const store = (key: string, service_id: string, stack_id?: string) =>
    server.get('POST /v1/credentials/store', {
      key,
      body: { service_id, credential_type: 'api_key', credential_value: `value-of-${service_id}`, stack_id },
    });
  const list = async (key: string, query = '') => {
    const { credentials } = await server.get<Listed>(`GET /v1/credentials${query}`, { key });
    return credentials.map(({ service_id }) => service_id);
  };
  const first = await make({ user: 'team' });
  await store(first.key, 'openai');
  return { server, make, store, list, first };
}

describe('the credentials of a user', () => {
  test('all keys of a user see the same credentials, and the key of a new user sees none', async () => {
    const { make, list, first } = await start();
    expect(await list(first.key)).toEqual(['openai']);
    expect(await list((await make({ user: 'team' })).key)).toEqual(['openai']);
    expect(await list((await make({ user: 'ana' })).key)).toEqual([]);
    expect(await list((await make({ organization: 'other', user: 'team' })).key)).toEqual([]);
  });

  test('a key for one stack sees that stack, and the stack of the same name of another user is another one', async () => {
    const { server, make, store, list, first } = await start();
    await store(first.key, 'linear', 'staging');
    const staging = await make({ user: 'team', stack_id: 'staging' });
    expect(await list(staging.key)).toEqual(['linear']);
    expect((await server.send('GET /v1/credentials?stack_id=default', { key: staging.key })).status).toBe(
      404,
    );
    const other = await make({ user: 'ana' });
    await store(other.key, 'notion', 'staging');
    expect(await list(other.key, '?stack_id=staging')).toEqual(['notion']);
  });

  test('the audit log names the key of each entry', async () => {
    const { server, make, store } = await start();
    const second = await make({ user: 'team' });
    await store(second.key, 'linear');
    const reader = await make({ user: 'boss', scopes: ['audit:read'] });
    const { entries } = await server.get<{ entries: { action: string; api_key_id: string | null }[] }>(
      'GET /v1/audit',
      { key: reader.key },
    );
    const stored = entries.filter(({ action }) => action === 'store');
    expect(stored[0]?.api_key_id).toBe(second.id);
  });
});

test('an administrator lists the credentials of a unit and gives one to another user, and others of the unit see none', async () => {
  const { server, make, list, first } = await start();
  const admin = await make({ user: 'boss', scopes: ['org:admin', 'credentials:read', 'credentials:write'] });
  const colleague = await make({ user: 'ana' });
  expect(colleague.unit_id).toBe(first.unit_id);
  const path = `/api/v1/credential/unity/${first.unit_id}`;
  interface Page {
    readonly items: readonly { readonly id: string; readonly integrationId: string }[];
  }
  expect((await server.get<Page>(`GET ${path}`, { key: colleague.key })).items).toEqual([]);
  const [found] = (await server.get<Page>(`GET ${path}`, { key: admin.key })).items;
  const body = {
    name: 'openai',
    userId: colleague.user_id,
    unityId: colleague.unit_id,
    integrationId: found?.integrationId,
    status: true,
  };
  await server.get(`PUT /api/v1/credential/${found?.id}`, { key: admin.key, body });
  expect(await list(first.key)).toEqual([]);
  expect(await list(colleague.key, '?stack_id=default')).toEqual(['openai']);
});
