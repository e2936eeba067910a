/** Which finding an error of a connection is. Texts of servers decide nothing here. */
import { VaultError } from '../contract/errors.ts';
import type { TestReason } from '../contract/use/test_result.ts';
import type { Finding } from './probe.ts';

/** Codes of Node.js, OpenSSL and undici. */
const REASON_OF_CODE: ReadonlyMap<string, TestReason> = new Map([
  ['ENOTFOUND', 'unknown_host'],
  ['EAI_AGAIN', 'unknown_host'],
  ['ECONNREFUSED', 'connection_refused'],
  ['ETIMEDOUT', 'timed_out'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timed_out'],
  ['UND_ERR_HEADERS_TIMEOUT', 'timed_out'],
  ['UND_ERR_BODY_TIMEOUT', 'timed_out'],
  ['EHOSTUNREACH', 'unreachable'],
  ['ENETUNREACH', 'unreachable'],
  ['ECONNRESET', 'unreachable'],
  ['EPIPE', 'unreachable'],
  ['UND_ERR_SOCKET', 'unreachable'],
  ['CERT_HAS_EXPIRED', 'certificate_expired'],
  ['CERT_NOT_YET_VALID', 'certificate_expired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate_wrong_host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate_untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate_untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'certificate_untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate_untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate_untrusted'],
]);

/**
 * The finding for an error of a connection or of a driver, with the checks before it. Rethrows a VaultError that is not about the
 * server, such as RATE_LIMITED or INVALID_INPUT; all else is `unexpected_response`.
 */
export function findingOf(error: unknown, checked: readonly string[] = []): Finding {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code: unknown = Reflect.get(cause, 'code');
    const reason = typeof code === 'string' ? REASON_OF_CODE.get(code) : undefined;
    if (reason !== undefined) return { reason, checked };
    if (cause.name === 'TimeoutError' || cause.name === 'AbortError') return { reason: 'timed_out', checked };
    if (typeof code === 'string' && /^(?:ERR_SSL_.*|EPROTO)$/.test(code))
      return { reason: 'tls_unavailable', checked };
  }
  if (error instanceof VaultError) {
    if (error.code !== 'UPSTREAM') throw error;
    return { reason: 'unreachable', checked };
  }
  return { reason: 'unexpected_response', checked };
}
