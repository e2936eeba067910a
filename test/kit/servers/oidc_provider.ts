/**
 * A real authorization server, oidc-provider, on loopback under a name of the test, with rotation of refresh tokens, detection
 * of their reuse and PKCE. `approve` takes the role of the browser of a person who signs in and consents.
 */
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Configuration, default as Provider } from 'oidc-provider';
import { TEST_CA_CERT } from '../upstream/certificates.ts';
import { serveNames } from '../upstream/upstream.ts';

export const OIDC_HOST = 'auth.acme.test';
export const OIDC_ISSUER = `https://${OIDC_HOST}`;
export const OIDC_CLIENT = { id: 'keyhold-client', secret: 'client-secret-of-the-test' } as const;
export const OIDC_REDIRECT_URI = 'http://127.0.0.1:8787/dashboard/oauth/callback';

export interface OidcOptions {
  readonly access_token_seconds?: number;
  /** What the person decides. Default: all scopes. */
  readonly decide?: 'all' | 'fewer_scopes' | 'deny';
  readonly redirect_uris?: readonly string[];
  readonly client_auth?: 'client_secret_post' | 'client_secret_basic';
  readonly device_code_seconds?: number;
  /** Whether each refresh returns another refresh token, and the use of an earlier one ends the access. Default: yes. */
  readonly rotates?: boolean;
  /** Called before the response of the token endpoint is sent; the response waits for it. */
  readonly beforeTokens?: () => Promise<void>;
}

export interface OidcServer {
  /** Of 127.0.0.1. For a browser, which does not resolve the names of the test: see `startChromium`. */
  readonly port: number;
  readonly provider: Provider;
  /** Successful requests to the token endpoint by grant type, and failed ones by error. */
  readonly granted: Map<string, number>;
  readonly refused: Map<string, number>;
  /** Follows the redirects of an authorization URL as a browser; returns the URL of the callback, which it does not request. */
  approve(authorization_url: string): Promise<URL>;
  /** Enters the code of a device at its page as a person does, and confirms or declines it. */
  enterCode(verification_uri: string, user_code: string, decision?: 'confirm' | 'abort'): Promise<void>;
}

