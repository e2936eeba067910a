/** The routes that test a stored credential, in each dialect, against a server that plays the service. */
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/keyhold_client.ts';
import { TESTS_PER_MINUTE_MAX } from '../../src/contract/limits.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { openInProcessServer } from '../kit/http/in_process_server.ts';
import { respondJson } from '../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { person } from '../server_e2e/fixtures.ts';
import { startV1 } from './v1_server.ts';

const VALUE = 'ghp_test_canary_61d0';
const GITHUB = { service_id: 'github' };
const UNKNOWN_ID = '123e4567-e89b-42d3-a456-426614174000';

/** A server whose local user has a token for GitHub, which accepts it. */
async function start() {
  const upstream = await startUpstream(['api.github.com'], respondJson({ login: 'octo', id: 1 }));
  const server = await startV1({ dialects: DIALECTS, env: upstreamEnv(temporaryFolder()) });
  const body = { ...GITHUB, credential_type: 'bearer', credential_value: VALUE };
  const { credential_id } = await server.get<{ credential_id: string }>('PUT /v1/credentials', { body });
  const integration = server.vault.services.get('github').id;
  /** A request of each route for one id. */
  const routes = (id: string) =>
    [
      [`POST /v1/credentials/${id}/test`, undefined],
      [`POST /api/v1/integration/${integration}/validation`, { credentialId: id }],
      [`POST /integrations/postgres/test-connection/${id}`, undefined],
    ] as const;
  return { upstream, server, credential_id, routes };
}

describe('the routes that test a stored credential', () => {
  test('an unknown id, and the id of another user, return 404 and send nothing', async () => {
    const { upstream, server, credential_id, routes } = await start();
    const other = await server.key({ user: 'other' });
    const refused = [
      ...routes(UNKNOWN_ID).map((route) => [...route, undefined] as const),
      ...routes(credential_id).map((route) => [...route, other] as const),
    ];
    for (const [request, body, key] of refused) {
      const response = await server.send(request, { body, ...(key === undefined ? {} : { key }) });
      expect([request, response.status]).toEqual([request, 404]);
    }
    const none = await server.send('POST /v1/credentials/test', { key: other, body: GITHUB });
    expect(none.status).toBe(404);
    expect(upstream.connections()).toBe(0);
  });

  test('a key without the scope credentials:use, for another service or for tools only returns 403', async () => {
    const { upstream, server, credential_id, routes } = await start();
    const keys = [
      await server.key({ scopes: ['credentials:read', 'credentials:write'] }),
      await server.key({ allowed_services: ['linear'] }),
      await server.key({ allowed_tools: ['test_credential'] }),
    ];
    const postgres = 2;
    const requests = [
      ['POST /v1/credentials/test', GITHUB] as const,
      ...routes(credential_id).filter((_, at) => at !== postgres),
    ];
    for (const key of keys)
      for (const [request, body] of requests) {
        const { status } = await server.send(request, { key, body });
        expect([request, [403, 404].includes(status)]).toEqual([request, true]);
      }
    expect(upstream.connections()).toBe(0);
  });

  test('SuperAI Flow tests only credentials of PostgreSQL', async () => {
    const { upstream, server, credential_id } = await start();
    const request = `POST /integrations/postgres/test-connection/${credential_id}`;
    const { status, text } = await server.send(request);
    expect([status, JSON.parse(text).error.code]).toEqual([404, 'not_found']);
    expect(upstream.connections()).toBe(0);
  });

  test('a credential that may not be used any more returns 410, and one that is switched off 409', async () => {
    const server = await openInProcessServer();
    const { key } = await person(server, { organization: 'acme', user: 'ann' });
    const { vault, clock } = server.tenants;
    const caller = await server.tenants.caller(key);
    const stored = {
      service_id: 'postgresql',
      credentials: { connection_string: 'postgresql://a:b7c1@db/a' },
    };
    const { credential_id } = await vault.update(caller, stored);
    const { id } = vault.services.get('postgresql');
    const requests = [
      ['/v1/credentials/test', { service_id: 'postgresql' }],
      [`/v1/credentials/${credential_id}/test`],
      [`/integrations/postgres/test-connection/${credential_id}`],
      [`/api/v1/integration/${id}/validation`, { credentialId: credential_id }],
      ['/v1/credentials/update', { ...stored, verify: true }],
    ] as const;
    // `send` rejects for a status that the OpenAPI document does not have.
    const statuses = async (count: number) => {
      const found = [];
      for (const [path, body] of requests.slice(0, count))
        found.push((await server.send({ method: 'POST', path, key, body })).status);
      return found;
    };
    const expires_at = new Date(clock.now().getTime() + 1_000).toISOString();
    await vault.use_policies.set(caller, { service_id: 'postgresql', use_policy: { expires_at } });
    clock.advance(2_000);
    expect(await statuses(5)).toEqual([410, 410, 410, 410, 410]);
    await vault.credentials.change(caller, credential_id ?? '', { inactive: true });
    expect(await statuses(4)).toEqual([409, 409, 409, 409]);
  });

  test('more tests a minute than allowed return 429 with Retry-After', async () => {
    const { server } = await start();
    const send = () => server.send('POST /v1/credentials/test', { body: GITHUB });
    for (let sent = 0; sent < TESTS_PER_MINUTE_MAX; sent += 1) expect((await send()).status).toBe(200);
    const { status, headers, text } = await send();
    expect([status, JSON.parse(text).code]).toEqual([429, 'RATE_LIMITED']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  }, 30_000);

  test('an accepted credential is valid in every route and in the client, and its value is in no response', async () => {
    const { upstream, server, credential_id, routes } = await start();
    const [byId, toolzz] = routes(credential_id);
    const expected = { result: 'valid', reason: 'accepted', credential_id, service_id: 'github' };
    const tested = await server.send('POST /v1/credentials/test', { body: GITHUB });
    expect(JSON.parse(tested.text)).toMatchObject(expected);
    const client = new KeyholdClient({ url: server.url, key: await server.key() });
    expect(await client.testCredential(GITHUB)).toMatchObject(expected);
    expect(await client.testCredentialById(credential_id)).toMatchObject(expected);
    const found = await server.send(byId[0]);
    expect(JSON.parse(found.text)).toMatchObject(expected);
    const validated = await server.send(toolzz[0], { body: toolzz[1] });
    expect(JSON.parse(validated.text)).toMatchObject({ valid: true, reason: 'accepted' });
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual(
      Array(5).fill(`Bearer ${VALUE}`),
    );
    const status = await server.get('GET /v1/credentials?service_id=github');
    expect(status).toMatchObject({ last_test: { result: 'valid', reason: 'accepted' } });
    expect(JSON.stringify([tested, found, validated, status, server.log])).not.toContain(VALUE);
  });

  test('the client refuses an id that is not a UUID and sends no request', async () => {
    const client = new KeyholdClient({ url: 'http://127.0.0.1:9', key: 'kh_x' });
    await expect(client.testCredentialById('../me')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});
