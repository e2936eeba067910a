/**
 * A real OpenID Connect provider, oidc-provider, for the sign-in to the pages. It is on another site than the server of the test:
 * `localhost`, not 127.0.0.1. A person signs in at an HTML page of it, which a browser or `approve` completes.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Configuration, default as Provider } from 'oidc-provider';
import { onTestFinished } from 'vitest';
import type { IdentityProvider } from '../../../src/contract/caller.ts';
import { Secret } from '../../../src/contract/secret.ts';

/** The provider accepts every port of a redirect URI on loopback (RFC 8252, section 7.3). */
const REDIRECT_URI = 'http://127.0.0.1/dashboard/sign-in/oidc/callback';
export const SIGN_IN_CLIENT = { id: 'keyhold-pages', secret: 'secret-of-the-client-of-the-pages' } as const;
export const PUBLIC_CLIENT_ID = 'keyhold-public';

export type Claims = Readonly<Record<string, unknown>>;

export interface SignInProviderOptions {
  /** Replaces the ID token that the client receives. */
  readonly changeIdToken?: (issued: Claims, sign: SignIdToken) => string | Promise<string>;
}

/** Signs claims with the key of the provider; the header may have other parameters. */
export type SignIdToken = (claims: Claims, header?: Claims) => Promise<string>;

export interface SignInProvider {
  /** For `OidcClient`; the organization is `acme`. */
  readonly settings: IdentityProvider;
  /** Paths of all requests, in order. */
  readonly paths: readonly string[];
  /** Codes that were exchanged for tokens, and refused ones by their error. */
  readonly granted: () => number;
  readonly refused: readonly string[];
  /** Every response is 503 from then on; `false`: no more. */
  setDown(down: boolean): void;
  /** Completes the page of the provider as a browser without scripts; returns the URL of the callback, which it does not request. */
  approve(authorization_url: string, subject?: string): Promise<URL>;
  /** As `approve`, for a person who cancels. */
  decline(authorization_url: string): Promise<URL>;
}

/** Stops when the test ends. */
export async function startSignInProvider(options: SignInProviderOptions = {}): Promise<SignInProvider> {
  const { default: OidcProvider } = await import('oidc-provider');
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  const sign: SignIdToken = (claims, header = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(privateKey);
  const paths: string[] = [];
  const refused: string[] = [];
  let granted = 0;
  let is_down = false;
  let handle: ReturnType<Provider['callback']> | undefined;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', issuer);
    paths.push(pathname);
    if (is_down) return void response.writeHead(503).end();
    if (pathname.startsWith('/interaction/')) return showOrFinish(provider, request, response);
    handle ??= provider.callback();
    return handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
  const provider = new OidcProvider(issuer, configuration(jwk));
  provider.on('grant.success', () => {
    granted += 1;
  });
  provider.on('grant.error', (_context, error) => refused.push(error.error));
  const { changeIdToken } = options;
  provider.use(async (context, next) => {
    await next();
    const body = context.body as { id_token?: string } | undefined;
    if (context.path !== '/token' || body?.id_token === undefined || changeIdToken === undefined) return;
    const claims = JSON.parse(Buffer.from(body.id_token.split('.')[1] ?? '', 'base64url').toString());
    context.body = { ...body, id_token: await changeIdToken(claims, sign) };
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    settings: {
      issuer,
      client_id: SIGN_IN_CLIENT.id,
      client_secret: new Secret(SIGN_IN_CLIENT.secret),
      organization: 'acme',
      users: new Map(),
      name: 'Acme SSO',
      scopes: ['openid'],
    },
    paths,
    granted: () => granted,
    refused,
    setDown: (down) => {
      is_down = down;
    },
    approve: (url, subject = 'person-1') => completePage(url, issuer, { subject }),
    decline: (url) => completePage(url, issuer, { decline: 'yes' }),
  };
}

function configuration(jwk: object): Configuration {
  const client = {
    redirect_uris: [REDIRECT_URI],
    grant_types: ['authorization_code'],
    response_types: ['code' as const],
    application_type: 'native' as const,
  };
  return {
    clients: [
      {
        ...client,
        client_id: SIGN_IN_CLIENT.id,
        client_secret: SIGN_IN_CLIENT.secret,
        token_endpoint_auth_method: 'client_secret_basic',
      },
      { ...client, client_id: PUBLIC_CLIENT_ID, token_endpoint_auth_method: 'none' },
    ],
    jwks: { keys: [jwk] },
    scopes: ['openid'],
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: async (_context, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    // All that was requested is granted.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({
        accountId: oidc.session?.accountId ?? '',
        clientId: oidc.client?.clientId ?? '',
      });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
    cookies: { keys: ['a key of the test'] },
    ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600 },
    renderError: (context, { error }) => {
      context.body = error;
    },
  };
}

const PAGE = `<!doctype html><html lang="en"><title>Acme SSO</title><main><h1>Acme SSO</h1><form method="post">
<label>User <input name="subject" value="person-1"></label><button>Continue</button>
<button name="decline" value="yes">Cancel</button></form></main></html>`;

async function showOrFinish(
  provider: Provider,
  request: Parameters<Provider['interactionDetails']>[0],
  response: Parameters<Provider['interactionDetails']>[1],
): Promise<void> {
  const { prompt } = await provider.interactionDetails(request, response);
  // A native client needs the consent of the person each time.
  if (prompt.name === 'consent')
    return provider.interactionFinished(
      request,
      response,
      { consent: {} },
      { mergeWithLastSubmission: true },
    );
  if (request.method !== 'POST')
    return void response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE);
  let body = '';
  for await (const chunk of request) body += chunk;
  const fields = new URLSearchParams(body);
  const result =
    fields.get('decline') === 'yes'
      ? { error: 'access_denied' }
      : { login: { accountId: fields.get('subject') ?? '' } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const REQUESTS_MAX = 10;

async function completePage(start: string, issuer: string, fields: Record<string, string>): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = new URL(start);
  let body: URLSearchParams | undefined;
  for (let requests = 0; requests < REQUESTS_MAX && url.origin === issuer; requests++) {
    const headers = { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') };
    const method = body === undefined ? 'GET' : 'POST';
    const response = await fetch(url, { method, headers, redirect: 'manual', ...(body && { body }) });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    const text = await response.text();
    if (location === null && !text.includes('<form')) throw new Error(`the provider responded: ${text}`);
    body = location === null ? new URLSearchParams(fields) : undefined;
    if (location !== null) url = new URL(location, url);
  }
  return url;
}
