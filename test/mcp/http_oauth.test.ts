/** Access tokens of a real authorization server: accepted and rejected tokens, and the caller that a token gives. */
import { SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AuthorizationServer,
  type Changes,
  startAuthorizationServer,
} from '../kit/http/authorization_server.ts';
import { CLIENT_KINDS } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { DANUBE_CALL } from './calls.ts';
import { type McpTestServer, startMcpServer } from './http_server.ts';
import { AUDIENCE, type Both, callWith, inSeconds, SCOPE, startBoth } from './oauth_servers.ts';

describe('a valid token', () => {
  test.each(CLIENT_KINDS)('%s calls a tool with a valid token', async (kind) => {
    const { server, authorization } = await startBoth();
    const headers = { Authorization: `Bearer ${await authorization.token()}` };
    const client = await connectHttpClient(kind, server.mcp_url, headers);
    expect((await client.call('store_credential', DANUBE_CALL)).is_error).toBe(false);
    const { entries } = await server.vault.listAudit(server.caller(), { action: 'store' });
    expect(entries[0]).toMatchObject({ user: 'ada', edge: 'mcp' });
    await client.close();
  });

  test('API keys still work beside tokens, each for its own user', async () => {
    const { server, authorization } = await startBoth();
    await callWith(server, await authorization.token(), 'store_credential', DANUBE_CALL);
    const input = { service_id: DANUBE_CALL.service_id };
    const mine = await callWith(server, await server.key(), 'get_credential_status', input);
    expect(mine.text).toContain('"required_credentials_added":false');
    const hers = await callWith(server, await server.key({ user: 'ada' }), 'get_credential_status', input);
    expect(hers.text).toContain('"required_credentials_added":true');
  });

  test('a token with an organization acts in that organization', async () => {
    const { server, authorization } = await startBoth();
    const key = await server.key({ organization: 'acme', user: 'ada' });
    const token = await authorization.token({ organization: 'acme' });
    await callWith(server, token, 'store_credential', DANUBE_CALL);
    const input = { service_id: DANUBE_CALL.service_id };
    const there = await callWith(server, key, 'get_credential_status', input);
    expect(there.text).toContain('"required_credentials_added":true');
    const elsewhere = await callWith(server, await authorization.token(), 'get_credential_status', input);
    expect(elsewhere.text).toContain('"required_credentials_added":false');
  });

  test.each<[string, Changes]>([
    ['scope', { scope: 'credentials:read' }],
    ['scp as a string', { scope: undefined, scp: 'credentials:read profile' }],
    ['scp as a list', { scope: undefined, scp: ['credentials:read', 7, null] }],
  ])('a token may use only the scopes in its %s', async (_claim, claims) => {
    const { server, authorization } = await startBoth();
    const token = await authorization.token(claims);
    expect((await callWith(server, token)).text).toContain('"structuredContent"');
    const refused = await callWith(server, token, 'store_credential', DANUBE_CALL);
    expect(refused.text).toContain('FORBIDDEN: This needs the scope credentials:write');
  });

  test.each<[string, Changes, Changes]>([
    ['has an audience among others', { aud: ['elsewhere', AUDIENCE] }, {}],
    ['has just expired, by a clock that is a little ahead', { exp: inSeconds(-10) }, {}],
    ['becomes valid soon, by a clock that is a little behind', { nbf: inSeconds(10) }, {}],
    ['has the type JWT', {}, { typ: 'JWT' }],
    ['has no type', {}, { typ: undefined }],
  ])('a token is accepted that %s', async (_what, claims, header) => {
    const { server, authorization } = await startBoth();
    expect((await callWith(server, await authorization.token(claims, header))).status).toBe(200);
  });
});

