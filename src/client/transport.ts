/**
 * Sends requests so that an API key stays between its owner and the one server: no redirect is followed, no answer is
 * waited for without end or read without bound, and no failure quotes what was sent or received.
 */
import {
  type BufferedResponse,
  fetchBounded,
  ResponseTimeoutError,
  ResponseTooLargeError,
} from '../io/bounded_fetch.ts';
import { errnoOf } from '../io/errno.ts';
import { errorOfAnswer, KeyholdError, NOT_KEYHOLD } from './keyhold_error.ts';

/** Room for every service definition that a server may have. */
const ANSWER_MAX_BYTES = 32 * 1024 * 1024;

/**
 * Sends one request and reads its whole answer, which is JSON and tells of success; rejects with KeyholdError
 * otherwise. `timeout_ms` is for all of it.
 */
export async function send(request: Request, timeout_ms: number): Promise<Response> {
  let whole: BufferedResponse;
  try {
    whole = await fetchBounded(request, { time_ms: timeout_ms, body_bytes: ANSWER_MAX_BYTES });
  } catch (cause) {
    throw notReached(cause, timeout_ms);
  }
  const { response: answer, body } = whole;
  const { status, headers } = answer;
  const text = new TextDecoder().decode(body);
  // A browser shows status 0 for a redirect that it did not follow.
  if (answer.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    throw new KeyholdError(
      'UPSTREAM',
      'The server answered with a redirect, which is not followed: the API key would go with it. Use the address that it leads to, if you trust it.',
      { status },
    );
  }
  const json = parseJson(text);
  if (!answer.ok) throw errorOfAnswer(answer, json);
  if (typeof json !== 'object' || json === null) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status });
  return new Response(text, { status, headers });
}

/** `undefined` for what is no JSON. The text is quoted nowhere. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const CODES: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'Nothing listens at its address. Is it running, and is the port right?'],
  ['ENOTFOUND', 'There is no such host. Check the URL.'],
  ['EAI_AGAIN', 'Its name could not be looked up. Check the network.'],
  ['ECONNRESET', 'It closed the connection.'],
  ['UND_ERR_SOCKET', 'It closed the connection.'],
  ['EHOSTUNREACH', 'There is no way to its address. Check the network.'],
  ['ENETUNREACH', 'There is no way to its address. Check the network.'],
  // What comes instead is taken for the beginning of TLS: by OpenSSL 3.0 for its version, by 3.5 for its length.
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'It does not speak https at this port.'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'It does not speak https at this port.'],
  ['EPROTO', 'It does not speak https as it should.'],
]);
/** OpenSSL's words for a certificate that is not believed; the rest begin with CERT_ or ERR_TLS_. */
const CERTIFICATE_PATTERN = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/;

function notReached(cause: unknown, timeout_ms: number): KeyholdError {
  if (cause instanceof ResponseTooLargeError)
    return new KeyholdError('UPSTREAM', NOT_KEYHOLD, { cause, status: cause.status });
  const reached = (why: string) =>
    new KeyholdError('UNAVAILABLE', `The server could not be reached. ${why}`, { cause });
  if (cause instanceof ResponseTimeoutError)
    return reached(`It did not answer within ${timeout_ms / 1000} seconds.`);
  const code = codeOf(cause);
  if (CERTIFICATE_PATTERN.test(code)) {
    return reached(
      'Its certificate is not trusted here, so nothing was sent. Check the URL; for a certificate of your own, set NODE_EXTRA_CA_CERTS.',
    );
  }
  return reached(CODES.get(code) ?? 'Check the URL and the network.');
}

/** The code of the innermost cause that has one. */
function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  // A host with several addresses fails once for each.
  const inner = codeOf(thrown instanceof AggregateError ? thrown.errors[0] : thrown.cause);
  return inner === '' ? (errnoOf(thrown) ?? '') : inner;
}
