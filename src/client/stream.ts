/** Reads the response of a service through the server while it arrives. Follows no redirect, which would send the API key elsewhere. */

import type { ServiceStream } from '../contract/call.ts';
import { CALL_HEADERS_HEADER, CALL_STATUS_HEADER } from '../contract/call_headers.ts';
import { KeyholdError, NOT_KEYHOLD, responseError } from './keyhold_error.ts';
import { connectionError } from './transport.ts';

/** The service may take as long as the server waits for it. */
export const CALL_TIMEOUT_MS = 5 * 60_000 + 10_000;
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

/** Rejects with KeyholdError unless the server has a response of the service. */
export async function sendForStream(request: Request, timeout_ms: number): Promise<ServiceStream> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeout_ms);
  try {
    const response = await fetch(request, { redirect: 'manual', signal: controller.signal });
    const status = Number(response.headers.get(CALL_STATUS_HEADER) ?? Number.NaN);
    if (!response.ok) throw responseError(response, await readError(response));
    if (!Number.isInteger(status))
      throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status: response.status });
    const { headers, hint } = parseHead(response.headers.get(CALL_HEADERS_HEADER) ?? '');
    return { status, headers, hint, body: readParts(response, controller, timer) };
  } catch (cause) {
    clearTimeout(timer);
    throw cause instanceof KeyholdError ? cause : connectionError(cause, request.method, timeout_ms);
  }
}

async function* readParts(
  { body }: Response,
  controller: AbortController,
  timer: ReturnType<typeof setTimeout>,
): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  try {
    for (let part = await reader?.read(); part !== undefined && !part.done; part = await reader?.read())
      yield part.value;
  } catch (cause) {
    throw new KeyholdError('UPSTREAM', BROKEN_OFF, { cause });
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

async function readError(response: Response): Promise<unknown> {
  const text = (await response.text()).slice(0, ERROR_MAX_BYTES);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The headers of the service, and the hint, as the server encodes them. */
function parseHead(text: string): Pick<ServiceStream, 'headers' | 'hint'> {
  try {
    const { headers, hint } = JSON.parse(decodeURIComponent(text));
    return { headers, hint };
  } catch (cause) {
    throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { cause });
  }
}
