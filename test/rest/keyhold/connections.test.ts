/** Connections over REST: started by programs, ended by the browser of a person at a real authorization server (oidc-provider). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../../src/client/keyhold_client.ts';
import type { StartedConnection, StartedDevice } from '../../../src/contract/connection.ts';
import { keyhold } from '../../../src/rest/keyhold/dialect.ts';
import { webMount } from '../../../src/web/mount.ts';
import { PageClient } from '../../kit/http/page_client.ts';
import { OIDC_CLIENT, OIDC_ISSUER, startOidcProvider } from '../../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../../kit/upstream/upstream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { CLIENT_VALUES, oauthDefinition } from '../../oauth/oauth_kit.ts';
import { createUserKeys } from '../user_keys.ts';
import { startV1 } from '../v1_server.ts';

const ACME = { service_id: 'acme' };
const UNKNOWN = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';

async function setup() {
  const oidc = await startOidcProvider();
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(oauthDefinition()));
  const limits = { requests_per_minute: 0, auth_failures_per_minute: 0 };
  const server = await startV1({
    home,
    env: upstreamEnv(home),
    dialects: [keyhold],
    mounts: async (parts) => [await webMount(parts, limits)],
  });
  const storeClient = (key?: string) =>
    server.get('POST /v1/credentials/update', {
      body: { ...ACME, credentials: CLIENT_VALUES },
      ...(key === undefined ? {} : { key }),
    });
  const start = (key?: string) =>
    server.get<StartedConnection>('POST /v1/connections', {
      body: ACME,
      ...(key === undefined ? {} : { key }),
    });
  /** Permits access at the provider. Returns the path of the callback. */
  const approve = async ({ authorization_url }: StartedConnection) => {
    const { pathname, search } = await oidc.approve(authorization_url);
    return pathname + search;
  };
  const signedIn = async (user?: string) =>
    new PageClient(server.url).signIn(await server.key(user === undefined ? {} : { user }));
  return { ...server, server, oidc, storeClient, start, approve, signedIn };
}

