/** A Toolzz client may send back a credential as it received it: PUT stores only the differences, never the displayed name. */
import { describe, expect, test } from 'vitest';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { superai } from '../../src/rest/superai/dialect.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { customService } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { startV1, type V1Server } from './v1_server.ts';

const DIALECTS = [toolrouter, danube, keyhold, superai, toolzz];
const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };

interface CredentialBody {
  readonly id: string;
  readonly name: string;
  readonly status: boolean;
}

/** Stores a credential with Danube and returns it as Toolzz does. */
async function storeCredential(server: V1Server, body: object): Promise<CredentialBody> {
  await server.get('POST /v1/credentials/store', { body });
  const [first] = await server.get<{ id: string }[]>('GET /integrations/credentials');
  return server.get<CredentialBody>(`GET /api/v1/credential/${first?.id}`);
}

/** The responses of every dialect with the credential, without the time of the last write. */
async function readFromEveryDialect(server: V1Server, id: string): Promise<readonly unknown[]> {
  const requests = [
    'GET /v1/credentials',
    'GET /v1/credentials?service_id=linear',
    'GET /v1/credentials?service_id=linear&name=Linear',
    'GET /v1/services?query=linear',
    'GET /v1/stacks/default/servers/linear/credentials',
    'GET /integrations/credentials',
    `GET /integrations/credentials/${id}`,
    `GET /api/v1/credential/${id}`,
  ];
  return Promise.all(
    requests.map(async (request) => {
      const { status, text } = await server.send(request);
      return [request, status, text.replaceAll(/"updated_?[aA]t":"\d[^"]*"/g, '')];
    }),
  );
}

describe('PUT of a Toolzz credential as it was returned', () => {
  test.each([
    ['a credential without a name', {}],
    ['a credential with the name of its service', { name: 'Linear' }],
    ['a credential with another name', { name: 'work' }],
  ])('PUT with the unchanged response changes nothing in any dialect for %s', async (_, name_option) => {
    const server = await startV1({ dialects: DIALECTS });
    const shown = await storeCredential(server, { ...LINEAR, ...name_option });
    const before = await readFromEveryDialect(server, shown.id);
    const response = await server.get(`PUT /api/v1/credential/${shown.id}`, { body: shown });
    expect(response).toMatchObject({ name: shown.name, status: true });
    expect(await readFromEveryDialect(server, shown.id)).toEqual(before);
  });

  test('PUT with the displayed name and another status gives the credential no name', async () => {
    const server = await startV1({ dialects: DIALECTS });
    const unnamed = await storeCredential(server, LINEAR);
    const named = await storeCredential(server, { ...LINEAR, name: 'work' });
    expect([unnamed.name, named.name]).toEqual(['Linear', 'work']);
    const put = (shown: CredentialBody, status: boolean) =>
      server.get(`PUT /api/v1/credential/${shown.id}`, { body: { ...shown, status } });
    const states = async () =>
      (
        await server.get<{ credentials: { name: string | null; status: string }[] }>('GET /v1/credentials')
      ).credentials.map(({ name, status }) => [name, status]);
    expect(await put(unnamed, false)).toMatchObject({ id: unnamed.id, name: 'Linear', status: false });
    expect(await states()).toEqual([
      ['work', 'active'],
      [null, 'inactive'],
    ]);
    await put(named, false);
    await put(unnamed, true);
    expect(await states()).toEqual([
      ['work', 'inactive'],
      [null, 'active'],
    ]);
  });

  test('PUT while the service has no definition does not store the displayed name', async () => {
    const home = temporaryFolder();
    const { define, remove } = customService(home);
    const open = () => startV1({ dialects: DIALECTS, home });
    define();
    const first = await open();
    const { id } = await storeCredential(first, {
      ...LINEAR,
      service_id: 'acme',
      credential_type: 'api_key',
    });
    await first.vault.close();
    remove();
    const second = await open();
    const shown = await second.get<CredentialBody>(`GET /api/v1/credential/${id}`);
    expect(shown.name).toBe('acme');
    const body = { ...shown, status: false };
    expect(await second.get(`PUT /api/v1/credential/${id}`, { body })).toMatchObject({
      name: 'acme',
      status: false,
    });
    await second.vault.close();
    define();
    const third = await open();
    expect(await third.get(`GET /api/v1/credential/${id}`)).toMatchObject({ name: 'Acme Corp' });
    expect(await third.get('GET /v1/credentials')).toMatchObject({
      credentials: [{ service_id: 'acme', name: null, status: 'inactive' }],
    });
  });
});
