/**
 * Converts a thrown error into the error response of the request's route group. Only the public message is sent; the
 * cause is logged with any quoted input removed.
 */
import { HTTPException } from 'hono/http-exception';
import type * as z from 'zod';
import { NEW_KEY_SCOPES } from '../contract/caller.ts';
import { ERROR_TABLE, type ErrorCode, toPublicError, VaultError } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { RequestContext } from './context.ts';
import type { ErrorResponse } from './dialect.ts';

/** Retry-After for a busy database. Writes take milliseconds, so one second is enough. */
const BUSY_RETRY_S = '1';

/**
 * An error with an HTTP status other than that of its code in the error table, or with headers. It has no cause: the
 * code that throws it has logged the cause.
 */
export class HttpError extends VaultError {
  readonly http_status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    http_status: number,
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message);
    this.http_status = http_status;
    this.headers = headers;
  }
}

/** Never throws. */
export function toErrorResponse(context: RequestContext, thrown: unknown, log: Logger): Response {
  const failure = thrown instanceof HTTPException ? fromHono(thrown) : thrown;
  const error = toPublicError(failure, context.request_id);
  context.code = error.code;
  const http_error = failure instanceof HttpError ? failure : undefined;
  if (ERROR_TABLE[error.code].is_server_failure && http_error === undefined) {
    const { request_id, route } = context;
    log.error({ request_id, route, code: error.code, failure: describeFailure(failure) }, 'request failed');
  }
  // The other reasons of UNAVAILABLE last until the operator acts.
  if (error.code === 'UNAVAILABLE' && error.reason === 'busy')
    context.headers.set('Retry-After', BUSY_RETRY_S);
  if (error.retry_after !== undefined) context.headers.set('Retry-After', String(error.retry_after));
  const required_scope = failure instanceof VaultError ? failure.required_scope : undefined;
  if (required_scope?.split(' ').every(canTokenHave))
    context.bearer_error = { error: 'insufficient_scope', scope: required_scope };
  for (const [name, value] of Object.entries(http_error?.headers ?? {})) context.headers.set(name, value);
  return asResponse(context.group.error(error, http_error?.http_status));
}

/** Whether an access token can have the scope. Another one must not be requested (RFC 6750, section 3.1). */
function canTokenHave(scope: string): boolean {
  return NEW_KEY_SCOPES.some((one) => one === scope);
}

/** `violation`: why the body is not valid JSON. */
export function invalidBodyResponse(context: RequestContext, violation: string): Response {
  context.code = 'INVALID_INPUT';
  const issue: z.core.$ZodIssue = { code: 'custom', path: [], message: violation, input: undefined };
  const { group, route, request_id } = context;
  return asResponse(group.invalid({ target: 'body', issues: [issue], route }, request_id));
}

export function asResponse({ status, body, headers }: ErrorResponse): Response {
  if (headers !== undefined) return new Response(String(body), { status, headers });
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
}

/** Hono's own message is not sent: it may quote the request. */
function fromHono({ status, cause }: HTTPException): VaultError | Error {
  if (status >= 500) return new Error('the HTTP library failed', { cause });
  if (status === 415) return new HttpError(415, 'INVALID_INPUT', 'A body must be application/json.');
  return new HttpError(
    status,
    'INVALID_INPUT',
    'The request cannot be read. Check its body and its headers.',
  );
}
