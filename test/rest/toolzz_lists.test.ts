/** The lists of a unit, which are not paged: complete up to a maximum, with a header if more exist. */
import { describe, expect, test } from 'vitest';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { customService } from '../kit/vault/custom_service.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const MORE = 'x-keyhold-more';

interface CredentialList {
  readonly names: readonly string[];
  readonly more: string | null;
}

async function start(home = temporaryFolder()) {
  const server = await startHttpServer({ dialects: [toolzz], home });
  const owner = await server.vault.api_keys.create(server.caller(), { user: 'owner' });
  const admin = await server.key({ user: 'admin', scopes: ['org:admin', 'credentials:read'] });
  const list = async (part: string, key = owner.key): Promise<CredentialList> => {
    const path = `/api/v1/credential/unity/${owner.unit_id}${part}`;
    const response = await server.request(path, { key });
    expect(response.status).toBe(200);
    const body = (await response.json()) as { items: NamedCredential[] } | { credentials: NamedCredential }[];
    const credentials = Array.isArray(body) ? body.map((entry) => entry.credentials) : body.items;
    return { names: credentials.map(({ name }) => name), more: response.headers.get(MORE) };
  };
  return { server, owner, admin, list };
}

interface NamedCredential {
  readonly name: string;
}

/** Creates credentials of the user for a service, numbered from 0, and returns their names, newest first. */
async function createCredentials(server: TestHttpServer, user: string, slug: string, count: number) {
  const service = server.vault.services.get(slug);
  const required = service.fields.filter((field) => field.required).map(({ field_id }) => field_id);
  const [field = ''] = [...required, ...(service.requires?.flat() ?? [])];
  const caller = { ...server.caller(), user };
  await Promise.all(
    Array.from({ length: count }, (_, at) =>
      server.vault.credentials.create(caller, {
        service_id: slug,
        credential_type: 'api_key',
        credentials: { [field]: 'v' },
        name: `${user} ${slug} ${at}`,
      }),
    ),
  );
  const all = await server.vault.credentials.page(caller, { service_id: slug }, count);
  return all.credentials.map(({ name }) => name);
}

describe('long lists of a unit in the Toolzz dialect', () => {
  test('GET unity returns all of 130 credentials, newest first, without the header x-keyhold-more', async () => {
    const { server, admin, list } = await start();
    const integration = `/integration/${server.vault.services.get('openai').id}`;
    const created = await createCredentials(server, 'owner', 'openai', 130);
    expect(new Set(created).size).toBe(130);
    for (const part of ['', '/type/llm', integration])
      for (const key of [undefined, admin])
        expect([part, await list(part, key)]).toEqual([part, { names: created, more: null }]);
  });

  test('GET unity returns the 1,000 newest credentials and sets x-keyhold-more if more exist', async () => {
    const { server, admin, list } = await start();
    const integration = `/integration/${server.vault.services.get('openai').id}`;
    const created = await createCredentials(server, 'owner', 'openai', 1_000);
    expect(await list('/type/llm')).toEqual({ names: created, more: null });
    const [newest] = await createCredentials(server, 'owner', 'stripe', 1);
    for (const part of ['/type/llm', integration])
      expect([part, await list(part)]).toEqual([part, { names: created, more: null }]);
    expect(await list('/type/monetization')).toEqual({ names: [newest], more: null });
    for (const key of [undefined, admin])
      expect(await list('', key)).toEqual({ names: [newest, ...created.slice(0, 999)], more: 'true' });
    const [second] = await createCredentials(server, 'second', 'openai', 1);
    expect(await list(integration)).toEqual({ names: created, more: null });
    for (const part of ['/type/llm', integration])
      expect([part, await list(part, admin)]).toEqual([
        part,
        { names: [second, ...created.slice(0, 999)], more: 'true' },
      ]);
  });

  test('GET unity sets x-keyhold-more for an administrator if the organization has more users than it reads', async () => {
    const { server, admin, list } = await start();
    await Promise.all(Array.from({ length: 1_000 }, (_, at) => server.key({ user: `user${at}` })));
    expect((await list('', admin)).more).toBe('true');
    expect((await list('')).more).toBeNull();
  });

  test('GET unity lists the credentials of a service whose definition was removed', async () => {
    const home = temporaryFolder();
    const acme = customService(home);
    acme.define();
    const first = await start(home);
    const { id } = first.server.vault.services.get('acme');
    const names = await createCredentials(first.server, 'owner', 'acme', 2);
    await createCredentials(first.server, 'owner', 'github', 1);
    expect(await first.list('/type/llm')).toMatchObject({ names });
    await first.server.vault.close();
    acme.remove();
    const { server, list, owner, admin } = await start(home);
    const response = await server.request(`/api/v1/credential/unity/${owner.unit_id}`, { key: owner.key });
    const { items } = (await response.json()) as { items: { name: string; integration: object }[] };
    expect(items.filter(({ name }) => names.includes(name))).toMatchObject(
      names.map((name) => ({ name, integrationId: id, integration: { id, type: 'dataset' } })),
    );
    expect(await list('/type/llm')).toMatchObject({ names: [] });
    expect(await list('/type/dataset')).toMatchObject({ names: ['owner github 0', ...names] });
    for (const spelling of [id, id.toUpperCase()])
      expect(await list(`/integration/${spelling}`)).toMatchObject({ names });
    // Without such a credential the integration is unknown.
    const colleague = await server.key({ user: 'colleague' });
    const path = `/api/v1/credential/unity/${owner.unit_id}/integration/${id}`;
    for (const [key, status] of [
      [colleague, 404],
      [admin, 200],
    ] as const)
      expect((await server.request(path, { key })).status).toBe(status);
  });
});