/** Port 443 of `auth.acme.test` leads to it until the test ends. */
export async function startOidcProvider(options: OidcOptions = {}): Promise<OidcServer> {
  const { access_token_seconds = 3600, decide = 'all', rotates = true, beforeTokens } = options;
  const { client_auth = 'client_secret_post', device_code_seconds = 600 } = options;
  const { default: OidcProvider } = await import('oidc-provider');
  const provider = new OidcProvider(OIDC_ISSUER, {
    clients: [
      {
        client_id: OIDC_CLIENT.id,
        client_secret: OIDC_CLIENT.secret,
        redirect_uris: [...(options.redirect_uris ?? [OIDC_REDIRECT_URI])],
        grant_types: [
          'authorization_code',
          'refresh_token',
          'client_credentials',
          'urn:ietf:params:oauth:grant-type:device_code',
        ],
        response_types: ['code'],
        token_endpoint_auth_method: client_auth,
        application_type: 'native',
      },
    ],
    scopes: ['openid', 'offline_access', 'read', 'write'],
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
    },
    rotateRefreshToken: rotates,
    issueRefreshToken: async () => true,
    pkce: { required: () => true },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: async (_context, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: {
      AccessToken: access_token_seconds,
      ClientCredentials: access_token_seconds,
      DeviceCode: device_code_seconds,
      Grant: 86_400,
      IdToken: 3_600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 3_600,
    },
    cookies: { keys: ['a key of the test'] },
    renderError: (context, { error }) => {
      context.body = error;
    },
  } satisfies Configuration);
  provider.proxy = true;
  const granted = new Map<string, number>();
  const refused = new Map<string, number>();
  const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  provider.on('grant.success', (context) => count(granted, String(context.oidc.params?.grant_type)));
  provider.on('grant.error', (_context, error) => count(refused, error.error));
  if (beforeTokens !== undefined)
    provider.use(async (context, next) => {
      await next();
      if (context.path === '/token') await beforeTokens();
    });
  const handle = provider.callback();
  const server = await serveNames([OIDC_HOST], async (message, response) => {
    if (!message.url?.startsWith('/interaction/')) return handle(message, response);
    const { prompt, params, session } = await provider.interactionDetails(message, response);
    const result = await interactionResult(provider, { prompt: prompt.name, params, session }, decide);
    await provider.interactionFinished(message, response, result, { mergeWithLastSubmission: true });
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    provider,
    granted,
    refused,
    approve: (url) => approveAt(port, url),
    enterCode: (uri, code, decision = 'confirm') => enterCodeAt(port, uri, code, decision),
  };
}

interface Interaction {
  readonly prompt: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly session?: { readonly accountId?: string } | undefined;
}

async function interactionResult(
  provider: Provider,
  { prompt, params, session }: Interaction,
  decide: NonNullable<OidcOptions['decide']>,
): Promise<Parameters<Provider['interactionFinished']>[2]> {
  if (decide === 'deny') return { error: 'access_denied', error_description: 'the person declined' };
  if (prompt === 'login') return { login: { accountId: 'person' } };
  const scopes = String(params.scope).split(' ');
  const grant = new provider.Grant({
    accountId: session?.accountId ?? 'person',
    clientId: String(params.client_id),
  });
  const kept = decide === 'fewer_scopes' ? scopes.filter((scope) => scope !== 'write') : scopes;
  grant.addOIDCScope(kept.join(' '));
  if (kept.length < scopes.length) grant.rejectOIDCScope('write');
  return { consent: { grantId: await grant.save() } };
}

const REDIRECTS_MAX = 10;

interface Page {
  /** The last URL, which is not requested if it is of another host. */
  readonly url: URL;
  readonly body: string;
}

/** A browser that keeps cookies and follows the redirects of the provider. */
class Browser {
  readonly #port: number;
  readonly #cookies = new Map<string, string>();

  constructor(port: number) {
    this.#port = port;
  }

  async open(start: URL, form?: Readonly<Record<string, string>>): Promise<Page> {
    let url = start;
    let body = '';
    let sent_form = form;
    for (let redirects = 0; redirects < REDIRECTS_MAX && url.host === OIDC_HOST; redirects++) {
      const response = await this.#send(url, sent_form);
      sent_form = undefined;
      body = response.body;
      for (const cookie of response.set_cookie) {
        const [name = '', value = ''] = cookie.split(';')[0]?.split('=') ?? [];
        this.#cookies.set(name, value);
      }
      if (response.location === undefined) break;
      url = new URL(response.location, url);
    }
    return { url, body };
  }

  #send(url: URL, form: Readonly<Record<string, string>> | undefined) {
    const cookie = [...this.#cookies].map((pair) => pair.join('=')).join('; ');
    const body = form === undefined ? undefined : new URLSearchParams(form).toString();
    const headers = {
      host: OIDC_HOST,
      cookie,
      ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    };
    const options = { host: '127.0.0.1', port: this.#port, servername: OIDC_HOST, ca: TEST_CA_CERT };
    const method = body === undefined ? 'GET' : 'POST';
    const path = url.pathname + url.search;
    return new Promise<{ location: string | undefined; set_cookie: string[]; body: string }>(
      (resolve, reject) => {
        const sent = request({ ...options, method, path, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () =>
            resolve({
              location: response.headers.location,
              set_cookie: response.headers['set-cookie'] ?? [],
              body: text,
            }),
          );
        });
        sent.on('error', reject).end(body);
      },
    );
  }
}

async function approveAt(port: number, authorization_url: string): Promise<URL> {
  const { url, body } = await new Browser(port).open(new URL(authorization_url));
  if (url.host === OIDC_HOST) throw new Error(`the provider did not redirect: ${body}`);
  return url;
}

async function enterCodeAt(
  port: number,
  verification_uri: string,
  user_code: string,
  decision: 'confirm' | 'abort',
): Promise<void> {
  const browser = new Browser(port);
  const url = new URL(verification_uri);
  const { body } = await browser.open(url);
  const xsrf = /name="xsrf" value="([^"]*)"/.exec(body)?.[1] ?? '';
  await browser.open(url, { xsrf, user_code, [decision]: 'yes' });
}
