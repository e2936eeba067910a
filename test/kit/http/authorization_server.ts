/**
 * A real OAuth authorization server, as far as a resource server sees of one: it publishes metadata and keys over HTTP
 * and signs tokens. It can be told to misbehave: to sign what it should not, to change its keys, to fall silent.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';

/** `undefined` takes away what is usually there. */
export type Changes = Readonly<Record<string, unknown>>;

export interface AuthorizationServer {
  /** As it stands in `iss`. */
  readonly issuer: string;
  readonly jwks_url: string;
  /** Paths that it was asked for, in order. */
  readonly requested_paths: readonly string[];
  /** A token for `audience` that is good for five minutes, but for what `claims` and `header` change or take away. */
  token(claims?: Changes, header?: Changes): Promise<string>;
  /** The public key that tokens are signed with now, in the form that public keys are handed about in (SPKI, PEM). */
  publicKey(): Promise<string>;
  /** From now on another key signs, and the one before is no longer published. */
  rotate(): Promise<void>;
  /** `true`: every request is answered with 503. */
  setSilent(silent: boolean): void;
  close(): Promise<void>;
}

export interface AuthorizationServerOptions {
  readonly audience: string;
  readonly user: string;
  readonly scope: string;
  /** Behind the host, as issuers of many tenants have it: `/tenant`. */
  readonly path?: string;
  /** Which of the two documents it publishes; `none`: neither. */
  readonly metadata?: 'oauth' | 'openid' | 'none';
  /** What its metadata says that it is, when that is not the truth. */
  readonly claimed_issuer?: string;
}

interface SigningKey {
  readonly kid: string;
  readonly alg: 'ES256';
  readonly private_key: CryptoKey;
  readonly public_key: CryptoKey;
}

/** Listens on loopback, on a free port. The caller closes it. */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions,
): Promise<AuthorizationServer> {
  const { path = '', metadata = 'oauth' } = options;
  const asked: string[] = [];
  let key = await newKey(1);
  let is_silent = false;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    asked.push(pathname);
    const document = is_silent ? undefined : await documentAt(pathname);
    response.writeHead(is_silent ? 503 : document === undefined ? 404 : 200, {
      'content-type': 'application/json',
    });
    response.end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const issuer = origin + path;
  const jwks_url = `${issuer}/keys`;

  async function documentAt(pathname: string): Promise<unknown> {
    if (pathname === `${path}/keys`)
      return { keys: [{ ...(await exportJWK(key.public_key)), kid: key.kid, alg: key.alg, use: 'sig' }] };
    const place =
      metadata === 'oauth'
        ? `/.well-known/oauth-authorization-server${path}`
        : `${path}/.well-known/openid-configuration`;
    if (metadata === 'none' || pathname !== place) return undefined;
    return { issuer: options.claimed_issuer ?? issuer, jwks_uri: jwks_url };
  }

  return {
    issuer,
    jwks_url,
    requested_paths: asked,
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