describe('an invalid token', () => {
  const refused: Readonly<Record<string, (both: Both) => Promise<string>>> = {
    'for another audience': ({ authorization }) => authorization.token({ aud: 'https://other.example' }),
    'for an audience that has ours as a prefix': ({ authorization }) =>
      authorization.token({ aud: `${AUDIENCE}/more` }),
    'without an audience': ({ authorization }) => authorization.token({ aud: undefined }),
    'of another issuer': ({ authorization }) => authorization.token({ iss: 'https://other.example' }),
    'without an issuer': ({ authorization }) => authorization.token({ iss: undefined }),
    'that has expired': ({ authorization }) => authorization.token({ exp: inSeconds(-60) }),
    'that never expires': ({ authorization }) => authorization.token({ exp: undefined }),
    'that is not valid yet': ({ authorization }) => authorization.token({ nbf: inSeconds(60) }),
    'without a subject': ({ authorization }) => authorization.token({ sub: undefined }),
    'with an unknown key id': ({ authorization }) => authorization.token({}, { kid: 'k99' }),
    'for another purpose': ({ authorization }) => authorization.token({}, { typ: 'logout+jwt' }),
    'of a type that is not a string': ({ authorization }) => authorization.token({}, { typ: 5 }),
    'that is bound to a key of its holder': ({ authorization }) =>
      authorization.token({ cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }),
    'with unknown critical headers': ({ authorization }) =>
      authorization.token({}, { crit: ['unheard_of'], unheard_of: 1 }),
    'with a changed payload': async ({ authorization }) => {
      const [header, , signature] = (await authorization.token()).split('.');
      const [, payload] = (await authorization.token({ sub: 'ben' })).split('.');
      return `${header}.${payload}.${signature}`;
    },
    'that is not signed': async ({ authorization }) => {
      const [, payload] = (await authorization.token()).split('.');
      return `${Buffer.from('{"alg":"none","kid":"k1"}').toString('base64url')}.${payload}.`;
    },
    'with an empty signature': async ({ authorization }) =>
      (await authorization.token()).replace(/[^.]+$/, ''),
    'that is signed with the public key as a secret': async ({ authorization }) => {
      const { issuer } = authorization;
      const secret = new TextEncoder().encode(await authorization.publicKey());
      return new SignJWT({ iss: issuer, aud: AUDIENCE, sub: 'ada', scope: SCOPE, exp: inSeconds(300) })
        .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
        .sign(secret);
    },
    'of another server with the name of our issuer': async ({ authorization }) => {
      const other = await startAuthorizationServer({ audience: AUDIENCE, user: 'ada', scope: SCOPE });
      onTestFinished(() => other.close());
      return other.token({ iss: authorization.issuer });
    },
    'that names its own key URL': async ({ authorization }) => {
      const other = await startAuthorizationServer({ audience: AUDIENCE, user: 'ada', scope: SCOPE });
      onTestFinished(() => other.close());
      return other.token({ iss: authorization.issuer }, { kid: 'k9', jku: other.jwks_url });
    },
    'that is not a JWT': async () => 'eyJhbGciOiJFUzI1NiJ9.eyJ4Ijox.AAAA',
  };

  test.each(Object.entries(refused))(
    'a token %s is 401 with the URL of the metadata',
    async (_what, make) => {
      const both = await startBoth();
      const token = await make(both);
      const { status, headers, text } = await callWith(both.server, token);
      expect(status, text).toBe(401);
      expect(headers.get('www-authenticate')).toContain(
        `resource_metadata="${both.server.url}/.well-known/oauth-protected-resource/mcp"`,
      );
      expect(JSON.parse(text)).toMatchObject({
        jsonrpc: '2.0',
        error: { data: { code: 'UNAUTHENTICATED' } },
      });
      for (const part of token.split('.').filter((one) => one.length > 4)) expect(text).not.toContain(part);
      expect(JSON.stringify(both.server.log)).not.toContain(token.split('.')[1]);
    },
  );

  test('only an expired token with a valid signature gets an error that mentions the expiry', async () => {
    const { server, authorization } = await startBoth();
    const { text } = await callWith(server, await authorization.token({ exp: inSeconds(-60) }));
    expect(text).toContain('The access token has expired.');
  });

  test.each(['access_token', 'token', 'api_key', 'key'])(
    'a valid token in the URL as %s is rejected',
    async (name) => {
      const { server, authorization } = await startBoth();
      const response = await fetch(`${server.mcp_url}?${name}=${await authorization.token()}`, {
        method: 'POST',
      });
      expect(response.status).toBe(401);
      expect(authorization.requested_paths).toStrictEqual([]);
    },
  );

  test('a valid token in an API key header is rejected', async () => {
    const { server, authorization } = await startBoth();
    const response = await fetch(server.mcp_url, {
      method: 'POST',
      headers: { 'X-API-Key': await authorization.token() },
    });
    expect(response.status).toBe(401);
  });

  test('a valid token is rejected if no issuer is configured', async () => {
    const { authorization } = await startBoth();
    const { status, headers } = await callWith(await startMcpServer(), await authorization.token());
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Bearer');
  });
});

describe('a valid token that grants nothing', () => {
  test.each<[string, Changes, string]>([
    ['with an invalid user name', { sub: '../../root' }, 'subject'],
    ['with the name of the local user', { sub: 'me' }, 'subject'],
    ['with an unknown organization', { organization: 'nowhere' }, 'organization'],
    ['with an invalid organization', { organization: ['local'] }, 'organization'],
    ['with an empty organization', { organization: '' }, 'organization'],
    ['with unknown scopes only', { scope: 'openid profile' }, 'scopes'],
    ['with no scopes', { scope: undefined }, 'scopes'],
    ['with scopes separated by commas', { scope: ['credentials:read'].join(',').concat(',x') }, 'scopes'],
  ])('a token %s is FORBIDDEN', async (_what, claims, named) => {
    const { server, authorization } = await startBoth();
    const { status, text } = await callWith(server, await authorization.token(claims));
    expect(status, text).toBe(403);
    expect(JSON.parse(text)).toMatchObject({ error: { data: { code: 'FORBIDDEN' } } });
    expect(text).toContain(named);
  });

  test('a token never grants org:admin', async () => {
    const { server, authorization } = await startBoth();
    const token = await authorization.token({ roles: ['org:admin'], permissions: 'org:admin', admin: true });
    const authenticate = await callerOf(server, authorization, token);
    expect([...(authenticate?.scopes ?? [])]).toStrictEqual(['credentials:read', 'credentials:write']);
  });
});

async function callerOf(server: McpTestServer, { issuer }: AuthorizationServer, token: string) {
  const { accessTokens } = await import('../../src/http/auth/access_tokens.ts');
  const { vault, now } = server.parts;
  const token_issuer = { issuer, audience: AUDIENCE, organization: 'local', jwks_url: undefined };
  return accessTokens(token_issuer, vault, now)(token, 'rest', 'r');
}
