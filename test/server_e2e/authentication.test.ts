/** Requests without exactly one valid key get the 401 of their dialect, for every operation, and have no effect. */
import { describe, expect, test } from 'vitest';
import {
  type InProcessServer,
  openInProcessServer,
  type TestResponse,
} from '../kit/http/in_process_server.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { fixturesOf, person } from './fixtures.ts';
import { OPERATIONS } from './operations/operations.ts';

type Headers = Readonly<Record<string, string>>;

const DAY_MS = 86_400_000;
const NO_KEY: Headers = {};

/** Headers without exactly one valid key, by their defect. */
async function wrongKeys(server: InProcessServer): Promise<Readonly<Record<string, Headers>>> {
  const { vault, clock } = server.tenants;
  const operator = server.tenants.operator();
  const { key } = await person(server, { user: 'ann' });
  const other = await person(server, { user: 'bob' });
  const revoked = await person(server, { user: 'ann' });
  await vault.api_keys.revoke(operator, revoked.made.id);
  const rotated = await person(server, { user: 'ann', scopes: ['credentials:read'] });
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
    'an empty key in the other headers': { 'x-api-key': '', 'danube-api-key': '' },
    'arbitrary text': bearer('wrong'),
    'another scheme': { authorization: `Basic ${key}` },
    'a key without its last character': bearer(key.slice(0, -1)),
    'a key without its secret': bearer(id),
    'a secret without its id': bearer(secret),
    'a key with one more character': bearer(`${key}A`),
    'a key with a space and more text': bearer(`${key} ${key}`),
    'a key in upper case': bearer(key.toUpperCase()),
    'the id of one key with the secret of another': bearer(id + other.key.slice(36)),
    'a revoked key': bearer(revoked.key),
    'a key that was rotated': bearer(rotated.key),
    'an expired key': bearer(expired.key),
    'a key of another installation': bearer(elsewhere.key),
    'two valid keys': { ...bearer(key), 'x-api-key': other.key },
    'a valid key and an invalid key': { 'x-api-key': key, 'danube-api-key': 'wrong' },
    SQL: { 'x-api-key': "kh_' OR '1'='1" },
    'a cookie': { cookie: `authorization=Bearer ${key}` },
    'headers that a proxy may set': { 'x-forwarded-user': 'me', 'x-organization': 'local' },
  };
}

/** The 401 body of each route group. */
const NEEDED = 'A valid API key is needed';
const BODIES: Readonly<Record<string, (response: TestResponse) => unknown>> = {
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

describe('authentication of every operation', () => {
  test('every operation without one valid key returns the 401 of its dialect and has no effect', async () => {
    const server = await openInProcessServer();
    const fixtures = await fixturesOf(server, await person(server, { user: 'ann' }));
    const wrong = await wrongKeys(server);
    const before = await readStoredRecords(server.tenants.home);
    const entries = await server.tenants.vault.listAudit(
      server.tenants.operator(),
      { outcome: 'allowed' },
      1,
    );
    for (const operation of OPERATIONS) {
      for (const [what, headers] of Object.entries(wrong)) {
        const request = operation.request(fixtures);
        const response = await server.send({ ...request, headers: { ...request.headers, ...headers } });
        const shown = [operation.name, what];
        expect([...shown, response.status, JSON.parse(response.text)]).toEqual([
          ...shown,
          401,
          BODIES[response.area]?.(response),
        ]);
        // A request without a token has no error code (RFC 6750, section 3.1).
        const pattern = headers.authorization ? /^Bearer(?: error="invalid_token")?$/ : /^Bearer$/;
        expect(response.headers.get('www-authenticate'), what).toMatch(pattern);
      }
    }
    expect(await readStoredRecords(server.tenants.home)).toEqual(before);
    expect(
      await server.tenants.vault.listAudit(server.tenants.operator(), { outcome: 'allowed' }, 1),
    ).toEqual(entries);
  });

  test('a request without a key returns 401 for existing and unknown paths and for every method', async () => {
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
        const { status } = await server.send({ method, path });
        expect([method, path, status]).toEqual([method, path, 401]);
      }
    }
  });
});

test('every operation accepts the key in each of the three headers', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann', scopes: ['credentials:read'] });
  const fixtures = await fixturesOf(server, ann);
  const ways: readonly Headers[] = [
    { authorization: `Bearer ${ann.key}` },
    { 'x-api-key': ann.key },
    { 'danube-api-key': ann.key },
  ];
  for (const operation of OPERATIONS) {
    for (const headers of ways) {
      const request = operation.request(fixtures);
      const { status } = await server.send({ ...request, headers: { ...request.headers, ...headers } });
      expect([operation.name, headers, status]).not.toEqual([operation.name, headers, 401]);
    }
  }
});
