/**
 * Turns what was thrown into the answer that the caller gets, in the way of the area it was thrown in. Knows what may
 * be shown; the cause goes to the log, without what it may quote.
 */
import { HTTPException } from 'hono/http-exception';
import type * as z from 'zod';
import { toPublicError, type VaultError } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { RequestContext } from './context.ts';
import type { ErrorResponse } from './dialect.ts';
import { HttpError } from './errors.ts';

/** Whoever kept the vault busy is through by then: a write takes milliseconds. */
const BUSY_RETRY_S = '1';

/** Never throws. */
export function toErrorResponse(exchange: RequestContext, thrown: unknown, log: Logger): Response {
  const failure = thrown instanceof HTTPException ? ofLibrary(thrown) : thrown;
  const error = toPublicError(failure, exchange.request_id);
  exchange.code = error.code;
  if (error.code === 'INTERNAL' || error.code === 'CORRUPT' || error.code === 'UNAVAILABLE') {
    const { request_id, route } = exchange;
    log.error({ request_id, route, code: error.code, failure: describeFailure(failure) }, 'request failed');
  }
  // Every other reason lasts until somebody mends it.
  if (error.code === 'UNAVAILABLE' && error.reason === 'busy')
    exchange.headers.set('Retry-After', BUSY_RETRY_S);
  if (failure instanceof HttpError) {
    for (const [name, value] of Object.entries(failure.headers)) exchange.headers.set(name, value);
  }
  return asResponse(
    exchange.area.error(error, failure instanceof HttpError ? failure.http_status : undefined),
  );
}

/** The answer to a body that is no JSON, or none that is taken. */
export function invalidBodyResponse(exchange: RequestContext, fault: string): Response {
  exchange.code = 'INVALID_INPUT';
  const issue: z.core.$ZodIssue = { code: 'custom', path: [], message: fault, input: undefined };
  return asResponse(exchange.area.invalid({ target: 'body', issues: [issue] }, exchange.request_id));
}

export function asResponse({ status, body }: ErrorResponse): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
}

/** What the HTTP libraries refuse; their words are not passed on. */
function ofLibrary({ status, cause }: HTTPException): VaultError | Error {
  if (status >= 500) return new Error('the HTTP library failed', { cause });
  if (status === 415) return new HttpError(415, 'INVALID_INPUT', 'A body must be application/json.');
  return new HttpError(
    status,
    'INVALID_INPUT',
    'The request cannot be read. Check its body and its headers.',
  );
}
