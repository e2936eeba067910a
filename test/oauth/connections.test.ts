/** Connections with an authorization code that succeed: a person permits access, and the tokens are stored. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { errorOf } from '../kit/outcome.ts';
import { OIDC_HOST, OIDC_REDIRECT_URI } from '../kit/servers/oidc_provider.ts';
import type { Handler } from '../kit/upstream/upstream.ts';
import { ACME, setupFake, setupOidc } from './connection_kit.ts';
import { CLIENT_VALUES } from './oauth_kit.ts';

/** Responds to every request with these tokens. */
function tokens(more: object = {}): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ access_token: 'access-token-1', token_type: 'bearer', ...more }));
  };
}

test('a connection stores tokens that are used and refreshed with rotation, with one request for each', async () => {
  const { approve, finish, person, oidc, get, received, vault, actions } = await setupOidc({
    access_token_seconds: 8,
  });
  const { callback } = await approve();
  const before = await vault.status(person(), ACME);
  expect(await finish(callback)).toEqual({
    credential_id: before.credential_id,
    service_id: 'acme',
    service_name: 'Acme',
    stack_id: 'default',
    name: null,
    missing_scopes: [],
    is_refreshable: true,
    expires_at: expect.any(String),
    completes_handle: false,
  });
  expect(await get()).toBe(200);
  expect(oidc.granted).toEqual(new Map([['authorization_code', 1]]));
  // Half of the lifetime.
  await new Promise((resolve) => setTimeout(resolve, 4_100));
  expect(await Promise.all([get(), get(), get()])).toEqual([200, 200, 200]);
  expect(new Set(received).size).toBe(2);
  expect(oidc.granted.get('refresh_token')).toBe(1);
  expect(oidc.refused).toEqual(new Map());
  expect(await vault.status(person(), ACME)).toMatchObject({
    status: 'active',
    credential_type: 'oauth2',
    modified_by: 'me',
    expires_at: null,
  });
  const logged = await actions();
  expect(logged.filter((action) => /connect/.test(action))).toEqual(['start_connection', 'connect']);
  // The use is in the log before the tokens are stored.
  expect(logged.indexOf('use')).toBeLessThan(logged.indexOf('connect'));
  expect(await vault.verifyAudit(person())).toMatchObject({ ok: true, findings: [] });
});

test('an authorization request has a state, a code challenge, the scopes and the exact redirect URI', async () => {
  const { start, provider, person, connections } = await setupFake(tokens(), {
    oauth: { scope_separator: ',', authorization_parameters: { access_type: 'offline', state: 'fixed' } },
  });
  const { authorization_url } = await start({ scopes: ['openid', 'read'] });
  const { origin, pathname, searchParams } = new URL(authorization_url);
  expect(origin + pathname).toBe('https://auth.acme.test/auth');
  expect(Object.fromEntries(searchParams)).toEqual({
    response_type: 'code',
    client_id: CLIENT_VALUES.client_id,
    redirect_uri: OIDC_REDIRECT_URI,
    scope: 'openid,read',
    access_type: 'offline',
    state: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge_method: 'S256',
  });
  expect(provider.requests).toEqual([]);
  const callback = new URLSearchParams({ code: 'c-1', state: searchParams.get('state') ?? '' });
  await connections.finish(person(), callback);
  const form = Object.fromEntries(new URLSearchParams(String(provider.requests[0]?.body)));
  expect(form).toEqual({
    grant_type: 'authorization_code',
    code: 'c-1',
    redirect_uri: OIDC_REDIRECT_URI,
    code_verifier: expect.stringMatching(/^[\w-]{43}$/),
    client_id: CLIENT_VALUES.client_id,
    client_secret: CLIENT_VALUES.client_secret,
  });
  const challenge = createHash('sha256').update(String(form.code_verifier)).digest('base64url');
  expect(searchParams.get('code_challenge')).toBe(challenge);
});

test('two connections have other states and code challenges', async () => {
  const { start } = await setupFake(tokens());
  const urls = [await start(), await start()].map(({ authorization_url }) => new URL(authorization_url));
  for (const parameter of ['state', 'code_challenge'])
    expect(new Set(urls.map((url) => url.searchParams.get(parameter))).size).toBe(2);
});

test('a provider with client_secret_basic gets the secret in the header', async () => {
  const { approve, finish, get } = await setupOidc(
    { client_auth: 'client_secret_basic' },
    { oauth: { client_auth: 'basic' } },
  );
  await finish((await approve()).callback);
  expect(await get()).toBe(200);
});

