/** Access tokens of a real authorization server: accepted and rejected tokens, and the caller that a token gives. */
import { createHash } from 'node:crypto';
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js';
import { SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SCOPES, type TokenIssuer } from '../../src/contract/caller.ts';
import { accessTokens } from '../../src/http/auth/access_tokens.ts';
import {
  type AuthorizationServer,
  type Changes,
  startAuthorizationServer,
} from '../kit/http/authorization_server.ts';
import { CLIENT_KINDS } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { DANUBE_CALL } from './calls.ts';
import { fetchIssuerDocument, type McpTestServer, startMcpServer } from './http_server.ts';
import {
  AUDIENCE,
  type Both,
  callWith,
  inSeconds,
  ORGANIZATION,
  SCOPE,
  startBoth,
  tokenIssuer,
} from './oauth_servers.ts';

describe('a valid token', () => {
  test.each(CLIENT_KINDS)('%s calls a tool with a valid token', async (kind) => {
    const { server, authorization } = await startBoth();
    const headers = { Authorization: `Bearer ${await authorization.token()}` };
    const client = await connectHttpClient(kind, server.mcp_url, headers);
    expect((await client.call('store_credential', DANUBE_CALL)).is_error).toBe(false);
    const { entries } = await server.vault.listAudit(operatorIn(server, ORGANIZATION), { action: 'store' });
    expect(entries[0]).toMatchObject({ user: tokenUser(authorization, 'ada'), edge: 'mcp' });
    await client.close();
  });

  test('the user of a token is never the user of an API key with the same name', async () => {
    const { server, authorization } = await startBoth();
    const key = await server.key({ organization: ORGANIZATION, user: 'ada' });
    await callWith(server, await authorization.token(), 'store_credential', DANUBE_CALL);
    const input = { service_id: DANUBE_CALL.service_id };
    const by_key = await callWith(server, key, 'get_credential_status', input);
    expect(by_key.text).toContain('"required_credentials_added":false');
    const by_token = await callWith(server, await authorization.token(), 'get_credential_status', input);
    expect(by_token.text).toContain('"required_credentials_added":true');
    await callWith(server, await authorization.token(), 'delete_credential', input);
    await callWith(server, key, 'store_credential', DANUBE_CALL);
    const after = await callWith(server, await authorization.token(), 'get_credential_status', input);
    expect(after.text).toContain('"required_credentials_added":false');
  });

  test('users of two issuers with the same subject are different users', async () => {
    const one = await startBoth();
    const other = await startBoth();
    const users = await Promise.all(
      [one, other].map(
        async ({ server, authorization }) =>
          (await callerOf(server, authorization, await authorization.token()))?.user,
      ),
    );
    expect(new Set(users).size).toBe(2);
    for (const user of users) expect(user).toMatch(/^oauth\/[0-9a-f]{12}\/ada$/);
  });

  test('no API key can be made for the name of a user from a token', async () => {
    const { server, authorization } = await startBoth();
    const user = tokenUser(authorization, 'ada');
    const created = server.key({ organization: ORGANIZATION, user });
    await expect(created).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('a subject that the operator mapped acts as that API-key user, and no other subject does', async () => {
    const { server, authorization } = await startBoth({}, { users: new Map([['auth0|7', 'ada']]) });
    const key = await server.key({ organization: ORGANIZATION, user: 'ada' });
    await callWith(server, key, 'store_credential', DANUBE_CALL);
    const input = { service_id: DANUBE_CALL.service_id };
    for (const [sub, is_added] of [
      ['auth0|7', true],
      ['ada', false],
      ['auth0|8', false],
    ] as const) {
      const token = await authorization.token({ sub });
      const { text } = await callWith(server, token, 'get_credential_status', input);
      expect(text, sub).toContain(`"required_credentials_added":${is_added}`);
    }
  });

  test('a token with an organization acts in that organization', async () => {
    const { server, authorization } = await startBoth({}, { organization: undefined });
    await server.key({ organization: 'initech', user: 'zoe' });
    const tokens = await Promise.all([
      authorization.token({ organization: 'initech' }),
      authorization.token({ organization: ORGANIZATION }),
    ]);
    const input = { service_id: DANUBE_CALL.service_id };
    await callWith(server, tokens[0], 'store_credential', DANUBE_CALL);
    const there = await callWith(server, tokens[0], 'get_credential_status', input);
    expect(there.text).toContain('"required_credentials_added":true');
    const elsewhere = await callWith(server, tokens[1], 'get_credential_status', input);
    expect(elsewhere.text).toContain('"required_credentials_added":false');
  });

  test.each<[string, Changes]>([
    ['scope', { scope: 'credentials:read' }],
    ['scp as a string', { scope: undefined, scp: 'credentials:read profile' }],
    ['scp as a list', { scope: undefined, scp: ['credentials:read', 7, null] }],
    [
      'scope, with the name of this server before it',
      { scope: `${AUDIENCE}/credentials:read other/credentials:write` },
    ],
  ])('a token may use only the scopes in its %s', async (_claim, claims) => {
    const { server, authorization } = await startBoth();
    const token = await authorization.token(claims);
    expect((await callWith(server, token)).text).toContain('"structuredContent"');
    const refused = await callWith(server, token, 'store_credential', DANUBE_CALL);
    expect(refused.text).toContain('FORBIDDEN: This needs the scope credentials:write');
  });

  test.each<[string, Changes, Changes, Partial<TokenIssuer>]>([
    ['has an audience among others', { aud: ['elsewhere', AUDIENCE] }, {}, {}],
    ['has just expired, by a clock that is a little ahead', { exp: inSeconds(-10) }, {}, {}],
    ['becomes valid soon, by a clock that is a little behind', { nbf: inSeconds(10) }, {}, {}],
    ['has the type application/at+jwt', {}, { typ: 'application/AT+JWT' }, {}],
    ['has the type JWT, where that is accepted', {}, { typ: 'JWT' }, { token_types: ['jwt'] }],
    ['has no type, where that is accepted', {}, { typ: undefined }, { token_types: ['at+jwt', 'none'] }],
    [
      'is valid as long as it may be',
      { iat: inSeconds(-3_000), exp: inSeconds(600) },
      {},
      { lifetime_max_seconds: 3_600 },
    ],
    ['is of a client for a user', { client_id: 'ci', azp: 'ci' }, {}, {}],
    [
      'is of a client for itself, where that is accepted',
      { sub: 'ci', client_id: 'ci' },
      {},
      { client_subjects: true },
    ],
    [
      'has no audience and is of a listed client',
      { aud: undefined, client_id: '7f3k', token_use: 'access' },
      { typ: undefined },
      { client_ids: ['other', '7f3k'], token_types: ['none'] },
    ],
  ])('a token is accepted that %s', async (_what, claims, header, settings) => {
    const { server, authorization } = await startBoth({}, settings);
    const { status, text } = await callWith(server, await authorization.token(claims, header));
    expect(status, text).toBe(200);
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
    'of the type JWT': ({ authorization }) => authorization.token({}, { typ: 'JWT' }),
    'without a type': ({ authorization }) => authorization.token({}, { typ: undefined }),
    'of a listed client for another audience': ({ authorization }) =>
      authorization.token({ aud: 'https://other.example', client_id: 'listed' }),
    'of an unlisted client without an audience': ({ authorization }) =>
      authorization.token({ aud: undefined, client_id: 'unlisted' }),
    'without an audience, of a client that is not a string': ({ authorization }) =>
      authorization.token({ aud: undefined, client_id: ['listed'] }),
    'that is an ID token': ({ authorization }) => authorization.token({ nonce: 'n', at_hash: 'h' }),
    'that is an ID token of Amazon Cognito': ({ authorization }) => authorization.token({ token_use: 'id' }),
    'that is valid for ten years': ({ authorization }) =>
      authorization.token({ exp: inSeconds(315_360_000) }),
    'that is valid for ten years and old': ({ authorization }) =>
      authorization.token({ iat: inSeconds(-90_000), exp: inSeconds(315_360_000) }),
    'that will be issued in ten years': ({ authorization }) =>
      authorization.token({ iat: inSeconds(315_360_000), exp: inSeconds(315_363_600) }),
    'without a time of issue': ({ authorization }) => authorization.token({ iat: undefined }),
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
      const both = await startBoth({}, { client_ids: ['listed'] });
      const token = await make(both);
      const { status, headers, text } = await callWith(both.server, token);
      expect(status, text).toBe(401);
      expect(headers.get('www-authenticate')).toContain(
        `resource_metadata="${both.server.url}/.well-known/oauth-protected-resource/mcp"`,
      );
      expect(headers.get('www-authenticate')).toContain('error="invalid_token"');
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
    expect(headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
  });
});

describe('a valid token that grants nothing', () => {
  test.each<[string, Changes, string]>([
    ['with an invalid user name', { sub: '../../root' }, 'subject'],
    ['of a client', { sub: 'ci', client_id: 'ci' }, 'KEYHOLD_OAUTH_CLIENT_SUBJECTS'],
    ['of a client that azp names', { sub: 'ci', azp: 'ci' }, 'KEYHOLD_OAUTH_CLIENT_SUBJECTS'],
    ['with the organization of the operator', { organization: 'local' }, 'organization'],
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

  test('a token without an organization is FORBIDDEN if the settings name none', async () => {
    const { server, authorization } = await startBoth({}, { organization: undefined });
    const { status, text } = await callWith(server, await authorization.token());
    expect(status, text).toBe(403);
    expect(text).toContain('KEYHOLD_OAUTH_ORGANIZATION');
  });

  test('a token grants no administration, no keys, no values and no audit log', async () => {
    const { server, authorization } = await startBoth();
    const scope = `${SCOPES.join(' ')} ${AUDIENCE}/audit:read`;
    const token = await authorization.token({
      scope,
      roles: ['org:admin'],
      permissions: 'org:admin',
      admin: true,
    });
    const caller = await callerOf(server, authorization, token);
    expect([...(caller?.scopes ?? [])]).toStrictEqual([
      'credentials:read',
      'credentials:write',
      'credentials:use',
      'stacks:write',
    ]);
  });

  test('a token without a known scope gets a 403 that names the scopes to request', async () => {
    const { server, authorization } = await startBoth();
    const { headers } = await callWith(server, await authorization.token({ scope: 'openid' }));
    expect(extractWWWAuthenticateParams(new Response(null, { headers }))).toMatchObject({
      error: 'insufficient_scope',
      scope: 'credentials:read credentials:write credentials:use stacks:write',
      resourceMetadataUrl: new URL(`${server.url}/.well-known/oauth-protected-resource/mcp`),
    });
  });

  test('a token with an unknown organization gets a 403 without a challenge, since no other token helps', async () => {
    const { server, authorization } = await startBoth();
    const { headers } = await callWith(server, await authorization.token({ organization: 'nowhere' }));
    expect(headers.get('www-authenticate')).toBeNull();
  });
});

async function callerOf(server: McpTestServer, { issuer }: AuthorizationServer, token: string) {
  return accessTokens(tokenIssuer({ issuer }), server.parts, fetchIssuerDocument)(token, 'rest', 'r');
}

/** The user of a subject, as audit entries name it. */
function tokenUser({ issuer }: AuthorizationServer, subject: string): string {
  return `oauth/${createHash('sha256').update(issuer).digest('hex').slice(0, 12)}/${subject}`;
}

function operatorIn(server: McpTestServer, organization: string) {
  return { ...server.caller(), organization };
}
