/** Use policies of API keys over HTTP, and of credentials with the command line on a server. */
import { describe, expect, test } from 'vitest';
import type { CredentialStatus } from '../../src/contract/credential.ts';
import type { UsePolicy } from '../../src/contract/use/policy.ts';
import { keyhold, newHome, removeHome } from '../kit/child/cli.ts';
import { respondJson } from '../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { startV1, type V1Server } from './v1_server.ts';

const HOST = 'api.github.com';
const CALL = 'POST /v1/services/github/call';

interface CreatedKey {
  readonly id: string;
  readonly key: string;
  readonly use_policy: UsePolicy | null;
}

/** A server whose user has a token for GitHub. */
async function start() {
  const upstream = await startUpstream([HOST], respondJson({ ok: true }));
  const server = await startV1({ env: upstreamEnv(temporaryFolder()) });
  const body = { service_id: 'github', credential_type: 'bearer', credential_value: 'ghp_0123456789' };
  await server.get('POST /v1/credentials/store', { body });
  const maker = await server.key({ scopes: ['credentials:read', 'credentials:use', 'keys:write'] });
  const create = (use_policy: object | undefined, key = maker) =>
    server.send('POST /v1/api-keys', { key, body: { name: 'k', use_policy } });
  const newKey = async (use_policy: UsePolicy, key = maker): Promise<CreatedKey> =>
    JSON.parse((await create(use_policy, key)).text);
  return { upstream, server, maker, create, newKey };
}

const call = async (server: V1Server, key: string, input: object) => {
  const { status, text } = await server.send(CALL, { key, body: input });
  return [status, text] as const;
};

describe('the use policy of an API key', () => {
  test.each([
    ['an unknown limit', { read_only: true }],
    ['an unknown method', { methods: ['FETCH'] }],
    ['no method', { methods: [] }],
    ['an ambiguous path prefix', { path_prefixes: ['/a/../b'] }],
    ['zero calls a minute', { calls_per_minute: 0 }],
    ['an end without an offset', { expires_at: '2099-01-01T00:00:00' }],
    ['an unknown approval', { approve: 'sometimes' }],
    ['null', null],
  ])('with %s is rejected, and no key is created', async (_what, use_policy) => {
    const { server, maker } = await start();
    const before = (await server.get<unknown[]>('GET /v1/api-keys', { key: maker })).length;
    const body = { name: 'k', use_policy };
    expect((await server.send('POST /v1/api-keys', { key: maker, body })).status).toBe(400);
    expect(await server.get<unknown[]>('GET /v1/api-keys', { key: maker })).toHaveLength(before);
  });

  test('is shown when the key is created, listed and rotated, and is null without one', async () => {
    const { server, maker, create, newKey } = await start();
    const policy: UsePolicy = {
      methods: ['GET'],
      path_prefixes: ['/repos'],
      calls_per_minute: 7,
      expires_at: '2099-01-01T00:00:00Z',
      approve: 'writes',
    };
    const created = await newKey(policy);
    expect(created.use_policy).toMatchObject({ ...policy, expires_at: expect.stringMatching(/^2099-01-01/) });
    const listed = await server.get<CreatedKey[]>('GET /v1/api-keys', { key: maker });
    expect(listed.find(({ id }) => id === created.id)?.use_policy).toEqual(created.use_policy);
    const rotated = await server.get<CreatedKey>(`POST /v1/api-keys/${created.id}/rotate`, { key: maker });
    expect(rotated.use_policy).toEqual(created.use_policy);
    expect(JSON.parse((await create(undefined)).text)).toMatchObject({ use_policy: null });
  });

  test('cannot be wider than that of the key that creates it', async () => {
    const { server, create, newKey } = await start();
    const limited = await server.key({
      scopes: ['credentials:read', 'credentials:use', 'keys:write'],
      use_policy: { methods: ['GET'], calls_per_minute: 5 },
    });
    for (const wider of [{ methods: ['GET', 'POST'] }, { calls_per_minute: 6 }])
      expect((await create(wider, limited)).status).toBe(403);
    expect((await newKey({}, limited)).use_policy).toEqual({ methods: ['GET'], calls_per_minute: 5 });
    expect((await newKey({ calls_per_minute: 1 }, limited)).use_policy).toEqual({
      methods: ['GET'],
      calls_per_minute: 1,
    });
  });

  test('refuses other methods and paths with 403, and sends nothing', async () => {
    const { server, upstream, newKey } = await start();
    const { key } = await newKey({ methods: ['GET'], path_prefixes: ['/repos/acme'] });
    for (const input of [
      { method: 'POST', path: '/repos/acme' },
      { path: '/repos' },
      { path: '/repos/acme2' },
      { path: '/orgs/acme' },
    ])
      expect([input, (await call(server, key, input))[0]]).toEqual([input, 403]);
    expect(upstream.connections()).toBe(0);
    expect((await call(server, key, { path: '/repos/acme/web' }))[0]).toBe(200);
  });

  test('allows so many uses a minute, and then returns 429', async () => {
    const { server, upstream, newKey } = await start();
    const { key } = await newKey({ calls_per_minute: 2 });
    const statuses = [];
    for (let time = 0; time < 4; time++) statuses.push((await call(server, key, { path: '/user' }))[0]);
    expect(statuses).toEqual([200, 200, 429, 429]);
    expect(upstream.requests).toHaveLength(2);
    expect((await server.send('GET /v1/credentials?service_id=github', { key })).status).toBe(200);
  });

  test('ends the right to use at its time, while the key remains valid', async () => {
    const { server, upstream, newKey } = await start();
    const expires_at = new Date(Date.now() - 1_000).toISOString();
    const { key } = await newKey({ expires_at });
    const [status, text] = await call(server, key, { path: '/user' });
    expect([status, text]).toEqual([
      410,
      expect.stringContaining('The right to use this API key has ended.'),
    ]);
    expect(upstream.connections()).toBe(0);
    expect((await server.send('GET /v1/me', { key })).status).toBe(200);
  });
});

