/** Callbacks and providers that a connection refuses: nothing is stored, and no code or token is in an error or the log. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import {
  CONNECTION_AGE_MS,
  CONNECTION_KEPT_MS,
  CONNECTIONS_PENDING_PER_USER_MAX,
} from '../../src/contract/limits.ts';
import { errorOf } from '../kit/outcome.ts';
import { OIDC_REDIRECT_URI } from '../kit/servers/oidc_provider.ts';
import { type Handler, upstreamEnv } from '../kit/upstream/upstream.ts';
import { readRowsOfKind } from '../kit/vault/database.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';
import { ACME, setupFake, setupOidc } from './connection_kit.ts';
import { CLIENT_VALUES } from './oauth_kit.ts';

type Connecting = Awaited<ReturnType<typeof setupFake>>;

const SECRETS = [
  'code-7c1',
  'access-token-1',
  'refresh-token-1',
  CLIENT_VALUES.client_secret,
  'from-the-provider',
];

const granting: Handler = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const granted = { access_token: 'access-token-1', refresh_token: 'refresh-token-1', token_type: 'bearer' };
  response.end(JSON.stringify({ ...granted, expires_in: 3600 }));
};

/** Nothing was stored, the credential is as before, and nothing secret is in the error and the log. */
async function expectNothingStored(
  { vault, person }: Pick<Connecting, 'vault' | 'person'>,
  error: Error,
): Promise<void> {
  const { optional_credentials, credential_type } = await vault.status(person(), ACME);
  expect(optional_credentials).toMatchObject({ access_token: 'missing', refresh_token: 'missing' });
  expect(credential_type).toBe('oauth2');
  const { entries } = await vault.listAudit(person());
  expect(entries.filter(({ action, outcome }) => action === 'connect' && outcome === 'allowed')).toEqual([]);
  const written = JSON.stringify([error, error.message, String(error), entries]);
  for (const secret of SECRETS) expect(written).not.toContain(secret);
  expect(await vault.verifyAudit(person())).toMatchObject({ ok: true });
}

