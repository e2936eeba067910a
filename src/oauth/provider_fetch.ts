/**
 * The requests of openid-client to a provider, sent through the egress to an address that was checked. Bounds time and size,
 * follows no redirect, and corrects responses that providers send otherwise than RFC 6749, section 5, has them.
 */
import type { CustomFetch } from 'openid-client';
import { VaultError } from '../contract/errors.ts';
import { TOKEN_REQUEST_TIMEOUT_MS, TOKEN_RESPONSE_MAX_BYTES } from '../contract/limits.ts';
import { msUntil } from '../contract/timestamp.ts';
import { decodeContent } from '../egress/decoder.ts';
import type { Egress, EgressTarget } from '../egress/egress.ts';
import { failureOf, TokenRequestError } from './token_request_error.ts';

export interface ProviderFetch {
  readonly fetch: CustomFetch;
  /** Why the last request returned nothing; `undefined`: it did. */
  failure(): TokenRequestError | undefined;
  /** The JSON object of the last response, as the provider sent it. */
  received(): Readonly<Record<string, unknown>>;
}

const DECODE_RATIO_MAX = 100;
const RETRY_AFTER_MAX_MS = 3_600_000;

/** `format`: of the bodies of requests. Every request must be for the origin of `target`. */
export function providerFetch(egress: Egress, target: EgressTarget, format: 'form' | 'json'): ProviderFetch {
  let failure: TokenRequestError | undefined;
  let received: Record<string, unknown> = {};
  const send: CustomFetch = async (address, { method, headers, body }) => {
    const url = new URL(address);
    if (url.origin !== target.origin) throw new Error('a request for another origin');
    const text = body === null || body === undefined ? undefined : String(body);
    const is_json = format === 'json' && text !== undefined;
    const response = await egress.request(target, {
      method,
      path: url.pathname + url.search,
      headers: {
        ...headers,
        'user-agent': 'keyhold',
        'accept-encoding': 'gzip',
        ...(is_json ? { 'content-type': 'application/json' } : {}),
      },
      body: text === undefined ? undefined : Buffer.from(is_json ? jsonOf(text) : text),
      timeout_ms: TOKEN_REQUEST_TIMEOUT_MS,
    });
    const header = (name: string) => response.headers.find(([one]) => one === name)?.[1];
    const chunks: Buffer[] = [];
    try {
      const limits = { decoded_bytes: TOKEN_RESPONSE_MAX_BYTES, ratio: DECODE_RATIO_MAX };
      for await (const chunk of decodeContent(response.body, header('content-encoding'), limits))
        chunks.push(chunk);
    } finally {
      response.discard();
    }
    received = objectOf(Buffer.concat(chunks));
    const { status } = response;
    const is_success = status >= 200 && status < 300;
    const { error } = received;
    // Some providers report errors with the status 200.
    if (!is_success || error !== undefined || received.ok === false) {
      const code = typeof error === 'string' ? error : undefined;
      failure = failureOf(status, code, retryAfterMs(header('retry-after')));
      throw failure;
    }
    return Response.json(correctedTokens(received));
  };
  return {
    fetch: async (url, options) => {
      failure = undefined;
      received = {};
      try {
        return await send(url, options);
      } catch (error) {
        failure ??= toFailure(error);
        throw failure;
      }
    },
    failure: () => failure,
    received: () => received,
  };
}

function toFailure(error: unknown): TokenRequestError {
  // The messages of the egress have no text of the provider.
  const message = error instanceof VaultError ? error.message : 'the request failed';
  return new TokenRequestError('failed', message);
}

function jsonOf(form: string): string {
  return JSON.stringify(Object.fromEntries(new URLSearchParams(form)));
}

function objectOf(body: Buffer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : {};
  } catch {
    return {};
  }
}

/**
 * Every token is used as the definition has it, so that its type does not matter. The ID token is not used: the issuer
 * of most definitions is not known.
 */
function correctedTokens(received: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { id_token: _, expires_in, refresh_token, scope, ...rest } = received;
  const seconds = Number(expires_in);
  return {
    ...rest,
    ...('access_token' in rest ? { token_type: 'bearer' } : {}),
    ...(expires_in !== null && Number.isFinite(seconds) && seconds > 0 ? { expires_in: seconds } : {}),
    ...(typeof refresh_token === 'string' && refresh_token !== '' ? { refresh_token } : {}),
    ...(Array.isArray(scope) ? { scope: scope.join(' ') } : typeof scope === 'string' ? { scope } : {}),
  };
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1000 : msUntil(text, new Date());
  return Number.isNaN(ms) ? undefined : Math.min(RETRY_AFTER_MAX_MS, Math.max(0, ms));
}
