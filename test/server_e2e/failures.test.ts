/** Failures that can happen in every operation: each dialect reports them in its format, without internal details. */
import { describe, expect, test } from 'vitest';
import { STORE_BUSY_TIMEOUT_MS } from '../../src/contract/limits.ts';
import { type InProcessServer, openInProcessServer } from '../kit/http/in_process_server.ts';
import { damageRecords, digestState, openTestDatabase, readStoredRecords } from '../kit/vault/database.ts';
import type { TABLES } from '../kit/vault/tables.ts';
import { fixturesOf, memberOf, person } from './fixtures.ts';
import { endOf, OPERATIONS } from './operations/operations.ts';

const HOUR_MS = 3_600_000;

type Tables = readonly (typeof TABLES)[number][];

/** Drops tables under the running server. */
async function dropTables({ tenants }: InProcessServer, tables: Tables): Promise<void> {
  for (const table of tables) await openTestDatabase(tenants.home).dropTable(table);
}

describe('failures of every operation', () => {
  test('every operation past the rate limit returns 429 with Retry-After', async () => {
    const server = await openInProcessServer({ requests_per_minute: 1 });
    const ann = await person(server, { user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    await server.send({ method: 'GET', path: '/v1/me', key: ann.key });
    const before = await digestState(server.tenants.home);
    for (const operation of OPERATIONS) {
      const response = await server.send(operation.request(fixtures, ann.key));
      expect([operation.name, response.status]).toEqual([operation.name, 429]);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'retry-after': expect.stringMatching(/^\d+$/),
        'x-ratelimit-limit': '1',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
      });
      if (response.area === 'toolrouter')
        expect(JSON.parse(response.text)).toEqual({ detail: 'Too many requests' });
      if (response.area === 'superai')
        expect(JSON.parse(response.text)).toMatchObject({ error: { code: 'rate_limited' } });
    }
    expect(await digestState(server.tenants.home)).toEqual(before);
  });

  test('every operation returns 413, 415 or 400 for a body that is too large, of another type, or not UTF-8', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    const before = await digestState(server.tenants.home);
    for (const operation of OPERATIONS) {
      const request = operation.request(fixtures, ann.key);
      if (request.method === 'GET') continue;
      const send = async (body: unknown, type = 'application/json') =>
        (await server.send({ ...request, body, headers: { ...request.headers, 'content-type': type } }))
          .status;
      const json = JSON.stringify(request.body ?? {});
      const statuses = [
        await send(json.padEnd(1_048_577)),
        await send(json, 'text/plain'),
        await send(json, 'application/json; charset=utf-16'),
        await send(json, 'multipart/form-data; boundary=x'),
      ];
      expect([operation.name, statuses]).toEqual([operation.name, [413, 415, 415, 415]]);
      expect([operation.name, await send(Uint8Array.of(0x7b, 0xff, 0x7d))]).toEqual([
        operation.name,
        expect.toBeOneOf([400, 422]),
      ]);
    }
    expect(await digestState(server.tenants.home)).toEqual(before);
  });

  test.each<[string, Tables]>([
    ['record table', ['record']],
    ['tables', ['record', 'audit_entry', 'wrapped_key']],
  ])(
    'every operation reports an error without details if the vault has lost its %s',
    async (_what, tables) => {
      const server = await openInProcessServer();
      const ann = await person(server, { user: 'ann' });
      const fixtures = await fixturesOf(server, ann);
      await server.send({ method: 'GET', path: '/v1/me', key: ann.key });
      await dropTables(server, tables);
      for (const operation of OPERATIONS) {
        server.log.length = 0;
        const response = await server.send(operation.request(fixtures, ann.key));
        expect([operation.name, response.status]).toEqual([operation.name, expect.toBeOneOf([500, 503])]);
        // The key cannot be looked up, so the request never reaches the route and its own error messages.
        if (operation.name === 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials')
          expect([response.status, JSON.parse(response.text)]).toEqual([
            500,
            { detail: 'The vault file is damaged. Restore it from a backup.' },
          ]);
        expect([operation.name, response.text]).toEqual([
          operation.name,
          expect.not.stringMatching(/sqlite|no such table|\.ts|node_modules|SELECT|at Object/i),
        ]);
        const line = server.log.find(({ message }) => message === 'request failed');
        expect([operation.name, line]).toMatchObject([
          operation.name,
          { level: 'error', fields: { request_id: response.headers.get('x-request-id') } },
        ]);
      }
    },
  );

  test('PUT credentials returns the documented message for a failure after authentication', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    const name = 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials';
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    await damageRecords(server.tenants.home, ({ kind }) => kind === 'stack');
    const response = await server.send(operation.request(fixtures, ann.key));
    expect([response.status, JSON.parse(response.text)]).toEqual([
      500,
      { detail: 'Failed to update credentials' },
    ]);
  });

  test('every operation reports a failure to write the audit log and changes nothing', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    await server.send({ method: 'GET', path: '/v1/me', key: ann.key });
    await dropTables(server, ['audit_entry']);
    const before = await readStoredRecords(server.tenants.home);
    for (const operation of OPERATIONS) {
      const response = await server.send(operation.request(fixtures, ann.key));
      const writes =
        operation.scopes.some((scope) => /:write|reveal|admin/.test(scope)) &&
        // A connection without a client id is refused before anything is written.
        operation.status < 400 &&
        !operation.name.startsWith('GET /v1/api-keys');
      expect([operation.name, endOf(response)]).toEqual([
        operation.name,
        writes ? expect.toBeOneOf(['500', '503', 'INTERNAL', 'CORRUPT', 'UNAVAILABLE']) : expect.any(String),
      ]);
      if (operation.name === 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials')
        expect(JSON.parse(response.text)).toEqual({ detail: 'Failed to update credentials' });
    }
    expect(await readStoredRecords(server.tenants.home)).toEqual(before);
  });
});

