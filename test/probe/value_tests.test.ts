/** Tests of values that are not stored: no port scanner, and none of the values is kept. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { GIVEN_TESTS_PER_MINUTE_MAX } from '../../src/contract/limits.ts';
import { findTexts } from '../kit/canary.ts';
import { errorOf, outcomeOf } from '../kit/outcome.ts';
import { freePort } from '../kit/servers/ports.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../kit/servers/postgresql.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { test_engine } from '../kit/vault/database.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { withoutScopes } from '../kit/vault/tenants.ts';

const PASSWORD = 'p4ss-canary-6c02d9';
const DELAY_MS = 600;
/** How much later than that a result may come on a busy machine. */
const LATE_MS = 4_000;

async function open() {
  const home = temporaryFolder();
  const options = { given_test_delay_ms: DELAY_MS };
  const opened = await openTestVault(home, upstreamEnv(home), undefined, options);
  const given = (fields: Record<string, string>) => ({
    service_id: 'postgresql',
    credentials: { host: '127.0.0.1', username: 'app', password: PASSWORD, database: 'postgres', ...fields },
  });
  return {
    ...opened,
    given,
    testGiven: (fields: Record<string, string>) => opened.tests.testGiven(opened.caller(), given(fields)),
  };
}

/** The port of a server that treats connections in this way. */
async function listen(accept: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return String(typeof address === 'object' ? address?.port : '');
}

describe('a test of values that are not stored', () => {
  test('needs the scope of uses, and logs the refusal', async () => {
    const { tests, vault, caller, given } = await open();
    const refused = tests.testGiven(withoutScopes(caller(), 'credentials:use'), given({}));
    expect(await outcomeOf(refused)).toBe('FORBIDDEN');
    const { entries } = await vault.listAudit(caller(), { action: 'use' });
    expect(entries[0]).toMatchObject({ outcome: 'denied', service_id: 'postgresql' });
  });

  test('refuses sealed values and references, which could be sent to any server', async () => {
    const { testGiven, vault, caller } = await open();
    const key = await vault.sealingKey(caller());
    const sealed = await sealFor(key, PASSWORD, { service: 'postgresql', field: 'password' });
    for (const password of [sealed, 'env://HOME', 'vault://a/b#c'])
      expect(await outcomeOf(testGiven({ password }))).toBe('INVALID_INPUT');
    expect(await outcomeOf(testGiven({ unknown_field: 'x' }))).toBe('INVALID_INPUT');
    expect((await vault.listAudit(caller(), { action: 'use' })).entries).toEqual([]);
  });

  test('reports every server that it cannot reach with the same result, after the same time', async () => {
    const { testGiven, vault, caller, home } = await open();
    const other = await startUpstream(['other.acme.test'], (_, response) => response.end('hello'));
    const cases: Readonly<Record<string, Record<string, string>>> = {
      'a closed port': { port: String(await freePort()) },
      'a port that accepts and sends nothing': { port: await listen(() => undefined) },
      'a port that closes connections': { port: await listen((socket) => socket.resetAndDestroy()) },
      'a server of another protocol': { port: await listen((socket) => socket.end('SSH-2.0-Other\r\n')) },
      'a server of https': { port: String(other.port) },
      'a private address that is not allowed': { host: '10.20.30.40' },
      'an unknown host': { host: 'missing.acme.test' },
      'a server without TLS': { port: await listen((socket) => socket.end('N')), sslmode: 'require' },
      'a connection string': { connection_string: `postgresql://app:${PASSWORD}@10.20.30.40:5432/app` },
    };
    const seen = new Map<string, string>();
    for (const [name, fields] of Object.entries(cases)) {
      const started = performance.now();
      const output = await testGiven(fields);
      const elapsed = performance.now() - started;
      expect(elapsed, name).toBeGreaterThanOrEqual(DELAY_MS - 1);
      expect(elapsed, name).toBeLessThan(DELAY_MS + LATE_MS);
      const { latency_ms, tested_at, ...same } = output;
      expect(latency_ms, name).toBeGreaterThanOrEqual(DELAY_MS - 1);
      expect(Date.parse(tested_at)).not.toBeNaN();
      seen.set(JSON.stringify(same), name);
    }
    expect([...seen.keys()].map((text) => JSON.parse(text))).toEqual([
      expect.objectContaining({
        result: 'unknown',
        reason: 'unreachable',
        checked: [],
        facts: {},
        account: null,
      }),
    ]);
    const count = Object.keys(cases).length;
    const outcomes = async () => (await vault.listAudit(caller(), { action: 'use_outcome' })).entries;
    await expect.poll(outcomes, { timeout: 5_000 }).toHaveLength(count);
    for (const { reason, use } of await outcomes()) {
      expect([reason, use?.address, use?.status]).toEqual(['unreachable', null, null]);
      expect(use?.origin).toMatch(/^postgresql:\/\/[^:@]+:\d+$/);
    }
    const { entries } = await vault.listAudit(caller(), { action: 'use' });
    expect(entries[0]).toMatchObject({
      credential_id: null,
      service_id: 'postgresql',
      use: { kind: 'test' },
    });
    expect(JSON.stringify(await vault.listAudit(caller()))).not.toContain(PASSWORD);
    expect(findTexts([PASSWORD], await test_engine.open(home).bytesAtRest())).toEqual([]);
  }, 60_000);

  test(`is limited to ${GIVEN_TESTS_PER_MINUTE_MAX} a minute for each user`, async () => {
    const { testGiven } = await open();
    const port = String(await freePort());
    const tests = Array.from({ length: GIVEN_TESTS_PER_MINUTE_MAX }, () => testGiven({ port }));
    await Promise.all(tests);
    const error = await errorOf(testGiven({ port }));
    expect(error).toMatchObject({ code: 'RATE_LIMITED', retry_after: expect.any(Number) });
  });
});

describe.skipIf(NO_POSTGRESQL)('a test of values for a PostgreSQL server', () => {
  let server: PostgresqlServer;
  beforeAll(async () => {
    server = await startPostgresql(['local all all scram-sha-256', 'host all all all scram-sha-256']);
    await server.execute(`CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
  }, 60_000);
  afterAll(() => server.stop());

  test('reports in detail, and at once, why the server refuses the login, and that it accepts it', async () => {
    const { testGiven, vault, caller } = await open();
    const port = String(server.port);
    const login = { port, sslmode: 'prefer' };
    const wrong = await testGiven({ ...login, password: 'wrong-77aa12' });
    expect(wrong).toMatchObject({ result: 'invalid', reason: 'refused_credentials', credential_id: null });
    expect(await testGiven({ ...login, database: 'missing' })).toMatchObject({ reason: 'no_such_database' });
    expect(await testGiven(login)).toMatchObject({ result: 'valid', credential_id: null });
    expect((await vault.listCredentials(caller(), {})).credentials).toEqual([]);
  });
});