describe('a callback', () => {
  test.each([
    ['has no state', { state: '' }],
    ['has a forged state', { state: 'A'.repeat(43) }],
    ['has a state of another length', { state: 'x' }],
    ['has a path as its state', { state: '../../etc/passwd' }],
  ])('that %s is NOT_FOUND, and nothing is sent', async (_name, parameters) => {
    const opened = await setupFake(granting);
    const error = await errorOf(opened.finish(await opened.callback(parameters)));
    expect(error).toMatchObject({ code: 'NOT_FOUND' });
    expect(opened.provider.requests).toEqual([]);
    await expectNothingStored(opened, error);
  });

  test('with two states is NOT_FOUND', async () => {
    const opened = await setupFake(granting);
    const callback = await opened.callback();
    callback.searchParams.append('state', 'A'.repeat(43));
    expect(await errorOf(opened.finish(callback))).toMatchObject({ code: 'NOT_FOUND' });
    expect(opened.provider.requests).toEqual([]);
  });

  test('with the state of another user is NOT_FOUND and in the audit log, and its user can still end it', async () => {
    const opened = await setupFake(granting);
    const { finish, person, vault, callback, provider } = opened;
    const url = await callback();
    const error = await errorOf(finish(url, person('mallory')));
    expect(error).toMatchObject({ code: 'NOT_FOUND' });
    expect(provider.requests).toEqual([]);
    await expectNothingStored(opened, error);
    const { entries } = await vault.listAudit(person(), { outcome: 'denied' });
    expect(entries).toMatchObject([{ action: 'connect', user: 'mallory', reason: 'state of another user' }]);
    expect(await finish(url)).toMatchObject({ service_id: 'acme' });
  });

  test('that comes twice, also at the same time, is used once and the provider gets the code once', async () => {
    const { finish, callback, provider, actions } = await setupFake(granting);
    const url = await callback();
    const results = await Promise.allSettled([finish(url), finish(url), finish(url)]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await errorOf(finish(url))).toMatchObject({
      code: 'EXPIRED',
      message: expect.stringContaining('used already'),
    });
    expect(provider.requests).toHaveLength(1);
    expect((await actions()).filter((action) => action === 'connect')).toHaveLength(1);
  });

  test('after ten minutes is EXPIRED', async () => {
    const opened = await setupFake(granting);
    const url = await opened.callback();
    opened.advance(CONNECTION_AGE_MS);
    const error = await errorOf(opened.finish(url));
    expect(error).toMatchObject({ code: 'EXPIRED', next: expect.stringContaining('keyhold connect') });
    expect(opened.provider.requests).toEqual([]);
    await expectNothingStored(opened, error);
  });

  test('an hour after its end is NOT_FOUND, and its record is deleted with the next connection of another process', async () => {
    const { callback, finish, person, home, advance, vault } = await setupFake(granting);
    const [used, late] = [await callback(), await callback()];
    await finish(used);
    advance(CONNECTION_AGE_MS + CONNECTION_KEPT_MS - 60_000);
    expect(await errorOf(finish(late))).toMatchObject({ code: 'EXPIRED' });
    advance(60_000);
    const now = () => new Date(Date.now() + CONNECTION_AGE_MS + CONNECTION_KEPT_MS);
    const other = await openTestVault(home, upstreamEnv(home), undefined, { now });
    expect(await readRowsOfKind(home, 'connection')).toHaveLength(2);
    await other.connections.start(person(), ACME, OIDC_REDIRECT_URI);
    await expect.poll(async () => (await readRowsOfKind(home, 'connection')).length).toBe(1);
    for (const url of [used, late]) expect(await errorOf(finish(url))).toMatchObject({ code: 'NOT_FOUND' });
    expect(await vault.verifyAudit(person())).toMatchObject({ ok: true, findings: [] });
  });

  test.each([
    ['https://evil.test', undefined],
    ['https://auth.acme.test.evil.test', undefined],
    ['not a URL', undefined],
    ['', undefined],
    // The definition has the issuer: its origin is not enough.
    ['https://auth.acme.test/other', 'https://auth.acme.test'],
  ])('of the issuer "%s" is refused and cannot be sent again with another one', async (iss, issuer) => {
    const opened = await setupFake(granting, { oauth: issuer === undefined ? {} : { issuer } });
    const url = await opened.callback({ iss });
    const error = await errorOf(opened.finish(url));
    expect(error).toMatchObject({ code: 'FORBIDDEN', message: expect.stringContaining('another provider') });
    if (iss !== '') expect(error.message).not.toContain(iss);
    await expectNothingStored(opened, error);
    url.searchParams.set('iss', 'https://auth.acme.test');
    expect(await errorOf(opened.finish(url))).toMatchObject({ code: 'EXPIRED' });
    expect(opened.provider.requests).toEqual([]);
  });

  test.each([
    ['access_denied', 'FORBIDDEN connection_declined', 'decline_connection', 'declined there'],
    ['server_error', 'FORBIDDEN', 'connect', 'server_error'],
    ['<script>from-the-provider', 'FORBIDDEN', 'connect', 'an error code that RFC 6749 does not have'],
  ])('with the error %s ends the connection', async (code, outcome, action, text) => {
    const opened = await setupFake(granting);
    const url = await opened.callback({ error: code, error_description: 'from-the-provider' });
    const error = await errorOf(opened.finish(url));
    expect([error.code, error.reason].filter(Boolean).join(' ')).toBe(outcome);
    expect(error.message).toContain(text);
    expect((await opened.actions()).at(-1)).toBe(action);
    await expectNothingStored(opened, error);
    expect(await errorOf(opened.finish(url))).toMatchObject({ code: 'EXPIRED' });
    expect(opened.provider.requests).toEqual([]);
  });

  test('without a code ends the connection', async () => {
    const opened = await setupFake(granting);
    const error = await errorOf(opened.finish(await opened.callback({ code: '' })));
    expect(error).toMatchObject({ code: 'UPSTREAM' });
    await expectNothingStored(opened, error);
    expect(opened.provider.requests).toEqual([]);
  });

  test('is refused after the credential was deleted, and stores nothing', async () => {
    const { callback, finish, vault, person, provider } = await setupFake(granting);
    const url = await callback();
    await vault.delete(person(), ACME);
    expect(await errorOf(finish(url))).toMatchObject({ code: 'INVALID_INPUT' });
    await vault.update(person(), { ...ACME, credentials: CLIENT_VALUES });
    expect(await errorOf(finish(url))).toMatchObject({ code: 'EXPIRED' });
    expect(provider.requests).toEqual([]);
  });

  test('is refused if the built-in definition is another one than at the start', async () => {
    const { connections, person, vault } = await setupFake(granting);
    const github = { service_id: 'github' };
    await vault.update(person(), { ...github, credentials: { github_client_id: 'Iv1.0123456789abcdef' } });
    const { authorization_url } = await connections.start(person(), github, OIDC_REDIRECT_URI);
    const state = new URL(authorization_url).searchParams.get('state') ?? '';
    const service = vault.services.get('github');
    const { oauth } = service;
    try {
      Reflect.set(service, 'oauth', { ...oauth, body_format: 'json' });
      const finished = connections.finish(person(), new URLSearchParams({ code: 'code-7c1', state }));
      expect(await errorOf(finished)).toMatchObject({
        code: 'EXPIRED',
        message: expect.stringContaining('definition'),
      });
    } finally {
      Reflect.set(service, 'oauth', oauth);
    }
  });

  test('stores nothing if the credential is deleted while the provider responds', async () => {
    let respond: (() => void) | undefined;
    const { callback, finish, vault, person } = await setupFake((request, response) => {
      respond = () => granting(request, response);
    });
    const finished = errorOf(finish(await callback()));
    await expect.poll(() => respond, { timeout: 20_000 }).toBeDefined();
    await vault.delete(person(), ACME);
    respond?.();
    expect(await finished).toMatchObject({ code: 'EXPIRED' });
    expect(await vault.status(person(), ACME)).toMatchObject({ status: 'missing' });
  });

  test('does not complete a handle that was declined meanwhile', async () => {
    const opened = await setupFake(granting);
    const { start, finish, vault, person, provider } = opened;
    const { handle } = await vault.handles.create(person(), { ...ACME, credential_type: 'bearer' });
    const { authorization_url } = await start({}, handle);
    await vault.handles.decline(person(), handle);
    const state = new URL(authorization_url).searchParams.get('state') ?? '';
    const callback = new URL(`${OIDC_REDIRECT_URI}?${new URLSearchParams({ code: 'code-7c1', state })}`);
    const error = await errorOf(finish(callback));
    expect(error).toMatchObject({ code: 'EXPIRED', reason: 'handle_declined' });
    expect(provider.requests).toEqual([]);
    await expectNothingStored(opened, error);
  });
});

