/** Reads the response of a service through the server while it arrives. Follows no redirect, which would send the API key elsewhere. */
import { EGRESS_TOTAL_TIMEOUT_MS } from '../contract/limits.ts';
import type { ServiceStream } from '../contract/use/call.ts';
import { CALL_HEADERS_HEADER, CALL_STATUS_HEADER } from '../contract/use/call_headers.ts';
import { ResponseTimeoutError, readBody } from './bounded_fetch.ts';
import { KeyholdError, NOT_KEYHOLD, responseError } from './keyhold_error.ts';
import { assertNoRedirect, connectionError, parseJson } from './transport.ts';

/** Longer than the server waits for the service. */
export const CALL_TIMEOUT_MS = EGRESS_TOTAL_TIMEOUT_MS + 10_000;
/** An id or a UUID, which is a part of the path. */
const SERVICE_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const ERROR_MAX_BYTES = 64 * 1024;
const BROKEN_OFF = 'The response broke off before its end. The part before it is incomplete.';

/** Throws for anything but an id, which could lead to another path. */
export function callPath(service_id: string): string {
  if (typeof service_id === 'string' && SERVICE_ID_PATTERN.test(service_id))
    return `/v1/services/${service_id}/call`;
  throw new KeyholdError('INVALID_INPUT', 'service_id must be the id of a service.');
}

/** Rejects with KeyholdError unless the server has a response of the service. `timeout_ms` includes reading the body. */
export async function sendForStream(request: Request, timeout_ms: number): Promise<ServiceStream> {
  const controller = new AbortController();
  const { signal } = controller;
  const timer = setTimeout(() => controller.abort(new ResponseTimeoutError()), timeout_ms);
  const end = () => {
    clearTimeout(timer);
    controller.abort();
  };
  try {
    const response = await fetch(request, { redirect: 'manual', signal });
    assertNoRedirect(response);
    if (!response.ok) {
      const bytes = await readBody(response, ERROR_MAX_BYTES, signal);
      signal.throwIfAborted();
      throw responseError(response, parseJson(bytes));
    }
    const status = Number(response.headers.get(CALL_STATUS_HEADER) ?? Number.NaN);
    if (!Number.isInteger(status))
      throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status: response.status });
    const head = parseHead(response.headers.get(CALL_HEADERS_HEADER) ?? '');
    const body = readParts(response, signal, end);
    await body.next();
    return { status, ...head, body };
  } catch (cause) {
    end();
    throw cause instanceof KeyholdError ? cause : connectionError(cause, request.method, timeout_ms);
  }
}

/** Yields an empty part first: only a generator that was started runs its `finally` when it is returned. */
async function* readParts(
  { body }: Response,
  signal: AbortSignal,
  end: () => void,
): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  // Not left to `fetch`: Node 20 may ignore the signal after the response headers have arrived.
  signal.addEventListener('abort', () => reader?.cancel().catch(() => undefined));
  try {
    yield new Uint8Array();
    for (let part = await reader?.read(); part !== undefined && !part.done; part = await reader?.read())
      yield part.value;
    // The last read ends without an error if the timeout has cancelled it.
    signal.throwIfAborted();
  } catch (cause) {
    throw new KeyholdError('UPSTREAM', BROKEN_OFF, { cause });
  } finally {
    end();
  }
}

/** The headers of the service, and the next step, as the server encodes them. */
function parseHead(text: string): Omit<ServiceStream, 'status' | 'body'> {
  try {
    const { headers, hint, retry, retry_after } = JSON.parse(decodeURIComponent(text));
    return { headers, hint, retry, retry_after };
  } catch (cause) {
    throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { cause });
  }
}
