/** The keys of an authorization server, and how a client without a token discovers it. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
  selectResourceURL,
} from '@modelcontextprotocol/sdk/client/auth.js';
import { OAuthProtectedResourceMetadataSchema } from '@modelcontextprotocol/sdk/shared/auth.js';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from '../kit/http/authorization_server.ts';
import { startMcpServer } from './http_server.ts';
import { AUDIENCE, callWith, inSeconds, SCOPE, startBoth, tokenIssuer } from './oauth_servers.ts';

const monotonicNow = performance.now.bind(performance);
let passed_ms = 0;

/** Lets time pass in this process: on its system clock and on its monotonic one. */
function moveClock(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
  passed_ms += ms;
  vi.spyOn(performance, 'now').mockImplementation(() => monotonicNow() + passed_ms);
}

/** Sets the system clock back. The monotonic clock goes on. */
function setClockBack(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - ms });
}

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  passed_ms = 0;
});

describe('the keys of the issuer', () => {
  test.each<[string, Partial<AuthorizationServerOptions>]>([
    ['OAuth metadata', {}],
    ['OAuth metadata of a tenant', { path: '/tenant/one' }],
    ['OpenID metadata', { metadata: 'openid' }],
    ['OpenID metadata of a tenant', { metadata: 'openid', path: '/tenant/one' }],
    ['OpenID metadata before the path of a tenant', { metadata: 'openid_before_path', path: '/tenant/one' }],
  ])('the keys are found by %s, and fetched once for many tokens', async (_what, options) => {
    const { server, authorization } = await startBoth(options);
    const tokens = await Promise.all(
      Array.from({ length: 8 }, (_, at) => authorization.token({ sub: `u${at}` })),
    );
    const responses = await Promise.all(tokens.map((token) => callWith(server, token)));
    expect(responses.map(({ status }) => status)).toStrictEqual(tokens.map(() => 200));
    expect(authorization.requested_paths.filter((path) => path.endsWith('/keys'))).toHaveLength(1);
    expect(new Set(authorization.requested_paths).size).toBe(authorization.requested_paths.length);
  });

  const page = '<!doctype html><title>Sign in</title>';
  test.each<[string, number, string]>([
    ['a page', 200, page],
    ['an empty document', 200, ''],
    ['JSON without jwks_uri', 200, '{"issuer":"ISSUER"}'],
    [
      'JSON with a jwks_uri that is not secure',
      200,
      '{"issuer":"ISSUER","jwks_uri":"http://192.0.2.1/keys"}',
    ],
    ['JSON that is no object', 200, 'null'],
    [
      'metadata of another issuer',
      200,
      '{"issuer":"https://other.example","jwks_uri":"https://other.example/k"}',
    ],
    ['a server error', 500, page],
    ['a refusal', 403, '{}'],
    ['a redirect to a page', 302, ''],
  ])(
    'an issuer that responds with %s at the OAuth address is read at the OpenID one',
    async (_what, status, body) => {
      const { server, authorization } = await startBoth({
        metadata: 'openid',
        path: '/tenant/one',
        oauth_response: { status, body },
      });
      const { status: found, text } = await callWith(server, await authorization.token());
      expect(found, text).toBe(200);
      expect(authorization.requested_paths).toStrictEqual([
        '/.well-known/oauth-authorization-server/tenant/one',
        '/tenant/one/.well-known/openid-configuration',
        '/tenant/one/keys',
      ]);
    },
  );

  test('an issuer that has metadata at no address makes tokens 503', async () => {
    const { server, authorization } = await startBoth({
      metadata: 'none',
      oauth_response: { status: 200, body: page },
    });
    expect((await callWith(server, await authorization.token())).status).toBe(503);
  });

  test('with KEYHOLD_OAUTH_JWKS_URL the metadata is not fetched', async () => {
    const { server, authorization } = await startBoth({ metadata: 'none', with_jwks_url: true });
    expect((await callWith(server, await authorization.token())).status).toBe(200);
    expect(authorization.requested_paths).toStrictEqual(['/keys']);
  });

  test('metadata of another issuer is rejected', async () => {
    const { server, authorization } = await startBoth({ claimed_issuer: 'https://other.example' });
    const { status } = await callWith(server, await authorization.token());
    expect(status).toBe(503);
    expect(authorization.requested_paths).not.toContain('/keys');
  });

  test('a new key of the issuer is accepted soon', async () => {
    const { server, authorization } = await startBoth();
    const old = await authorization.token();
    expect((await callWith(server, old)).status).toBe(200);
    await authorization.rotate();
    moveClock(6_000);
    expect((await callWith(server, await authorization.token())).status).toBe(200);
    expect((await callWith(server, old)).status).toBe(401);
  });

  test('an issuer that failed is requested again soon after the system clock was set back by an hour', async () => {
    const { server, authorization } = await startBoth();
    authorization.setSilent(true);
    expect((await callWith(server, await authorization.token())).status).toBe(503);
    authorization.setSilent(false);
    setClockBack(3_600_000);
    moveClock(6_000);
    const token = await authorization.token({ exp: inSeconds(7_200) });
    expect((await callWith(server, token)).status).toBe(200);
  });

  test('a new key is accepted soon, and a withdrawn one rejected, after the system clock was set back', async () => {
    const { server, authorization } = await startBoth();
    const old = await authorization.token({ exp: inSeconds(7_200) });
    expect((await callWith(server, old)).status).toBe(200);
    await authorization.rotate();
    setClockBack(3_600_000);
    moveClock(6_000);
    const token = await authorization.token({ exp: inSeconds(7_200) });
    expect((await callWith(server, token)).status).toBe(200);
    expect((await callWith(server, old)).status).toBe(401);
  });

  test('a withdrawn key works for ten minutes more', async () => {
    const { server, authorization } = await startBoth();
    const token = await authorization.token({ exp: inSeconds(3_600) });
    expect((await callWith(server, token)).status).toBe(200);
    await authorization.rotate();
    moveClock(590_000);
    expect((await callWith(server, token)).status).toBe(200);
    moveClock(20_000);
    expect((await callWith(server, token)).status).toBe(401);
  });

  test.each([
    ['404', { status: 404, body: '{}' }],
    ['a page', { status: 200, body: page }],
    ['JSON that is not a key set', { status: 200, body: '{"keys":"none"}' }],
  ])('keys older than ten minutes are not used if the issuer responds with %s', async (_what, response) => {
    const { server, authorization } = await startBoth();
    const token = await authorization.token({ exp: inSeconds(7_200) });
    const call = async () => (await callWith(server, token)).status;
    expect(await call()).toBe(200);
    authorization.setKeysResponse(response);
    moveClock(11 * 60_000);
    expect([await call(), await call()]).toEqual([503, 503]);
    moveClock(6_000);
    expect([await call(), await call()]).toEqual([503, 503]);
    authorization.setKeysResponse(undefined);
    moveClock(6_000);
    expect(await call()).toBe(200);
  });

  test('if the keys cannot be fetched, tokens are 503 and API keys still work', async () => {
    const { server, authorization } = await startBoth();
    authorization.setSilent(true);
    const { status, text } = await callWith(server, await authorization.token());
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({
      error: { message: expect.stringContaining('issuer'), data: { code: 'UNAVAILABLE' } },
    });
    expect(text).not.toContain(authorization.issuer);
    expect((await callWith(server, await server.key())).status).toBe(200);
    authorization.setSilent(false);
    moveClock(6_000);
    expect((await callWith(server, await authorization.token())).status).toBe(200);
  });

  const padding = 'x'.repeat(300 * 1024);
  test.each<[string, (keys: string, response: ServerResponse, real: string) => unknown]>([
    ['too large', (keys, response) => response.end(keys.replace('{', `{"padding":"${padding}",`))],
    ['not JSON', (keys, response) => response.end(keys.slice(1))],
    ['not a key set', (_keys, response) => response.end('{"keys":"none"}')],

    ['a redirect', (_keys, response, real) => response.writeHead(302, { location: real }).end()],
    ['404', (keys, response) => response.writeHead(404).end(keys)],
  ])('a JWKS response that is %s is rejected', async (_what, respond) => {
    const authorization = await startAuthorizationServer({ audience: AUDIENCE, user: 'ada', scope: SCOPE });
    onTestFinished(() => authorization.close());
    const keys = await (await fetch(authorization.jwks_url)).text();
    const requests_before = authorization.requested_paths.length;
    const other = createServer((_request, response) => void respond(keys, response, authorization.jwks_url));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const { issuer } = authorization;
    const jwks_url = `http://127.0.0.1:${port}/keys`;
    const server = await startMcpServer({
      issuer: tokenIssuer({ issuer, jwks_url }),
    });
    expect((await callWith(server, await authorization.token())).status).toBe(503);
    expect(authorization.requested_paths.length).toBe(requests_before);
  });

  test('a key that is too short is rejected', async () => {
    const authorization = await startAuthorizationServer({ audience: AUDIENCE, user: 'ada', scope: SCOPE });
    onTestFinished(() => authorization.close());
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const keys = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'short', alg: 'RS256' }] };
    const other = createServer((_request, response) => void response.end(JSON.stringify(keys)));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const jwks_url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/keys`;
    const { issuer } = authorization;
    const server = await startMcpServer({
      issuer: tokenIssuer({ issuer, jwks_url }),
    });
    const [, claims] = (await authorization.token()).split('.');
    const header = Buffer.from('{"alg":"RS256","kid":"short","typ":"at+jwt"}').toString('base64url');
    const signature = sign('sha256', Buffer.from(`${header}.${claims}`), privateKey).toString('base64url');
    expect((await callWith(server, `${header}.${claims}.${signature}`)).status).toBe(401);
  });

  test('cached keys still work while the issuer does not respond', async () => {
    const { server, authorization } = await startBoth();
    expect((await callWith(server, await authorization.token())).status).toBe(200);
    authorization.setSilent(true);
    moveClock(60_000);
    expect((await callWith(server, await authorization.token())).status).toBe(200);
    expect((await callWith(server, await authorization.token({ exp: inSeconds(-60) }))).status).toBe(401);
  });

  test('invalid tokens do not cause repeated requests to the issuer', async () => {
    const { server, authorization } = await startBoth();
    authorization.setSilent(true);
    for (let at = 0; at < 20; at++) await callWith(server, await authorization.token());
    expect(authorization.requested_paths.length).toBeLessThanOrEqual(2);
    authorization.setSilent(false);
    moveClock(6_000);
    for (let at = 0; at < 20; at++)
      await callWith(server, await authorization.token({}, { kid: `junk${at}` }));
    expect(authorization.requested_paths.filter((path) => path === '/keys')).toHaveLength(1);
  });
});

describe('requests with tokens that are not accepted', () => {
  test('requests while the issuer is unreachable are limited, and its failure is logged once per cooldown', async () => {
    const { server, authorization } = await startBoth({ auth_failures_per_minute: 4 });
    authorization.setSilent(true);
    const token = await authorization.token();
    const unknown = await authorization.token({}, { kid: 'unknown' });
    const errors = () => server.log.filter(({ level }) => level === 'error');
    for (const sent of [token, unknown, token]) {
      const { status, headers } = await callWith(server, sent);
      expect(status).toBe(503);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(5);
    }
    expect(errors()).toEqual([
      {
        level: 'error',
        fields: { failure: expect.arrayContaining([expect.objectContaining({ code: 'UPSTREAM' })]) },
        message: 'the keys of the token issuer cannot be fetched',
      },
    ]);
    moveClock(6_000);
    expect((await callWith(server, token)).status).toBe(503);
    expect(errors()).toHaveLength(2);
    expect((await callWith(server, token)).status).toBe(429);
    authorization.setSilent(false);
    moveClock(6_000);
    expect((await callWith(server, token)).status).toBe(200);
  });

  test('requests with signed tokens that grant nothing are limited', async () => {
    const { server, authorization } = await startBoth({ auth_failures_per_minute: 2 });
    const token = await authorization.token({ scope: 'openid' });
    const statuses: number[] = [];
    for (let at = 0; at < 3; at++) statuses.push((await callWith(server, token)).status);
    expect(statuses).toEqual([403, 403, 429]);
    expect((await callWith(server, await authorization.token())).status).toBe(200);
  });
});

describe('a client without a token', () => {
  test('the client discovers issuer and scopes through the 401', async () => {
    const { server, authorization } = await startBoth();
    const response = await fetch(server.mcp_url, { method: 'POST' });
    expect(response.status).toBe(401);
    const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(response);
    expect(scope).toBe('credentials:read credentials:write credentials:use stacks:write');
    const metadata = await discoverOAuthProtectedResourceMetadata(
      server.mcp_url,
      resourceMetadataUrl && { resourceMetadataUrl },
    );
    expect(metadata).toMatchObject({
      resource: server.mcp_url,
      authorization_servers: [authorization.issuer],
      scopes_supported: expect.not.arrayContaining(['org:admin', 'values:reveal']),
      bearer_methods_supported: ['header'],
    });
    const resource = await selectResourceURL(server.mcp_url, PROVIDER, metadata);
    expect(resource?.href).toBe(server.mcp_url);
  });

  test('the client discovers the issuer at both well-known paths without the header', async () => {
    const { server } = await startBoth();
    for (const url of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp'])
      expect((await fetch(server.url + url)).status, url).toBe(200);
    expect((await fetch(`${server.url}/.well-known/oauth-authorization-server`)).status).toBe(404);
    expect((await fetch(`${server.url}/.well-known/openid-configuration`)).status).toBe(404);
  });

  test('the client requests a token for the audience if that is a URL of this server', async () => {
    const server = await startMcpServer({
      public_url: 'https://vault.example',
      issuer: tokenIssuer({ issuer: 'https://login.example', audience: 'https://vault.example' }),
    });
    const response = await fetch(`${server.url}/.well-known/oauth-protected-resource/mcp`);
    const metadata = OAuthProtectedResourceMetadataSchema.parse(await response.json());
    expect(metadata).toMatchObject({ resource: 'https://vault.example' });
    const resource = await selectResourceURL('https://vault.example/mcp', PROVIDER, metadata);
    expect(resource?.href).toBe('https://vault.example/');
  });
});

/** A client provider that accepts any offer. The SDK needs its other members only for signing in. */
const PROVIDER = {
  redirectUrl: 'http://127.0.0.1/callback',
  clientMetadata: { redirect_uris: ['http://127.0.0.1/callback'] },
  clientInformation: () => undefined,
  tokens: () => undefined,
  saveTokens: () => undefined,
  redirectToAuthorization: () => undefined,
  saveCodeVerifier: () => undefined,
  codeVerifier: () => '',
};