test('a request to a vault that stays locked returns 503 with Retry-After', {
  timeout: 4 * STORE_BUSY_TIMEOUT_MS,
}, async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann' });
  const fixtures = await fixturesOf(server, ann);
  const release = await openTestDatabase(server.tenants.home).lockForWriting();
  const busy = [
    'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials',
    'POST /v1/credentials/store',
    'PUT /integrations/credentials/{credential_id}',
    'PUT /api/v1/credential/{id}',
  ].map((name) => {
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    return operation.request(fixtures, ann.key);
  });
  for (const response of await Promise.all(busy.map((request) => server.send(request))))
    expect([response.area, response.status, response.headers.get('retry-after')]).toEqual([
      response.area,
      503,
      '1',
    ]);
  await release();
  for (const request of busy) {
    const response = await server.send(request);
    expect([response.status, response.headers.get('retry-after')]).toEqual([200, null]);
  }
});

test('rotating an expired key returns 410', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann' });
  const { vault, clock } = server.tenants;
  const { id } = await vault.api_keys.create(memberOf(ann.made), { expires_at: clock.in(HOUR_MS) });
  clock.advance(2 * HOUR_MS);
  const response = await server.send({ method: 'POST', path: `/v1/api-keys/${id}/rotate`, key: ann.key });
  expect([response.status, JSON.parse(response.text)]).toMatchObject([410, { code: 'EXPIRED' }]);
});

describe('an existing name', () => {
  test('an existing name is a conflict in the format of each dialect that can have one', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    for (const [name, status] of [
      ['POST /integrations/credentials', 409],
      ['POST /api/v1/credential', 409],
      ['POST /v1/stacks/{stack_id}/servers', 400],
    ] as const) {
      const operation = OPERATIONS.find((one) => one.name === name);
      if (operation === undefined) throw new Error('no such operation');
      const twice = { ...fixtures, name: `twice ${name}` };
      await server.send(operation.request(twice, ann.key));
      expect([name, (await server.send(operation.request(twice, ann.key))).status]).toEqual([name, status]);
    }
  });
});
