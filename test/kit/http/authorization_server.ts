/**
 * An OAuth authorization server as a resource server sees it: publishes metadata and keys over HTTP and signs tokens.
 * Tests can make it sign invalid tokens, rotate its key or fail.
 */
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface FixedResponse {
  readonly status: number;
  readonly body: string;
}

/** `undefined` removes a default claim or header. */
export type Changes = Readonly<Record<string, unknown>>;

export interface AuthorizationServer {
  /** The `iss` claim. */
  readonly issuer: string;
  readonly jwks_url: string;
  /** Paths that were requested, in order. */
  readonly requested_paths: readonly string[];
  /** A token for `audience`, valid for five minutes, with the changes in `claims` and `header`. */
  token(claims?: Changes, header?: Changes): Promise<string>;
  /** The current public key as PEM (SPKI). */
  publicKey(): Promise<string>;
  /** Replaces the signing key; the previous one is no longer published. */
  rotate(): Promise<void>;
  /** `true`: every response is 503. */
  setSilent(silent: boolean): void;
  /** Replaces the response at the address of the keys; `undefined`: the keys. */
  setKeysResponse(response: FixedResponse | undefined): void;
  close(): Promise<void>;
}

export interface AuthorizationServerOptions {
  readonly audience: string;
  readonly user: string;
  readonly scope: string;
  /** Path of the issuer, as with multi-tenant issuers: `/tenant`. */
  readonly path?: string;
  /** The metadata document that is published; `none`: neither. OpenID metadata is behind the path of the issuer. */
  readonly metadata?: 'oauth' | 'openid' | 'openid_before_path' | 'none';
  /** The response at the address of the OAuth metadata, instead of 404. "ISSUER" in it becomes the issuer. */
  readonly oauth_response?: FixedResponse;
  /** Serves https with this certificate. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Where clients reach the server, if not at its own address; without a port. */
  readonly origin?: string;
  /** The issuer in the metadata, if it differs from the real one. */
  readonly claimed_issuer?: string;
}

const METADATA_PATHS = {
  oauth: (path: string) => `/.well-known/oauth-authorization-server${path}`,
  openid: (path: string) => `${path}/.well-known/openid-configuration`,
  openid_before_path: (path: string) => `/.well-known/openid-configuration${path}`,
};

interface SigningKey {
  readonly kid: string;
  readonly alg: 'ES256';
  readonly private_key: CryptoKey;
  readonly public_key: CryptoKey;
}

/** Listens on a free port of 127.0.0.1. The caller closes it. */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions,
): Promise<AuthorizationServer> {
  const { path = '', metadata = 'oauth' } = options;
  const requested_paths: string[] = [];
  let key = await newKey(1);
  let is_silent = false;
  let keys_response: FixedResponse | undefined;
  const listener: RequestListener = async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    requested_paths.push(pathname);
    const fixed = fixedResponseAt(pathname);
    if (fixed !== undefined) {
      response.writeHead(fixed.status, { 'content-type': 'text/html' });
      response.end(fixed.body.replace('ISSUER', issuer));
      return;
    }
    const document = is_silent ? undefined : await documentAt(pathname);
    response.writeHead(is_silent ? 503 : document === undefined ? 404 : 200, {
      'content-type': 'application/json',
    });
    response.end(JSON.stringify(document ?? {}));
  };
  const server =
    options.tls === undefined ? createServer(listener) : createHttpsServer(options.tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = options.origin === undefined ? `http://127.0.0.1:${port}` : `${options.origin}:${port}`;
  const issuer = origin + path;
  const jwks_url = `${issuer}/keys`;

  function fixedResponseAt(pathname: string): FixedResponse | undefined {
    if (pathname === METADATA_PATHS.oauth(path)) return options.oauth_response;
    return pathname === `${path}/keys` ? keys_response : undefined;
  }

  async function documentAt(pathname: string): Promise<unknown> {
    if (pathname === `${path}/keys`)
      return { keys: [{ ...(await exportJWK(key.public_key)), kid: key.kid, alg: key.alg, use: 'sig' }] };
    if (metadata === 'none' || pathname !== METADATA_PATHS[metadata](path)) return undefined;
    return { issuer: options.claimed_issuer ?? issuer, jwks_uri: jwks_url };
  }

  return {
    issuer,
    jwks_url,
    requested_paths,
    token: (claims = {}, header = {}) => {
      const now = Math.floor(Date.now() / 1000);
      const { audience, user, scope } = options;
      const usual = { iss: issuer, aud: audience, sub: user, scope, iat: now, exp: now + 300 };
      return new SignJWT({ ...usual, ...claims })
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
        .sign(key.private_key, { crit: { unheard_of: true } });
    },
    publicKey: async () => {
      const { subtle } = globalThis.crypto;
      const der = Buffer.from(await subtle.exportKey('spki', key.public_key));
      return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
    },
    rotate: async () => {
      key = await newKey(Number(key.kid.slice(1)) + 1);
    },
    setSilent: (silent) => {
      is_silent = silent;
    },
    setKeysResponse: (response) => {
      keys_response = response;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function newKey(number: number): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { kid: `k${number}`, alg: 'ES256', private_key: privateKey, public_key: publicKey };
}
