/**
 * The public keys of an authorization server: where they are is read from its metadata once, they themselves are kept
 * and read again when they are old or a token names a new one. An issuer that does not answer is asked seldom, so that
 * junk sent here does not become a flood there.
 */
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FlattenedJWSInput,
  type JWTHeaderParameters,
  type RemoteJWKSet,
} from 'jose';
import * as z from 'zod';
import { VaultError } from '../../contract/errors.ts';
import { fetchBounded, ResponseTimeoutError, ResponseTooLargeError } from '../../io/bounded_fetch.ts';
import { isSecureUrl } from '../../io/server_url.ts';

const DOCUMENT_LIMITS = { time_ms: 5_000, body_bytes: 256 * 1024 };
/** How long keys are trusted without asking again: also how long a withdrawn one goes on working. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
/** A token with an unknown key makes us ask again, but not sooner than this after the last time. */
const KEYS_COOLDOWN_MS = 5_000;

/** As much of RFC 8414 as is needed here. */
const Metadata = z.object({ issuer: z.string(), jwks_uri: z.string().refine(isSecureUrl) });

export class JwksClient {
  readonly #issuer: string;
  readonly #jwks_url: string | undefined;
  readonly #now: () => Date;
  #keys: Promise<RemoteJWKSet> | undefined;
  #failed_at_ms = Number.NEGATIVE_INFINITY;

  constructor(issuer: string, jwks_url: string | undefined, now: () => Date) {
    this.#issuer = issuer;
    this.#jwks_url = jwks_url;
    this.#now = now;
  }

  /** The key that a token names. Rejects with an error of jose when there is none, UNAVAILABLE when nobody can tell. */
  readonly find = async (header: JWTHeaderParameters, token: FlattenedJWSInput) => {
    try {
      this.#keys ??= this.#locate().catch((error: unknown) => {
        this.#keys = undefined;
        throw error;
      });
      return await (await this.#keys)(header, token);
    } catch (cause) {
      if (
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys ||
        cause instanceof errors.JOSENotSupported
      )
        throw cause;
      if (!this.#isCoolingDown()) this.#failed_at_ms = this.#now().getTime();
      throw new VaultError(
        'UNAVAILABLE',
        'Access tokens cannot be checked now: their issuer does not tell its keys. Try again soon, or use an API key.',
        { cause },
      );
    }
  };

  async #locate(): Promise<RemoteJWKSet> {
    const url = this.#jwks_url ?? (await this.#discover());
    return createRemoteJWKSet(new URL(url), {
      timeoutDuration: DOCUMENT_LIMITS.time_ms,
      cooldownDuration: KEYS_COOLDOWN_MS,
      cacheMaxAge: KEYS_MAX_AGE_MS,
      [customFetch]: (address, { headers }) => this.#read(address, headers),
    });
  }

  /** RFC 8414, then OpenID Connect Discovery, which puts its path behind that of the issuer. */
  async #discover(): Promise<string> {
    const { origin, pathname } = new URL(this.#issuer);
    const path = pathname.replace(/\/$/, '');
    const places = [
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}${path}/.well-known/openid-configuration`,
    ];
    for (const place of places) {
      const response = await this.#read(place, new Headers({ accept: 'application/json' }));
      if (response.status !== 200) continue;
      const { issuer, jwks_uri } = Metadata.parse(await response.json());
      // Otherwise one tenant of a shared server could speak for another (RFC 8414, section 3.3).
      if (issuer !== this.#issuer) throw fault('The metadata is of another issuer.');
      return jwks_uri;
    }
    throw fault('The issuer has no metadata.');
  }

  /** Fetches a small document, unless the issuer was of no use a moment ago. */
  readonly #read = async (url: string, headers: Headers) => {
    if (this.#isCoolingDown()) throw fault('The issuer was of no use a moment ago.');
    const { response: head, body } = await fetchBounded(new Request(url, { headers }), DOCUMENT_LIMITS).catch(
      refused,
    );
    if (head.status >= 500) throw fault('The issuer is in trouble.');
    return new Response(body, { status: head.status });
  };

  #isCoolingDown(): boolean {
    return this.#now().getTime() - this.#failed_at_ms < KEYS_COOLDOWN_MS;
  }
}

function refused(cause: unknown): never {
  if (cause instanceof ResponseTooLargeError) throw fault('The document is too large.');
  if (cause instanceof ResponseTimeoutError) throw fault('The issuer takes too long.');
  throw cause;
}

/** For the log: what stands in another kind of error is not written there. */
function fault(message: string): VaultError {
  return new VaultError('UPSTREAM', message);
}
