/**
 * Sends the client's requests. Never follows a redirect, which would send the API key to another address; limits time and
 * size of a response; quotes no request or response in an error.
 */
import { errnoOf } from '../io/errno.ts';
import {
  type BufferedResponse,
  fetchBounded,
  ResponseTimeoutError,
  ResponseTooLargeError,
} from './bounded_fetch.ts';
import { KeyholdError, NOT_KEYHOLD, responseError } from './keyhold_error.ts';

/** Enough for all service definitions of a server. */
const RESPONSE_MAX_BYTES = 32 * 1024 * 1024;

/** A successful response with its parsed body. */
export interface JsonResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: object;
}

/** Rejects with KeyholdError for any other response. `timeout_ms` includes reading the body. */
export async function send(request: Request, timeout_ms: number): Promise<JsonResponse> {
  let buffered: BufferedResponse;
  try {
    buffered = await fetchBounded(request, { time_ms: timeout_ms, body_bytes: RESPONSE_MAX_BYTES });
  } catch (cause) {
    throw connectionError(cause, request.method, timeout_ms);
  }
  const { response } = buffered;
  const { status, headers } = response;
  assertNoRedirect(response);
  const body = parseJson(buffered.body);
  if (!response.ok) throw responseError(response, body);
  if (typeof body !== 'object' || body === null) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status });
  return { status, headers, body };
}

/** Throws UPSTREAM for a redirect. */
export function assertNoRedirect({ type, status }: Response): void {
  // Browsers report status 0 for a redirect that was not followed.
  if (type !== 'opaqueredirect' && (status < 300 || status >= 400)) return;
  throw new KeyholdError(
    'UPSTREAM',
    'The server responded with a redirect, which is not followed: it would send the API key to another address. If you trust that address, use it as the URL.',
    { status },
  );
}

/** Returns `undefined` for invalid JSON. A SyntaxError would quote the text. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

const ADVICE_BY_CODE: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'Nothing listens at its address. Is it running, and is the port right?'],
  ['ENOTFOUND', 'Unknown host. Check the URL.'],
  ['EAI_AGAIN', 'Its name could not be looked up. Check the network.'],
  ['EHOSTUNREACH', 'Its address is unreachable. Check the network.'],
  ['ENETUNREACH', 'Its address is unreachable. Check the network.'],
  // A plain HTTP response read as a TLS record: OpenSSL 3.0 rejects its version, 3.5 its length.
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'It does not support https at this port.'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'It does not support https at this port.'],
  ['EPROTO', 'The TLS handshake failed.'],
]);
/** The connection was closed, or its response was malformed or late. The request may have been sent. */
const NO_RESPONSE_PATTERN = /^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_(?:HEADERS|BODY)_TIMEOUT|HPE_.*)$/;
/** Error codes of OpenSSL and Node for an untrusted certificate. */
const CERTIFICATE_PATTERN = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/;

export function connectionError(cause: unknown, method: string, timeout_ms: number): KeyholdError {
  if (cause instanceof ResponseTooLargeError)
    return new KeyholdError('UPSTREAM', NOT_KEYHOLD, { cause, status: cause.status });
  const unavailable = (advice: string) =>
    new KeyholdError('UNAVAILABLE', `The server could not be reached. ${advice}`, { cause });
  if (cause instanceof ResponseTimeoutError)
    return noResponseError(`did not respond within ${timeout_ms / 1000} seconds`, method, cause);
  const code = codeOf(cause);
  if (NO_RESPONSE_PATTERN.test(code))
    return noResponseError('closed the connection before its response was complete', method, cause);
  if (CERTIFICATE_PATTERN.test(code)) {
    return unavailable(
      'Its certificate is not trusted here, so nothing was sent. Check the URL; for a certificate of your own, set NODE_EXTRA_CA_CERTS.',
    );
  }
  return unavailable(ADVICE_BY_CODE.get(code) ?? 'Check the URL and the network.');
}

/** The request may have been sent, so a change may have been made. */
function noResponseError(event: string, method: string, cause: unknown): KeyholdError {
  const advice =
    method === 'GET' ? 'Try again.' : 'The change may have been made: check it before you try again.';
  return new KeyholdError('UNAVAILABLE', `The server ${event}. ${advice}`, { cause });
}

/** Returns the error code of the innermost cause that has one, or an empty string. */
function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  // For a host with several addresses, undici reports one error per address.
  const inner = codeOf(thrown instanceof AggregateError ? thrown.errors[0] : thrown.cause);
  return inner === '' ? (errnoOf(thrown) ?? '') : inner;
}