describe('a start', () => {
  test('without the client id, and for a service without OAuth, names the next step', async () => {
    const { connections, person, vault } = await setupFake(granting);
    const start = (service_id: string) => connections.start(person(), { service_id }, OIDC_REDIRECT_URI);
    const missing = await errorOf(start('github'));
    expect(missing).toMatchObject({ code: 'INVALID_INPUT' });
    expect(missing.message).toContain('keyhold update github github_client_id');
    expect(await errorOf(start('stripe'))).toMatchObject({ code: 'INVALID_INPUT' });
    expect(await vault.status(person(), { service_id: 'github' })).toMatchObject({ status: 'missing' });
  });

  test('and its end need the scope credentials:write, and refusals are in the audit log', async () => {
    const { connections, person, vault, callback, finish } = await setupFake(granting);
    const reader = { ...person(), scopes: new Set(['credentials:read', 'credentials:use'] as const) };
    const url = await callback();
    expect(await errorOf(connections.start(reader, ACME, OIDC_REDIRECT_URI))).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await errorOf(connections.startDevice(reader, ACME))).toMatchObject({ code: 'FORBIDDEN' });
    expect(await errorOf(finish(url, reader))).toMatchObject({ code: 'FORBIDDEN' });
    const { entries } = await vault.listAudit(person(), { outcome: 'denied' });
    const reason = 'missing scope credentials:write';
    expect(entries.map((entry) => [entry.action, entry.reason])).toEqual([
      ['connect', reason],
      ['start_connection', reason],
    ]);
  });

  test('is refused for a protected credential unless by a person', async () => {
    const { connections, person, caller, vault } = await setupFake(granting);
    const start = (by: Caller) => connections.start(by, ACME, OIDC_REDIRECT_URI);
    await vault.setProtected(person(), ACME, true);
    const agent: Caller = { ...caller(), edge: 'mcp' };
    expect(await errorOf(start(agent))).toMatchObject({ code: 'FORBIDDEN', reason: 'credential_protected' });
    expect(await start(person())).toMatchObject({ authorization_url: expect.any(String) });
  });

  test('is limited to twenty connections that wait', async () => {
    const { start, advance } = await setupFake(granting);
    for (let at = 0; at < CONNECTIONS_PENDING_PER_USER_MAX; at++) await start();
    expect(await errorOf(start())).toMatchObject({ code: 'RATE_LIMITED' });
    advance(CONNECTION_AGE_MS);
    expect(await start()).toMatchObject({ authorization_url: expect.any(String) });
  });

  test('sends no code to a host that the credential is not bound to', async () => {
    const opened = await setupFake(granting);
    const url = await opened.callback();
    const service = opened.vault.services.get('acme');
    // As a definition that gains a token URL after the credential was stored.
    Reflect.set(service, 'oauth', { ...service.oauth, token_url: 'https://evil.test/token' });
    expect(await errorOf(opened.start())).toMatchObject({ code: 'FORBIDDEN', reason: 'needs_review' });
    expect((await errorOf(opened.finish(url))).code).toMatch(/FORBIDDEN|EXPIRED/);
    expect(opened.provider.requests).toEqual([]);
  });
});

