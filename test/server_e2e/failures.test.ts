/** What goes wrong for every operation alike, said by each in the way of its dialect, with nothing of what is behind it. */
import { describe, expect, test, vi } from 'vitest';
import { CommitQueue } from '../../src/store/sqlite/commit_queue.ts';
import { toStoreError } from '../../src/store/sqlite/errors.ts';
import { type InProcessServer, openInProcessServer } from '../kit/http/in_process_server.ts';
import {
  damageRecords,
  digestState,
  openTestDatabase,
  readStoredRecords,
  type TABLES,
} from '../kit/vault/database.ts';
import { fixturesOf, memberOf, person } from './fixtures.ts';
import { endOf, OPERATIONS } from './operations/operations.ts';

const HOUR_MS = 3_600_000;

type Tables = readonly (typeof TABLES)[number][];

/** Drops tables under the running server. */
async function dropTables({ tenants }: InProcessServer, tables: Tables): Promise<void> {
  for (const table of tables) await openTestDatabase(tenants.home).dropTable(table);
}

describe('every operation', () => {
  test('is refused past the rate of the key, and says when to come back', async () => {
    const server = await openInProcessServer({ requests_per_minute: 1 });
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    await server.ask({ method: 'GET', path: '/v1/me', key: ann.key });
    const before = await digestState(server.tenants.home);
    for (const operation of OPERATIONS) {
      const answer = await server.ask(operation.ask(things, ann.key));
      expect([operation.name, answer.status]).toEqual([operation.name, 429]);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'retry-after': expect.stringMatching(/^\d+$/),
        'x-ratelimit-limit': '1',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
      });
      if (answer.area === 'toolrouter')
        expect(JSON.parse(answer.text)).toEqual({ detail: 'Too many requests' });
      if (answer.area === 'superai')
        expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'rate_limited' } });
    }
    expect(await digestState(server.tenants.home)).toEqual(before);
  });

  test('that can be sent a body refuses one that is too large, of another type, or no UTF-8', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    const before = await digestState(server.tenants.home);
    for (const operation of OPERATIONS) {
      const ask = operation.ask(things, ann.key);
      if (ask.method === 'GET') continue;
      const send = async (body: unknown, type = 'application/json') =>
        (await server.ask({ ...ask, body, headers: { ...ask.headers, 'content-type': type } })).status;
      const json = JSON.stringify(ask.body ?? {});
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
    ['records', ['record']],
    ['everything', ['record', 'audit_entry', 'wrapped_key']],
  ])('fails cleanly when the %s of the vault are gone', async (_what, tables) => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    await server.ask({ method: 'GET', path: '/v1/me', key: ann.key });
    await dropTables(server, tables);
    for (const operation of OPERATIONS) {
      server.log.length = 0;
      const answer = await server.ask(operation.ask(things, ann.key));
      expect([operation.name, answer.status]).toEqual([operation.name, expect.toBeOneOf([500, 503])]);
      // Nobody gets as far as the route, which has words of its own: the key itself cannot be looked up.
      if (operation.name === 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials')
        expect([answer.status, JSON.parse(answer.text)]).toEqual([
          500,
          { detail: 'The vault file is damaged. Restore it from a backup.' },
        ]);
      expect([operation.name, answer.text]).toEqual([
        operation.name,
        expect.not.stringMatching(/sqlite|no such table|\.ts|node_modules|SELECT|at Object/i),
      ]);
      const line = server.log.find(({ message }) => message === 'request failed');
      expect([operation.name, line]).toMatchObject([
        operation.name,
        { level: 'error', fields: { request_id: answer.headers.get('x-request-id') } },
      ]);
    }
  });

  test('that puts credentials in says so in the documented words when it fails past the key', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    const name = 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials';
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    await damageRecords(server.tenants.home, ({ kind }) => kind === 'stack');
    const answer = await server.ask(operation.ask(things, ann.key));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      500,
      { detail: 'Failed to update credentials' },
    ]);
  });

  test('that writes says so when the audit log cannot be written, and changes nothing', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    await server.ask({ method: 'GET', path: '/v1/me', key: ann.key });
    await dropTables(server, ['audit_entry']);
    const before = await readStoredRecords(server.tenants.home);
    for (const operation of OPERATIONS) {
      const answer = await server.ask(operation.ask(things, ann.key));
      const writes =
        operation.scopes.some((scope) => /:write|reveal|admin/.test(scope)) &&
        !operation.name.startsWith('GET /v1/api-keys');
      expect([operation.name, endOf(answer)]).toEqual([
        operation.name,
        writes ? expect.toBeOneOf(['500', '503', 'INTERNAL', 'CORRUPT', 'UNAVAILABLE']) : expect.any(String),
      ]);
      if (operation.name === 'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials')
        expect(JSON.parse(answer.text)).toEqual({ detail: 'Failed to update credentials' });
    }
    expect(await readStoredRecords(server.tenants.home)).toEqual(before);
  });
});

test('a vault that others keep busy is worth coming back to, and says when', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann' });
  const things = await fixturesOf(server, ann);
  // What becomes of the error that the driver throws once it was waited for long enough.
  const busy_error = toStoreError(Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' }));
  const commits = vi.spyOn(CommitQueue.prototype, 'change').mockRejectedValue(busy_error);
  const busy = [
    'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials',
    'POST /v1/credentials/store',
    'PUT /integrations/credentials/{credential_id}',
    'PUT /api/v1/credential/{id}',
  ].map((name) => {
    const operation = OPERATIONS.find((one) => one.name === name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    return operation.ask(things, ann.key);
  });
  for (const answer of await Promise.all(busy.map((ask) => server.ask(ask))))
    expect([answer.area, answer.status, answer.headers.get('retry-after')]).toEqual([answer.area, 503, '1']);
  commits.mockRestore();
  for (const ask of busy) {
    const answer = await server.ask(ask);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([200, null]);
  }
});

test('a key that has expired is not made good again by rotating it', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { user: 'ann' });
  const { vault, clock } = server.tenants;
  const { id } = await vault.api_keys.create(memberOf(ann.made), { expires_at: clock.in(HOUR_MS) });
  clock.advance(2 * HOUR_MS);
  const answer = await server.ask({ method: 'POST', path: `/v1/api-keys/${id}/rotate`, key: ann.key });
  expect([answer.status, JSON.parse(answer.text)]).toMatchObject([410, { code: 'EXPIRED' }]);
});

describe('what is there already', () => {
  test('is said to be, in the way of each dialect that can meet it', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { user: 'ann' });
    const things = await fixturesOf(server, ann);
    for (const [name, status] of [
      ['POST /integrations/credentials', 409],
      ['POST /api/v1/credential', 409],
      ['POST /v1/stacks/{stack_id}/servers', 400],
    ] as const) {
      const operation = OPERATIONS.find((one) => one.name === name);
      if (operation === undefined) throw new Error('no such operation');
      const twice = { ...things, name: `twice ${name}` };
      await server.ask(operation.ask(twice, ann.key));
      expect([name, (await server.ask(operation.ask(twice, ann.key))).status]).toEqual([name, status]);
    }
  });
});
