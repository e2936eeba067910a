/** The SuperAI Flow dialect responds to another user's credential as to an unknown one. */
import { describe, expect, test } from 'vitest';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { createUserKeys, withoutRequestId } from './user_keys.ts';

const UNKNOWN_ID = '0194f3a0-0000-7000-8000-000000000000';
const BODY = {
  name: 'Reports',
  provider: 'postgresql',
  credential_type: 'user_password',
  credentials: { host: 'h', username: 'u', password: 'p', database: 'd' },
};
const CREDENTIAL = '/integrations/credentials/{id}';
const VALUES = `${CREDENTIAL}/credentials`;
const REQUESTS = [
  ['GET', CREDENTIAL],
  ['DELETE', CREDENTIAL],
  ['PUT', CREDENTIAL],
  ['PATCH', CREDENTIAL],
  ['GET', VALUES],
  ['POST', '/integrations/postgres/test-connection/{id}'],
] as const;

async function start() {
  const server = await startHttpServer({ dialects: [superai] });
  const users = await createUserKeys(server);
  const createCredential = async (key: string) => {
    const created = await server.request('/integrations/credentials', {
      method: 'POST',
      body: JSON.stringify(BODY),
      key,
    });
    expect(created.status).toBe(201);
    const { id }: { id: string } = JSON.parse(await created.text());
    return id;
  };
  const send = (key: string, [method, path]: readonly [string, string], id: string) => {
    const { name: _, provider: __, ...update } = BODY;
    const body = method === 'PUT' || method === 'PATCH' ? { body: JSON.stringify(update) } : {};
    return server.request(path.replace('{id}', id), { method, key, ...body });
  };
  return { server, users, createCredential, send };
}

describe("another user's SuperAI credential", () => {
  test.each(REQUESTS)(
    "%s %s returns the same 404 for another user's credential as for an unknown one",
    async (...request) => {
      const { server, users, createCredential, send } = await start();
      const { owner, colleague, stranger } = users;
      const other_user_id = await createCredential(owner.key);
      const other_organization_id = await createCredential(stranger.key);
      const scopes = ['credentials:read', 'credentials:write', 'values:reveal'] as const;
      const callers = [
        [await server.key({ user: 'colleague', scopes: [...scopes] }), other_user_id],
        [await server.key({ user: 'owner', scopes: [...scopes] }), other_organization_id],
        [
          await server.key({ organization: 'elsewhere', user: 'stranger', scopes: [...scopes] }),
          other_user_id,
        ],
        // The operator has no access to credentials of another organization either.
        [await server.key({ user: 'admin', scopes: [...scopes, 'org:admin'] }), other_organization_id],
      ] as const;
      const before = await readCredentialRows(server.home);
      for (const [key, id] of callers) {
        const expected = await withoutRequestId(await send(key, request, UNKNOWN_ID));
        expect(expected).toMatchObject({ status: 404 });
        // Records of other kinds have ids as well.
        for (const other of [id, id.toUpperCase(), colleague.id, colleague.user_id, owner.unit_id])
          expect(await withoutRequestId(await send(key, request, other))).toEqual(expected);
      }
      expect(await readCredentialRows(server.home)).toEqual(before);
    },
  );

  test("another user's SuperAI credential is in no list", async () => {
    const { server, users, createCredential } = await start();
    const id = await createCredential(users.owner.key);
    const list = async (key: string) => (await server.request('/integrations/credentials', { key })).text();
    expect(await list(users.owner.key)).toContain(id);
    for (const { key } of [users.colleague, users.stranger]) expect(await list(key)).toBe('[]');
    const response = await server.request('/integrations/credentials/provider/postgresql', {
      key: users.colleague.key,
    });
    expect(await response.text()).toBe('[]');
  });

  test('different users may use the same name for a SuperAI credential', async () => {
    const { users, createCredential } = await start();
    await createCredential(users.owner.key);
    await createCredential(users.colleague.key);
    await createCredential(users.stranger.key);
  });
});

describe('SuperAI administrators', () => {
  test('an administrator reads, replaces and deletes SuperAI credentials of the organization', async () => {
    const { users, createCredential, send } = await start();
    const id = await createCredential(users.owner.key);
    for (const [method, status] of [
      ['GET', 200],
      ['PUT', 200],
      ['DELETE', 204],
      ['GET', 404],
    ] as const)
      expect((await send(users.admin.key, [method, CREDENTIAL], id)).status).toBe(status);
  });

  test('an administrator without values:reveal gets 403 for the values of a SuperAI credential', async () => {
    const { users, createCredential, send } = await start();
    const id = await createCredential(users.owner.key);
    expect((await send(users.admin.key, ['GET', VALUES], id)).status).toBe(403);
  });
});

describe('audit entries of SuperAI values', () => {
  test('the audit log contains both allowed and denied attempts to read SuperAI values', async () => {
    const { server, users, createCredential, send } = await start();
    const id = await createCredential(users.owner.key);
    await send(users.owner.key, ['GET', VALUES], id);
    await send(await server.key({ user: 'owner', scopes: ['values:reveal'] }), ['GET', VALUES], id);
    const { entries } = await server.vault.listAudit(server.caller(), { action: 'reveal' });
    expect(entries).toMatchObject([
      { outcome: 'allowed', credential_id: id, fields: ['host', 'username', 'password', 'database'] },
      { outcome: 'denied', reason: 'missing scope values:reveal' },
    ]);
  });
});
