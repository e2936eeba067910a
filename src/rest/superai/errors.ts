/**
 * The error format of the SuperAI Flow dialect: `{"error":{"message","code","details"},"request_id"}`, and for invalid
 * input `{"detail":[{"loc","msg","type"}]}`.
 */
import { ERROR_TABLE, type ErrorCode, type PublicError } from '../../contract/errors.ts';
import type { ErrorResponse as HttpErrorResponse, InvalidInput } from '../../http/dialect.ts';
import { detailOf } from './pydantic_errors.ts';
import type { ErrorResponse } from './schemas.ts';

type SuperaiCode =
  | 'bad_request'
  | 'conflict'
  | 'forbidden'
  | 'internal_error'
  | 'not_found'
  | 'rate_limited'
  | 'unauthorized';

const CODES: Readonly<Record<ErrorCode, SuperaiCode>> = {
  INVALID_INPUT: 'bad_request',
  UNAUTHENTICATED: 'unauthorized',
  FORBIDDEN: 'forbidden',
  NOT_FOUND: 'not_found',
  CONFLICT: 'conflict',
  EXPIRED: 'conflict',
  INACTIVE: 'conflict',
  RATE_LIMITED: 'rate_limited',
  LOCKED: 'internal_error',
  WRONG_KEY: 'internal_error',
  CORRUPT: 'internal_error',
  UNAVAILABLE: 'internal_error',
  UPSTREAM: 'internal_error',
  INTERNAL: 'internal_error',
};

const ISSUES_SHOWN_MAX = 20;

/** A given `status` overrides that of the error table. */
export function superaiError({ code, message, request_id }: PublicError, status?: number): HttpErrorResponse {
  const body: ErrorResponse = {
    error: { message, code: CODES[code], details: null },
    request_id: request_id ?? null,
  };
  return { status: status ?? ERROR_TABLE[code].http_status, body };
}

/** 422 with one detail per issue, up to a maximum. */
export function superaiInvalid({ target, issues }: InvalidInput): HttpErrorResponse {
  const detail = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => detailOf(target, issue));
  return { status: 422, body: { detail } };
}