test('a provider gets JSON, extra parameters and no code verifier if the definition has it so, and fills captured fields', async () => {
  const { finish, callback, provider, vault, person, start } = await setupFake(
    tokens({ team: { id: 'T 1' }, expires_in: null }),
    {
      oauth: {
        pkce: false,
        body_format: 'json',
        token_parameters: { audience: 'team {account}' },
        grant_settings: { authorization_code: { token_parameters: { extra: 'yes' } } },
        capture: { team: '/team/id' },
      },
      values: { ...CLIENT_VALUES, account: 'A1' },
    },
  );
  expect(new URL((await start()).authorization_url).searchParams.has('code_challenge')).toBe(false);
  expect(await finish(await callback())).toMatchObject({ expires_at: null });
  const [request] = provider.requests;
  expect(request?.headers['content-type']).toBe('application/json');
  expect(JSON.parse(String(request?.body))).toEqual({
    grant_type: 'authorization_code',
    code: 'code-7c1',
    redirect_uri: OIDC_REDIRECT_URI,
    client_id: CLIENT_VALUES.client_id,
    client_secret: CLIENT_VALUES.client_secret,
    audience: 'team A1',
    extra: 'yes',
  });
  expect((await vault.status(person(), ACME)).optional_credentials).toMatchObject({ team: 'added' });
});

test('a person who grants fewer scopes is connected, and the missing ones are shown', async () => {
  const { approve, finish, get } = await setupOidc({ decide: 'fewer_scopes' });
  expect(await finish((await approve()).callback)).toMatchObject({ missing_scopes: ['write'] });
  expect(await get()).toBe(200);
});

test('without a refresh token the credential is connected until its access token ends', async () => {
  const { finish, callback, vault, person, advance, get } = await setupFake(tokens({ expires_in: 3600 }));
  const connected = await finish(await callback());
  expect(connected.is_refreshable).toBe(false);
  expect(await vault.status(person(), ACME)).toMatchObject({
    status: 'active',
    expires_at: connected.expires_at,
  });
  advance(3_700_000);
  const error = await errorOf(get());
  expect(error).toMatchObject({ code: 'EXPIRED', next: expect.stringContaining('`keyhold connect acme`') });
});

test('a new connection ends needs_reconnect and replaces the tokens of another account', async () => {
  let number = 0;
  const { finish, callback, vault, person, get, received } = await setupFake((request, response) => {
    const is_refresh = String(request.body).includes('grant_type=refresh_token');
    number += 1;
    response.writeHead(is_refresh ? 400 : 200, { 'content-type': 'application/json' });
    const granted = { access_token: `access-token-${number}`, expires_in: 3600 };
    response.end(JSON.stringify(is_refresh ? { error: 'invalid_grant' } : granted));
  });
  const old = { access_token: 'old-token', refresh_token: 'old-refresh-token' };
  const expires_at = new Date(Date.now() + 500).toISOString();
  await vault.update(person(), { ...ACME, credentials: { ...CLIENT_VALUES, ...old }, expires_at });
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(await errorOf(get())).toMatchObject({
    reason: 'needs_reconnect',
    next: expect.stringContaining('`keyhold connect acme`'),
  });
  expect(await vault.status(person(), ACME)).toMatchObject({ status: 'needs_reconnect' });
  await finish(await callback());
  const status = await vault.status(person(), ACME);
  expect(status).toMatchObject({ status: 'active' });
  expect(status.optional_credentials).toMatchObject({ refresh_token: 'missing', client_secret: 'added' });
  expect(await get()).toBe(200);
  expect(received).toEqual(['access-token-2']);
});

test('a handle of an agent is done with the connection, and only that of the same credential', async () => {
  const { finish, start, approve, vault, person, caller } = await setupOidc();
  const agent = { ...caller(), edge: 'mcp' } as const;
  const work = await vault.handles.create(agent, { ...ACME, credential_type: 'bearer', name: 'work' });
  expect(await errorOf(start({}, work.handle))).toMatchObject({ code: 'INVALID_INPUT' });
  const { handle } = await vault.handles.create(agent, { ...ACME, credential_type: 'bearer' });
  expect(await errorOf(start({}, `${handle.slice(0, -1)}_`))).toMatchObject({ code: 'NOT_FOUND' });
  const { callback } = await approve({}, handle);
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'pending' });
  expect(await finish(callback)).toMatchObject({ completes_handle: true });
  expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
  expect(await vault.status(person(), ACME)).toMatchObject({ status: 'active' });
  expect(await errorOf(start({}, handle))).toMatchObject({ code: 'EXPIRED', reason: 'handle_used' });
});

test('a description has the grants, the fields to enter first, the scopes and the origin, and no value', async () => {
  const { connections, person } = await setupFake(tokens());
  const description = await connections.describe(person(), { ...ACME, scopes: ['read'] });
  expect(description).toEqual({
    service_id: 'acme',
    service_name: 'Acme',
    grants: ['authorization_code', 'device_code'],
    fields: [
      { field_id: 'client_secret', required: false, added: true },
      { field_id: 'client_id', required: true, added: true },
    ],
    scopes: ['read'],
    authorization_origin: `https://${OIDC_HOST}`,
    status: 'active',
  });
  expect(await errorOf(connections.describe(person(), { service_id: 'stripe' }))).toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('keyhold store stripe'),
  });
});
