/** Messages for the errors of connections. No text of a server is repeated. */
import { type NextStep, VaultError } from '../contract/errors.ts';

/** For requests after `Egress.close`. */
export const CLOSED_MESSAGE = 'Keyhold is shutting down. Try again when it runs.';
/** Of a socket that has received more than it may. */
export const TOO_LARGE_CODE = 'ERR_KEYHOLD_TOO_LARGE';
const CLOSED = 'The service closed the connection before it responded.';
const CLOSED_IN_BODY = 'The service closed the connection in the middle of its response.';
const UNTRUSTED =
  'The certificate of the service is of an authority that is not trusted. An operator can trust it with KEYHOLD_EGRESS_CA.';

/** Nothing was sent, or a write may have been made. */
const AGAIN: NextStep = {
  next: 'Repeat the call later. Before you repeat a write, check whether it was made.',
  retry: true,
};
const NO_RETRY: NextStep = { next: 'Tell the user; do not retry.', retry: false };
const TRUST: NextStep = {
  next: 'Tell the user: nothing was sent. An operator can trust the certificate with KEYHOLD_EGRESS_CA.',
  retry: false,
};
const UNREACHABLE = 'The service cannot be reached from here.';
const SHUTDOWN: readonly [string, NextStep] = [
  CLOSED_MESSAGE,
  { next: 'Repeat the call when Keyhold runs again.', retry: true },
];

/** Codes of Node.js and undici, and of OpenSSL as Node.js names them. */
const MESSAGES: Readonly<Record<string, readonly [message: string, step: NextStep]>> = {
  ECONNREFUSED: ['The service refused the connection.', AGAIN],
  ECONNRESET: [CLOSED, AGAIN],
  EPIPE: [CLOSED, AGAIN],
  EHOSTUNREACH: [UNREACHABLE, AGAIN],
  ENETUNREACH: [UNREACHABLE, AGAIN],
  ETIMEDOUT: ['The service did not accept the connection in time.', AGAIN],
  UND_ERR_CONNECT_TIMEOUT: ['The service did not accept the connection in time.', AGAIN],
  UND_ERR_HEADERS_TIMEOUT: ['The service did not respond in time.', AGAIN],
  UND_ERR_BODY_TIMEOUT: ['The service stopped in the middle of its response.', AGAIN],
  UND_ERR_SOCKET: [CLOSED, AGAIN],
  UND_ERR_HEADERS_OVERFLOW: ['The headers of the response are larger than the limit.', NO_RETRY],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['The response has another length than its Content-Length.', AGAIN],
  [TOO_LARGE_CODE]: ['The service sent more than the limit.', NO_RETRY],
  UND_ERR_ABORTED: ['The request was cancelled.', AGAIN],
  UND_ERR_CLOSED: SHUTDOWN,
  UND_ERR_DESTROYED: SHUTDOWN,
  CERT_HAS_EXPIRED: ['The certificate of the service has expired.', NO_RETRY],
  CERT_NOT_YET_VALID: [
    'The certificate of the service is not valid yet. Check the clock of this machine.',
    NO_RETRY,
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: ['The certificate of the service is for another host.', NO_RETRY],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    'The certificate of the service is self-signed. An operator can trust it with KEYHOLD_EGRESS_CA.',
    TRUST,
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [UNTRUSTED, TRUST],
  UNABLE_TO_GET_ISSUER_CERT: [UNTRUSTED, TRUST],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [UNTRUSTED, TRUST],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [UNTRUSTED, TRUST],
};

/** The error for anything that a connection threw. `part`: the part of the response that was being read. */
export function egressError(cause: unknown, part: 'head' | 'body' = 'head'): VaultError {
  if (cause instanceof VaultError) return cause;
  for (let error: unknown = cause; error instanceof Error; error = error.cause) {
    const code = Reflect.get(error, 'code');
    const [message, step] = (typeof code === 'string' ? MESSAGES[code] : undefined) ?? [];
    if (message === CLOSED && part === 'body')
      return new VaultError('UPSTREAM', CLOSED_IN_BODY, { ...step, cause });
    if (message !== undefined) return new VaultError('UPSTREAM', message, { ...step, cause });
    if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED')
      return new VaultError('INVALID_INPUT', 'The request has a path or a header that cannot be sent.', {
        cause,
      });
    // Of OpenSSL, such as ERR_SSL_WRONG_VERSION_NUMBER. EPROTO: one that Node.js has no name for.
    if (typeof code === 'string' && /^(?:ERR_SSL_.*|EPROTO)$/.test(code))
      return new VaultError(
        'UPSTREAM',
        'The TLS handshake with the service failed. Check that its host and port support TLS 1.2 or later.',
        { ...NO_RETRY, cause },
      );
    if (error.name === 'HTTPParserError')
      return new VaultError('UPSTREAM', 'The response of the service is not valid HTTP.', {
        ...NO_RETRY,
        cause,
      });
    if (error.name === 'TimeoutError')
      return new VaultError('UPSTREAM', 'The service did not respond in time.', { ...AGAIN, cause });
    if (error.name === 'AbortError')
      return new VaultError('UPSTREAM', 'The request was cancelled.', { ...AGAIN, cause });
  }
  return new VaultError('UPSTREAM', 'The request to the service failed.', { ...AGAIN, cause });
}
