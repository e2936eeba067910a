/** An authorization server, a vault that accepts its tokens, and a call with one. */
import { onTestFinished } from 'vitest';
import type { TokenIssuer } from '../../src/contract/caller.ts';
import { TOKEN_LIFETIME_MAX_SECONDS } from '../../src/contract/limits.ts';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from '../kit/http/authorization_server.ts';
import { type McpTestServer, startMcpServer } from './http_server.ts';

export const AUDIENCE = 'https://vault.example/mcp';
/** The organization of tokens without the claim. */
export const ORGANIZATION = 'acme';
export const SCOPE = 'openid credentials:read credentials:write';

export interface Both {
  readonly server: McpTestServer;
  readonly authorization: AuthorizationServer;
}

/** The settings of an issuer, with the defaults of `keyhold serve`. */
export function tokenIssuer(given: Pick<TokenIssuer, 'issuer'> & Partial<TokenIssuer>): TokenIssuer {
  return {
    audience: AUDIENCE,
    client_ids: [],
    jwks_url: undefined,
    organization: ORGANIZATION,
    users: new Map(),
    client_subjects: false,
    token_types: ['at+jwt'],
    lifetime_max_seconds: TOKEN_LIFETIME_MAX_SECONDS,
    ...given,
  };
}

/** A vault that accepts the tokens of an authorization server, and that server. */
export async function startBoth(
  options: Partial<AuthorizationServerOptions> & {
    readonly with_jwks_url?: boolean;
    /** Default: unlimited. */
    readonly auth_failures_per_minute?: number;
  } = {},
  settings: Partial<TokenIssuer> = {},
): Promise<Both> {
  const { with_jwks_url = false, auth_failures_per_minute = 0, ...others } = options;
  const authorization = await startAuthorizationServer({
    audience: AUDIENCE,
    user: 'ada',
    scope: SCOPE,
    ...others,
  });
  onTestFinished(() => authorization.close());
  const { issuer, jwks_url } = authorization;
  const server = await startMcpServer({
    issuer: tokenIssuer({ issuer, jwks_url: with_jwks_url ? jwks_url : undefined, ...settings }),
    settings: { limits: { requests_per_minute: 0, auth_failures_per_minute } },
  });
  await server.key({ organization: ORGANIZATION, user: 'zoe' });
  return { server, authorization };
}

/** Calls a tool with `token` and returns HTTP status and body. */
export async function callWith(
  server: McpTestServer,
  token: string,
  tool = 'get_credential_status',
  input: unknown = {},
) {
  const response = await server.request('/mcp', {
    method: 'POST',
    key: token,
    headers: { accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: tool, arguments: input },
    }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** For claims: this many seconds from now. */
export const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