test('keyhold update on a server sets, tightens and shows the policy of a credential, and widens it with org:admin', async () => {
  const { server, maker } = await start();
  const home = newHome();
  const as = (key: string) => (argv: readonly string[]) =>
    keyhold(home, argv, { env: { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key } });
  const writer = as(await server.key({ scopes: ['credentials:read', 'credentials:write'] }));
  const admin = as(await server.key({ scopes: ['credentials:read', 'credentials:write', 'org:admin'] }));
  const shown = async () =>
    (JSON.parse((await writer(['status', 'github', '--json'])).stdout) as CredentialStatus).use_policy;
  try {
    expect((await as(maker)(['update', 'github', '--read-only'])).code).toBe(4);
    expect(await shown()).toBeNull();
    const set = await writer(['update', 'github', '--read-only', '--calls-per-minute', '9']);
    expect(set).toMatchObject({ code: 0, stdout: expect.stringContaining('methods GET, HEAD, OPTIONS') });
    expect(await shown()).toEqual({ methods: ['GET', 'HEAD', 'OPTIONS'], calls_per_minute: 9 });
    expect((await writer(['update', 'github', '--methods', 'POST'])).code).toBe(4);
    expect((await writer(['update', 'github', '--no-policy'])).code).toBe(4);
    expect((await writer(['update', 'linear', '--read-only'])).code).toBe(5);
    expect((await admin(['update', 'github', '--no-policy', '--methods', 'POST'])).code).toBe(0);
    expect(await shown()).toEqual({ methods: ['POST'] });
    expect((await writer(['status'])).stdout).toMatch(/LIMITED TO\ngithub .* methods POST$/m);
  } finally {
    removeHome(home);
  }
});
