/** The SuperAI Flow dialect responds to another user's credential as to an unknown one. */
import { describe, expect, test } from 'vitest';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { comparable, peopleOf } from './people.ts';

const UNKNOWN_ID = '0194f3a0-0000-7000-8000-000000000000';
const BODY = {
  name: 'Reports',
  provider: 'postgresql',
  credential_type: 'user_password',
  credentials: { host: 'h', username: 'u', password: 'p', database: 'd' },
};
const REQUESTS = [
  ['GET', ''],
  ['DELETE', ''],
  ['PUT', ''],
  ['PATCH', ''],
  ['GET', '/credentials'],
  ['POST', ' test'],
] as const;

async function start() {
  const server = await startHttpServer({ dialects: [superai] });
  const people = await peopleOf(server);
  const make = async (key: string) => {
    const made = await server.request('/integrations/credentials', {
      method: 'POST',
      body: JSON.stringify(BODY),
      key,
    });
    expect(made.status).toBe(201);
    const { id }: { id: string } = JSON.parse(await made.text());
    return id;
  };
  const ask = (key: string, [method, part]: readonly [string, string], id: string) => {
    const path =
      part === ' test'
        ? `/integrations/postgres/test-connection/${id}`
        : `/integrations/credentials/${id}${part}`;
    const { name: _, provider: __, ...update } = BODY;
    const body = method === 'PUT' || method === 'PATCH' ? { body: JSON.stringify(update) } : {};
    return server.request(path, { method, key, ...body });
  };
  return { server, people, make, ask };
}

describe('an id of somebody else', () => {
  test.each(REQUESTS)('answers %s%s exactly as one that there is not', async (...request) => {
    const { server, people, make, ask } = await start();
    const { owner, colleague, stranger } = people;
    const theirs = await make(owner.key);
    const across = await make(stranger.key);
    const scopes = ['credentials:read', 'credentials:write', 'values:reveal'] as const;
    const callers = [
      [await server.key({ user: 'colleague', scopes: [...scopes] }), theirs],
      [await server.key({ user: 'owner', scopes: [...scopes] }), across],
      [await server.key({ organization: 'elsewhere', user: 'stranger', scopes: [...scopes] }), theirs],
      // The operator has no access to credentials of another organization either.
      [await server.key({ user: 'admin', scopes: [...scopes, 'org:admin'] }), across],
    ] as const;
    const before = await readCredentialRows(server.home);
    for (const [key, id] of callers) {
      const expected = await comparable(await ask(key, request, UNKNOWN_ID));
      expect(expected).toMatchObject({ status: 404 });
      // Records of other kinds have ids as well.
      for (const other of [id, id.toUpperCase(), colleague.id, colleague.user_id, owner.unit_id])
        expect(await comparable(await ask(key, request, other))).toEqual(expected);
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test('is in no list', async () => {
    const { server, people, make } = await start();
    const id = await make(people.owner.key);
    const listed = async (key: string) => (await server.request('/integrations/credentials', { key })).text();
    expect(await listed(people.owner.key)).toContain(id);
    for (const { key } of [people.colleague, people.stranger]) expect(await listed(key)).toBe('[]');
    const answer = await server.request('/integrations/credentials/provider/postgresql', {
      key: people.colleague.key,
    });
    expect(await answer.text()).toBe('[]');
  });

  test('does not keep others from a credential of the same name', async () => {
    const { people, make } = await start();
    await make(people.owner.key);
    await make(people.colleague.key);
    await make(people.stranger.key);
  });
});

describe('who administers the organization', () => {
  test('sees, changes and deletes credentials of its users', async () => {
    const { people, make, ask } = await start();
    const id = await make(people.owner.key);
    for (const [method, status] of [
      ['GET', 200],
      ['PUT', 200],
      ['DELETE', 204],
      ['GET', 404],
    ] as const)
      expect((await ask(people.admin.key, [method, ''], id)).status).toBe(status);
  });

  test('reads no values without the scope for it', async () => {
    const { people, make, ask } = await start();
    const id = await make(people.owner.key);
    expect((await ask(people.admin.key, ['GET', '/credentials'], id)).status).toBe(403);
  });
});

describe('values that are read', () => {
  test('leave an entry in the audit log, and so does each attempt', async () => {
    const { server, people, make, ask } = await start();
    const id = await make(people.owner.key);
    await ask(people.owner.key, ['GET', '/credentials'], id);
    await ask(await server.key({ user: 'owner', scopes: ['values:reveal'] }), ['GET', '/credentials'], id);
    const { entries } = await server.vault.listAudit(server.caller(), { action: 'reveal' });
    expect(entries).toMatchObject([
      { outcome: 'allowed', credential_id: id, fields: ['host', 'username', 'password', 'database'] },
      { outcome: 'denied', reason: 'missing scope values:reveal' },
    ]);
  });
});