describe('a connection over REST', () => {
  test.each([
    ['a service without OAuth', { service_id: 'openai' }, 400],
    ['an unknown service', { service_id: 'no_such' }, 404],
    ['an unknown stack', { ...ACME, stack_id: 'stack_123e4567-e89b-12d3-a456-426614174000' }, 404],
    ['a credential without the client id', ACME, 400],
    ['a redirect URI', { ...ACME, redirect_uri: 'https://evil.test/callback' }, 400],
    ['a scope with a blank', { ...ACME, scopes: ['read all'] }, 400],
  ])('is not started for %s, with a URL or with a code', async (_what, body, status) => {
    const { send, oidc } = await setup();
    for (const path of ['/v1/connections', '/v1/connections/device']) {
      const refused = await send(`POST ${path}`, { body });
      expect([path, refused.status]).toEqual([path, status]);
      expect(refused.text).not.toMatch(/no_such|evil|read all|123e4567/);
    }
    expect(oidc.granted.size).toBe(0);
  });

  test('is described, started by a program, and ended by the browser of the same user at the callback', async () => {
    const { server, get, storeClient, start, approve, signedIn, oidc, log } = await setup();
    const describe = () => get('GET /v1/connections?service_id=acme');
    const field = (field_id: string, required: boolean, added: boolean) => ({ field_id, required, added });
    expect(await describe()).toEqual({
      service_id: 'acme',
      service_name: 'Acme',
      grants: ['authorization_code', 'device_code'],
      fields: [field('client_secret', false, false), field('client_id', true, false)],
      scopes: ['openid', 'offline_access', 'read', 'write'],
      authorization_origin: OIDC_ISSUER,
      status: 'missing',
    });
    await storeClient();
    const started = await start();
    const { origin, searchParams } = new URL(started.authorization_url);
    expect([origin, searchParams.get('client_id'), searchParams.get('redirect_uri')]).toEqual([
      OIDC_ISSUER,
      OIDC_CLIENT.id,
      `${server.url}/dashboard/oauth/callback`,
    ]);
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    const callback = await approve(started);
    const state = searchParams.get('state') ?? '';
    const code = new URLSearchParams(callback.split('?')[1]).get('code') ?? '';
    // The API key of a program ends nothing, on the pages or on a route.
    const refused = await server.request(callback, { redirect: 'manual' });
    expect([refused.status, refused.headers.get('location')]).toEqual([303, '/dashboard/sign-in']);
    for (const path of ['/v1/connections/finish', '/v1/connections/callback'])
      expect((await server.send(`POST ${path}`, { body: { code, state } })).status).toBe(404);
    expect(oidc.granted.size).toBe(0);
    const browser = await signedIn();
    expect((await browser.get(callback)).location).toMatch(/^\/dashboard\/credentials\/[\w-]+$/);
    expect(await describe()).toMatchObject({ status: 'active', fields: [{ added: true }, { added: true }] });
    const status = await get('GET /v1/credentials?service_id=acme');
    expect(status).toMatchObject({
      credential_type: 'oauth2',
      optional_credentials: { access_token: 'added' },
    });
    const { entries } = await server.vault.listAudit(server.caller(), { service_id: 'acme' });
    expect(entries.map(({ action, edge }) => [action, edge]).toReversed()).toEqual([
      ['approve_service', 'cli'],
      ['update', 'rest'],
      ['start_connection', 'rest'],
      ['use', 'web'],
      ['connect', 'web'],
    ]);
    const logged = JSON.stringify([log, entries]);
    expect([logged.includes(state), logged.includes(code)]).toEqual([false, false]);
  }, 60_000);

  test('that another user, an administrator or another organization completes is not stored, and its user still connects', async () => {
    const { server, storeClient, start, approve, signedIn, oidc } = await setup();
    const { owner, admin, stranger } = await createUserKeys(server);
    await storeClient(owner.key);
    const callback = await approve(await start(owner.key));
    for (const browser of [
      await signedIn(),
      await new PageClient(server.url).signIn(admin.key),
      await new PageClient(server.url).signIn(stranger.key),
    ])
      expect((await browser.get(callback)).location).toBe('/dashboard/oauth/result');
    expect(oidc.granted.size).toBe(0);
    const own = await signedIn('owner');
    expect((await own.get(callback)).location).toMatch(/^\/dashboard\/credentials\//);
    const status = await server.get('GET /v1/credentials?service_id=acme', { key: owner.key });
    expect(status).toMatchObject({ status: 'active' });
  }, 60_000);

  test('needs a key that may write the credential, in its service and its stack', async () => {
    const { server, storeClient } = await setup();
    await storeClient();
    const keys = [
      await server.key({ scopes: ['credentials:read', 'credentials:use'] }),
      await server.key({ allowed_services: ['github'] }),
    ];
    for (const path of ['/v1/connections', '/v1/connections/device'])
      for (const key of keys)
        expect((await server.send(`POST ${path}`, { key, body: ACME })).status).toBe(403);
    const other_stack = await server.key({ stack_id: 'default' });
    const body = { ...ACME, stack_id: 'work' };
    expect((await server.send('POST /v1/connections', { key: other_stack, body })).status).toBe(404);
  });

  test('of a protected credential is refused: a person starts it', async () => {
    const { server, storeClient } = await setup();
    await storeClient();
    await server.vault.setProtected({ ...server.caller(), edge: 'web', is_person: true }, ACME, true);
    for (const path of ['/v1/connections', '/v1/connections/device']) {
      const refused = await server.send(`POST ${path}`, { body: ACME });
      expect([refused.status, JSON.parse(refused.text).reason]).toEqual([403, 'credential_protected']);
    }
  });
});

describe('a connection with a device code over REST', () => {
  test('is pending until the person has entered the code, and only for the API key that started it', async () => {
    const { server, storeClient, oidc } = await setup();
    const { owner, colleague, admin, stranger } = await createUserKeys(server);
    await storeClient(owner.key);
    const device = await server.get<StartedDevice>('POST /v1/connections/device', {
      key: owner.key,
      body: ACME,
    });
    expect(device).toMatchObject({
      user_code: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/),
      verification_uri: `${OIDC_ISSUER}/device`,
    });
    const path = (id: string) => `GET /v1/connections/device/${id}`;
    const state = () => server.get(path(device.device_id), { key: owner.key });
    expect(await state()).toEqual({ state: 'pending', device });
    const second_key = await server.key({ user: 'owner' });
    for (const key of [colleague.key, admin.key, stranger.key, second_key]) {
      const [other, unknown] = [
        await server.send(path(device.device_id), { key }),
        await server.send(path(UNKNOWN), { key }),
      ];
      expect([other.status, other.text]).toEqual([404, unknown.text]);
    }
    await oidc.enterCode(device.verification_uri, device.user_code);
    await expect.poll(state, { timeout: 20_000, interval: 250 }).toMatchObject({
      state: 'connected',
      connected: { service_id: 'acme', stack_id: 'default', is_refreshable: true, missing_scopes: [] },
    });
  }, 60_000);
});

test('the methods of the client describe and start connections, and report how a device code ends', async () => {
  const { server, storeClient, oidc, approve, signedIn } = await setup();
  const client = new KeyholdClient({ url: server.url, key: await server.key() });
  await expect(client.startConnection(ACME)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await storeClient();
  expect(await client.describeConnection(ACME)).toMatchObject({ service_name: 'Acme' });
  const scopes = ['openid', 'offline_access', 'read'];
  const started = await client.startConnection({ ...ACME, scopes });
  expect(new URL(started.authorization_url).searchParams.get('scope')).toBe(scopes.join(' '));
  const browser = await signedIn();
  await browser.get(await approve(started));
  expect(await client.getCredentialStatus(ACME)).toMatchObject({ status: 'active' });
  const device = await client.startDeviceConnection(ACME);
  expect(await client.getDeviceConnection(device.device_id)).toEqual({ state: 'pending', device });
  await oidc.enterCode(device.verification_uri, device.user_code, 'abort');
  await expect
    .poll(() => client.getDeviceConnection(device.device_id), { timeout: 20_000, interval: 250 })
    .toEqual({ state: 'declined' });
  for (const id of ['kh_0123_abc', '../units', ''])
    await expect(client.getDeviceConnection(id)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      status: null,
    });
}, 60_000);