const json =
  (status: number, body: unknown): Handler =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

/** Longer than a request for tokens may take. */
const SLOW_MS = 30_000;

const FAILURES: readonly (readonly [string, Handler, string])[] = [
  ['is down', (_request, response) => void response.destroy(), 'UPSTREAM'],
  ['responds with 503', json(503, { error: 'invalid_grant' }), 'UPSTREAM'],
  ['responds with HTML', (_, response) => void response.end('<h1>from-the-provider</h1>'), 'UPSTREAM'],
  ['responds with too much', json(200, { access_token: 'a'.repeat(300_000) }), 'UPSTREAM'],
  ['returns no token', json(200, { ok: true }), 'UPSTREAM'],
  ['returns a token with a line break', json(200, { access_token: 'a\r\nfrom-the-provider: 1' }), 'UPSTREAM'],
  [
    'refuses the code',
    json(400, { error: 'invalid_grant', error_description: 'from-the-provider' }),
    'FORBIDDEN',
  ],
  ['refuses the client', json(401, { error: 'invalid_client' }), 'FORBIDDEN credential_rejected'],
  ['returns an unknown error', json(400, { error: 'from-the-provider' }), 'UPSTREAM'],
  [
    'redirects',
    (_, response) => void response.writeHead(302, { location: 'https://api.acme.test/' }).end(),
    'UPSTREAM',
  ],
];

describe('a provider', () => {
  test.each(FAILURES)('that %s ends the connection without tokens', async (_name, handler, outcome) => {
    const opened = await setupFake(handler);
    const url = await opened.callback();
    const error = await errorOf(opened.finish(url));
    expect([error.code, error.reason].filter(Boolean).join(' ')).toBe(outcome);
    expect(error.next).toMatch(/keyhold (?:connect|update) acme/);
    await expectNothingStored(opened, error);
    expect(await errorOf(opened.finish(url))).toMatchObject({ code: 'EXPIRED' });
    expect(opened.provider.requests).toHaveLength(1);
  });

  test(
    'that does not respond in time ends the connection without tokens',
    async () => {
      const opened = await setupFake(() => undefined);
      const url = await opened.callback();
      const error = await errorOf(opened.finish(url));
      expect(error).toMatchObject({ code: 'UPSTREAM' });
      await expectNothingStored(opened, error);
    },
    SLOW_MS,
  );

  test('that the person declines stores nothing, against oidc-provider', async () => {
    const opened = await setupOidc({ decide: 'deny' });
    const error = await errorOf(opened.finish((await opened.approve()).callback));
    expect(error).toMatchObject({ code: 'FORBIDDEN', reason: 'connection_declined' });
    await expectNothingStored(opened, error);
  });

  test('that gets a code for the second time refuses it, against oidc-provider', async () => {
    const opened = await setupOidc();
    const first = await opened.approve();
    await opened.finish(first.callback);
    const { authorization_url } = await opened.start();
    const replayed = new URL(first.callback);
    replayed.searchParams.set('state', new URL(authorization_url).searchParams.get('state') ?? '');
    const error = await errorOf(opened.finish(replayed));
    expect(error).toMatchObject({ code: 'FORBIDDEN', message: expect.stringContaining('invalid_grant') });
    expect(error.message).not.toContain(first.callback.searchParams.get('code'));
  });
});
