/** Who has no good key gets the 401 of the dialect, whichever operation it is and whatever is wrong, and nothing else. */
import { describe, expect, test } from 'vitest';
import { type Answer, type InProcessServer, openInProcessServer } from '../kit/http/in_process_server.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { fixturesOf, person } from './fixtures.ts';
import { OPERATIONS } from './operations/operations.ts';

type Headers = Readonly<Record<string, string>>;

const DAY_MS = 86_400_000;
const NO_KEY: Headers = {};

/** Every way to come without exactly one good key, by what is wrong with it. */
async function wrongKeys(server: InProcessServer): Promise<Readonly<Record<string, Headers>>> {
  const { vault, clock } = server.tenants;
  const operator = server.tenants.operator();
  const { key } = await person(server, { user: 'ann' });
  const other = await person(server, { user: 'bob' });
  const revoked = await person(server, { user: 'ann' });
  await vault.api_keys.revoke(operator, revoked.made.id);
  const rotated = await person(server, { user: 'ann' });
  await vault.api_keys.rotate(operator, rotated.made.id);
  const expired = await person(server, { user: 'ann', expires_at: clock.in(DAY_MS) });
  clock.advance(DAY_MS);
  const elsewhere = await person(await openInProcessServer(), { user: 'ann' });
  const [id, secret] = [key.slice(0, 36), key.slice(36)];
  const bearer = (text: string): Headers => ({ authorization: `Bearer ${text}` });
  return {
    'no header': NO_KEY,
    'an empty header': { authorization: '' },
    'an empty key': bearer(''),
    'an empty key of the other kinds': { 'x-api-key': '', 'danube-api-key': '' },
    'a word': bearer('wrong'),
    'another scheme': { authorization: `Basic ${key}` },
    'a key without its last character': bearer(key.slice(0, -1)),
    'a key without its secret': bearer(id),
    'a secret without its id': bearer(secret),
    'a key with a character more': bearer(`${key}A`),
    'a key with a blank and more': bearer(`${key} ${key}`),
    'a key in capitals': bearer(key.toUpperCase()),
    'the id of one key with the secret of another': bearer(id + other.key.slice(36)),
    'a revoked key': bearer(revoked.key),
    'a key from before it was rotated': bearer(rotated.key),
    'an expired key': bearer(expired.key),
    'a key of another installation': bearer(elsewhere.key),
    'two good keys at once': { ...bearer(key), 'x-api-key': other.key },
    'a good key beside a wrong one': { 'x-api-key': key, 'danube-api-key': 'wrong' },
    SQL: { 'x-api-key': "kh_' OR '1'='1" },
    'a cookie': { cookie: `authorization=Bearer ${key}` },
    'what a proxy might say': { 'x-forwarded-user': 'me', 'x-organization': 'local' },
  };
}

/** What each part of the server says, word for word. */
const NEEDED = 'A valid API key is needed';
const BODIES: Readonly<Record<string, (answer: Answer) => unknown>> = {
  keyhold: () => ({ detail: expect.stringContaining(NEEDED), code: 'UNAUTHENTICATED' }),
  danube: () => ({ detail: expect.stringContaining(NEEDED), code: 'UNAUTHENTICATED' }),
  toolrouter: () => ({ detail: 'Unauthorized' }),
  superai: ({ headers }) => ({
    error: { message: expect.stringContaining(NEEDED), code: 'unauthorized', details: null },
    request_id: headers.get('x-request-id'),
  }),
  toolzz: () => ({ message: expect.stringContaining(NEEDED) }),
  mcp: ({ headers }) => ({
    jsonrpc: '2.0',
    id: null,
    error: {
      code: -32_000,
      message: expect.stringContaining(NEEDED),
      data: {
        code: 'UNAUTHENTICATED',
        message: expect.stringContaining(NEEDED),
        request_id: headers.get('x-request-id'),
      },
    },
  }),
};

describe('every operation', () => {
  test('answers 401 in the way of its dialect to whoever has no good key, and does nothing', async () => {
    const server = await openInProcessServer();
    const things = await fixturesOf(server, await person(server, { user: 'ann' }));
    const wrong = await wrongKeys(server);
    const before = await readStoredRecords(server.tenants.home);
    const entries = await server.tenants.vault.listAudit(server.tenants.operator(), {}, 1);
    for (const operation of OPERATIONS) {
      for (const [what, headers] of Object.entries(wrong)) {
        const ask = operation.ask(things);
        const answer = await server.ask({ ...ask, headers: { ...ask.headers, ...headers } });
        const shown = [operation.name, what];
        expect([...shown, answer.status, JSON.parse(answer.text)]).toEqual([
          ...shown,
          401,
          BODIES[answer.area]?.(answer),
        ]);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
    expect(await readStoredRecords(server.tenants.home)).toEqual(before);
    expect(await server.tenants.vault.listAudit(server.tenants.operator(), {}, 1)).toEqual(entries);
  });

  test('is the same to who has no key whether what it is about is there or not, and however it is asked', async () => {
    const server = await openInProcessServer();
    const areas = [
      '/v1',
      '/v1/stacks',
      '/v1/services',
      '/s',
      '/integrations',
      '/api/integrations',
      '/api/v1',
    ];
    for (const path of [...areas, ...areas.map((area) => `${area}/no/such/route`), '/mcp']) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) {
        const { status } = await server.ask({ method, path });
        expect([method, path, status]).toEqual([method, path, 401]);
      }
    }
  });
});

test('each of the three headers lets in to every operation', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann', scopes: ['credentials:read'] });
  const things = await fixturesOf(server, ann);
  const ways: readonly Headers[] = [
    { authorization: `Bearer ${ann.key}` },
    { 'x-api-key': ann.key },
    { 'danube-api-key': ann.key },
  ];
  for (const operation of OPERATIONS) {
    for (const headers of ways) {
      const ask = operation.ask(things);
      const { status } = await server.ask({ ...ask, headers: { ...ask.headers, ...headers } });
      expect([operation.name, headers, status]).not.toEqual([operation.name, headers, 401]);
    }
  }
});
