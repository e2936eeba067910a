/** Why a provider returned no tokens. Has no text of the provider but its error code, and never a value. */

/**
 * `grant_refused`: it does not accept the refresh token, the code or the assertion (RFC 6749, section 5.2, `invalid_grant`).
 * `client_refused`: it does not accept the client, the scopes or the request. `failed`: an outage, a limit, a slow or an
 * unexpected response, independent of the credential. `polling`: the state of a device code, in `code` (RFC 8628, section 3.5).
 */
export type TokenFailure = 'grant_refused' | 'client_refused' | 'failed' | 'polling';

export class TokenRequestError extends Error {
  readonly failure: TokenFailure;
  readonly status: number | undefined;
  readonly retry_after_ms: number | undefined;
  /** The error code of the provider, of a closed list. */
  readonly code: string | undefined;

  constructor(
    failure: TokenFailure,
    message: string,
    facts: { readonly status?: number; readonly retry_after_ms?: number; readonly code?: string } = {},
  ) {
    super(message);
    this.failure = failure;
    this.status = facts.status;
    this.retry_after_ms = facts.retry_after_ms;
    this.code = facts.code;
  }
}

/** `bad_refresh_token` is that of GitHub, the others beside `invalid_grant` are those of Slack. */
const OF_GRANT = ['invalid_grant', 'bad_refresh_token', 'invalid_refresh_token', 'token_revoked'];
const OF_CLIENT = [
  'invalid_client',
  'unauthorized_client',
  'invalid_scope',
  'invalid_request',
  'unsupported_grant_type',
  'invalid_target',
  'incorrect_client_credentials',
  'bad_client_secret',
  'invalid_client_id',
];
const OF_DEVICE = ['authorization_pending', 'slow_down', 'access_denied', 'expired_token'];
/** Of an authorization response (RFC 6749, section 4.1.2.1). */
const OF_AUTHORIZATION = [
  'access_denied',
  'invalid_request',
  'unauthorized_client',
  'unsupported_response_type',
  'invalid_scope',
  'server_error',
  'temporarily_unavailable',
];

/** The error code of a callback; a text that is not one of RFC 6749 is not repeated. */
export function authorizationErrorCode(error: string): string {
  return OF_AUTHORIZATION.find((code) => code === error) ?? 'an error code that RFC 6749 does not have';
}

/** The failure that a response without tokens means. `error`: its error code, which may be any text. */
export function failureOf(
  status: number,
  error: string | undefined,
  retry_after_ms: number | undefined,
): TokenRequestError {
  const facts = { status, ...(retry_after_ms === undefined ? {} : { retry_after_ms }) };
  if (status === 429 || status >= 500)
    return new TokenRequestError('failed', `the provider responded with status ${status}`, facts);
  const known = [...OF_GRANT, ...OF_CLIENT, ...OF_DEVICE].find((code) => code === error);
  if (known === undefined)
    return new TokenRequestError('failed', `the provider returned no tokens (status ${status})`, facts);
  const message = `the provider refused the request: ${known}`;
  return new TokenRequestError(failureOfCode(known), message, { ...facts, code: known });
}

function failureOfCode(code: string): TokenFailure {
  if (OF_DEVICE.includes(code)) return 'polling';
  return OF_CLIENT.includes(code) ? 'client_refused' : 'grant_refused';
}
