/**
 * Authenticates a request by the API key or bearer token that it presents, and by nothing else: no address, no cookie,
 * no default. Counts failed authentications per client address, but no outage of the store or of a key service.
 */
import type { Context } from 'hono';
import type { Caller, Edge } from '../../contract/caller.ts';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { PipelineEnv, RequestContext } from '../context.ts';
import { HttpError } from '../error_response.ts';
import type { RateLimiter } from './rate_limits.ts';

const KEY_HEADERS = ['x-api-key', 'danube-api-key'] as const;
/** token68 of RFC 9110. It has no blank and no comma, so two joined headers never match. */
const TOKEN_PATTERN = /^[A-Za-z0-9._~+/-]{1,8192}=*$/;
const BEARER_PATTERN = /^bearer +(\S+)$/i;
/** Of a key or token that is invalid, or that grants nothing here. */
const REJECTION_CODES: ReadonlySet<ErrorCode> = new Set(['UNAUTHENTICATED', 'FORBIDDEN']);

/**
 * Authenticates a bearer token that is not an API key. Resolves to `undefined` for a token of another kind; rejects with
 * VaultError UNAUTHENTICATED for an invalid token of its kind.
 */
export type Authenticate = (token: string, edge: Edge, request_id: string) => Promise<Caller | undefined>;

export class Authenticator {
  readonly #vault: Vault;
  readonly #failures: RateLimiter;
  readonly #others: readonly Authenticate[];

  constructor(vault: Vault, failures: RateLimiter, others: readonly Authenticate[]) {
    this.#vault = vault;
    this.#failures = failures;
    this.#others = others;
  }

  /**
   * Rejects with UNAUTHENTICATED or the error of an authenticator, and with 429 after too many failures. A valid key works
   * however many failures its address has (one machine, one NAT): keys cannot be guessed, with or without a limit.
   */
  async authenticate(c: Context<PipelineEnv>): Promise<Caller> {
    const { context } = c.env;
    try {
      const key = readPresentedKey((name) => c.req.header(name));
      if (key === undefined)
        throw new VaultError(
          'UNAUTHENTICATED',
          'A valid API key is needed: exactly one, as Authorization: Bearer KEY or X-API-Key: KEY.',
        );
      return await this.#callerOf(key.text, key.is_bearer, context);
    } catch (error) {
      const is_invalid = error instanceof VaultError && error.code === 'UNAUTHENTICATED';
      // Not for a request without a token (RFC 6750, section 3.1).
      if (is_invalid && BEARER_PATTERN.test(c.req.header('authorization') ?? ''))
        context.bearer_error = { error: 'invalid_token' };
      if (isFailedAuthentication(error)) this.#failures.count(context.address());
      throw error;
    }
  }

  async #callerOf(text: string, is_bearer: boolean, { group, request_id }: RequestContext) {
    for (const authenticate of is_bearer ? this.#others : []) {
      const caller = await authenticate(text, group.edge, request_id);
      if (caller !== undefined) return caller;
    }
    return this.#vault.api_keys.authenticate(text, group.edge, request_id);
  }
}

/**
 * Whether the client sent no valid key or token. An authenticator throws HttpError if the keys of its issuer cannot be fetched: any
 * token causes it. With any other error, such as UNAVAILABLE or LOCKED, the key may be valid: a 429 would hide the cause.
 */
function isFailedAuthentication(error: unknown): boolean {
  return error instanceof HttpError || (error instanceof VaultError && REJECTION_CODES.has(error.code));
}

interface PresentedKey {
  readonly text: string;
  /** Came as `Authorization: Bearer`, as a JWT does. */
  readonly is_bearer: boolean;
}

/** Returns `undefined` for a request with no key, an empty one, or two different keys. */
export function readPresentedKey(header: (name: string) => string | undefined): PresentedKey | undefined {
  const authorization = header('authorization');
  const is_bearer = authorization !== undefined;
  let text = is_bearer ? (BEARER_PATTERN.exec(authorization)?.[1] ?? '') : undefined;
  for (const name of KEY_HEADERS) {
    const other = header(name) ?? text;
    if (text !== undefined && other !== text) return undefined;
    text = other;
  }
  return text !== undefined && TOKEN_PATTERN.test(text) ? { text, is_bearer } : undefined;
}
