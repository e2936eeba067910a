/**
 * The public keys of an authorization server (JWKS). Reads their URL from the issuer's metadata once, and fetches them
 * again when they are old or a token names an unknown one. Limits requests to a failing issuer, so that a flood of
 * invalid tokens does not become a flood of requests to it.
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
import type { TokenIssuer } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import { isSecureUrl } from '../../io/server_url.ts';
import { HttpError } from '../error_response.ts';

const DOCUMENT_LIMITS = { time_ms: 5_000, body_bytes: 256 * 1024 };
/** Also how long a withdrawn key continues to work. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
/** The minimum time between two fetches, after an unknown key or a failure. */
const COOLDOWN_MS = 5_000;

/** Sends a GET request and follows no redirect. Rejects if there is no response, or one past the limits. */
export type FetchDocument = (
  url: string,
  headers: Readonly<Record<string, string>>,
  limits: { readonly time_ms: number; readonly body_bytes: number },
) => Promise<{ readonly status: number; readonly body: Uint8Array }>;

/** A part of RFC 8414. */
const Metadata = z.object({ issuer: z.string(), jwks_uri: z.string().refine(isSecureUrl) });

export class JwksClient {
  readonly #issuer: Pick<TokenIssuer, 'issuer' | 'jwks_url'>;
  readonly #log: Pick<Logger, 'error'>;
  readonly #fetchDocument: FetchDocument;
  #keys: Promise<RemoteJWKSet> | undefined;
  #failed_at_ms = Number.NEGATIVE_INFINITY;
  #fetched_at_ms = Number.NEGATIVE_INFINITY;

  constructor(
    issuer: Pick<TokenIssuer, 'issuer' | 'jwks_url'>,
    log: Pick<Logger, 'error'>,
    fetchDocument: FetchDocument,
  ) {
    this.#issuer = issuer;
    this.#log = log;
    this.#fetchDocument = fetchDocument;
  }

  /** Resolves to the key of a token. Rejects with jose's error for an unknown key, 503 if a fetch fails. */
  readonly find = async (header: JWTHeaderParameters, token: FlattenedJWSInput) => {
    try {
      this.#keys ??= this.#locate().catch((error: unknown) => {
        this.#keys = undefined;
        throw error;
      });
      const keys = await this.#keys;
      if (this.#isOlderThan(KEYS_MAX_AGE_MS)) await this.#reload(keys);
      return await keys(header, token).catch(async (error: unknown) => {
        if (!(error instanceof errors.JWKSNoMatchingKey && this.#isOlderThan(COOLDOWN_MS))) throw error;
        await this.#reload(keys);
        return keys(header, token);
      });
    } catch (cause) {
      if (
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys ||
        cause instanceof errors.JOSENotSupported
      )
        throw cause;
      throw this.#unavailableError(cause);
    }
  };

  /** Logs a failure of the issuer once per cooldown: anybody can send tokens that need its keys. */
  #unavailableError(cause: unknown): HttpError {
    if (!this.#isCoolingDown()) {
      this.#failed_at_ms = performance.now();
      this.#log.error({ failure: describeFailure(cause) }, 'the keys of the token issuer cannot be fetched');
    }
    const wait_ms = this.#failed_at_ms + COOLDOWN_MS - performance.now();
    return new HttpError(
      503,
      'UNAVAILABLE',
      'Access tokens cannot be checked now: the keys of their issuer cannot be fetched. Try again soon, or use an API key.',
      { 'Retry-After': String(Math.max(1, Math.ceil(wait_ms / 1000))) },
    );
  }

  async #locate(): Promise<RemoteJWKSet> {
    const url = this.#issuer.jwks_url ?? (await this.#discover());
    return createRemoteJWKSet(new URL(url), {
      timeoutDuration: DOCUMENT_LIMITS.time_ms,
      // jose measures both by the system clock, which may be set back. `find` reloads instead.
      cooldownDuration: Number.POSITIVE_INFINITY,
      cacheMaxAge: Number.POSITIVE_INFINITY,
      [customFetch]: (address, { headers }) => this.#fetchKeys(address, headers),
    });
  }

  /**
   * Reads the metadata at the first address that has it. Issuers publish it at one of these and may respond with anything
   * at the others: a page, an error, or metadata without keys.
   */
  async #discover(): Promise<string> {
    let problem = '';
    for (const url of metadataUrls(this.#issuer.issuer)) {
      const { status, body } = await this.#read(url, { accept: 'application/json' });
      const metadata = status === 200 ? Metadata.safeParse(parseJson(body)) : undefined;
      // Otherwise one tenant of a shared server could impersonate another (RFC 8414, section 3.3).
      if (metadata?.success && metadata.data.issuer === this.#issuer.issuer) return metadata.data.jwks_uri;
      problem = metadata?.success
        ? 'The metadata is of another issuer.'
        : 'The issuer has no metadata with jwks_uri.';
    }
    throw upstreamError(problem);
  }

  async #fetchKeys(url: string, headers: Headers): Promise<Response> {
    const { status, body } = await this.#read(url, Object.fromEntries(headers));
    if (status >= 500) throw upstreamError('The issuer responds with a server error.');
    return new Response(body, { status });
  }

  /** A response without a valid key set does not count as a fetch: jose would go on with the keys that it has. */
  async #reload(keys: RemoteJWKSet): Promise<void> {
    const started_ms = performance.now();
    await keys.reload();
    this.#fetched_at_ms = started_ms;
  }

  #isOlderThan(age_ms: number): boolean {
    return performance.now() - this.#fetched_at_ms > age_ms;
  }

  async #read(
    url: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly body: Uint8Array }> {
    if (this.#isCoolingDown()) throw upstreamError('The issuer failed less than 5 seconds ago.');
    return this.#fetchDocument(url, headers, DOCUMENT_LIMITS);
  }

  #isCoolingDown(): boolean {
    return performance.now() - this.#failed_at_ms < COOLDOWN_MS;
  }
}

/**
 * RFC 8414, section 3.1, and OpenID Connect Discovery, section 4: the one inserts its path before that of the issuer, the
 * other appends it; some issuers do the one with the name of the other (RFC 8414, section 5).
 */
function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const urls = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/openid-configuration${path}`,
  ];
  return [...new Set(urls)];
}

/** Returns undefined for a document that is not JSON. */
function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

/** For the log, which contains the message of a VaultError but not of other errors. */
function upstreamError(message: string): VaultError {
  return new VaultError('UPSTREAM', message);
}
