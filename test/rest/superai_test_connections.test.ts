/** Connection tests of the SuperAI Flow dialect with values in the body. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../kit/servers/postgresql.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const PASSWORD = 'p4ss-canary-2b9f41';
const LOGIN = { host: '127.0.0.1', username: 'app', password: PASSWORD, database: 'postgres' };

async function start() {
  const home = temporaryFolder();
  const server = await startHttpServer({ dialects: [superai], home, env: upstreamEnv(home) });
  const post = (kind: 'sftp' | 'postgres', body: object, key?: string) =>
    server.request(`/integrations/${kind}/test-connection`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(key === undefined ? {} : { key }),
    });
  return { server, post };
}

describe('a connection test of SuperAI with values in the body', () => {
  test('returns 403 for a key without the scope of uses', async () => {
    const { server, post } = await start();
    const key = await server.key({ scopes: ['credentials:read', 'credentials:write'] });
    const response = await post('postgres', { ...LOGIN, port: '5432' }, key);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: 'forbidden' } });
  });

  test('returns success false for a server that cannot be reached, and 429 after ten tests', async () => {
    const { server, post } = await start();
    const login = { username: 'u', auth_type: 'password', password: PASSWORD };
    const hosts = ['10.1.2.3', 'missing.acme.test', '127.0.0.1'];
    const failed = hosts.map((host) => post('sftp', { ...login, host, port: 1 }));
    for (const response of await Promise.all(failed))
      expect([response.status, await response.json()]).toEqual([200, { success: false }]);
    const more = Array.from({ length: 8 }, () => post('postgres', { ...LOGIN, port: '1' }));
    const statuses = (await Promise.all(more)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 429]);
    const limited = await post('sftp', { ...login, host: '127.0.0.1' });
    expect(await limited.json()).toMatchObject({ error: { code: 'rate_limited', details: null } });
    expect(JSON.stringify(server.log)).not.toContain(PASSWORD);
  });
});

describe.skipIf(NO_POSTGRESQL)('a connection test of SuperAI for a PostgreSQL server', () => {
  let postgresql: PostgresqlServer;
  beforeAll(async () => {
    postgresql = await startPostgresql(['local all all scram-sha-256', 'host all all all scram-sha-256']);
    await postgresql.execute(`CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
  }, 60_000);
  afterAll(() => postgresql.stop());

  test('returns success true for a login, and false for a wrong password', async () => {
    const { post } = await start();
    const port = String(postgresql.port);
    const connection_string = `postgresql://app:${PASSWORD}@127.0.0.1:${port}/postgres`;
    const cases = [
      [{ ...LOGIN, port, connection_string: null }, true],
      [{ ...LOGIN, port, password: 'wrong-4410ce' }, false],
      [{ ...LOGIN, port: '1', connection_string }, true],
    ] as const;
    for (const [body, success] of cases) {
      const response = await post('postgres', body);
      expect([response.status, await response.json()]).toEqual([200, { success }]);
    }
  });
});
