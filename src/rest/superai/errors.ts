/**
 * How errors are said in the dialect of SuperAI Flow: `{"error":{"message","code","details"},"request_id"}`, and for
 * input that a schema refuses `{"detail":[{"loc","msg","type"}]}`.
 */
import { ERROR_TABLE, type ErrorCode, type PublicError } from '../../contract/errors.ts';
import type { ErrorResponse as HttpErrorResponse, InvalidInput } from '../../http/dialect.ts';
import { detailOf } from './pydantic_errors.ts';
import type { ErrorResponse } from './schemas.ts';

type Word =
  | 'bad_request'
  | 'conflict'
  | 'forbidden'
  | 'internal_error'
  | 'not_found'
  | 'rate_limited'
  | 'unauthorized';

const WORDS: Readonly<Record<ErrorCode, Word>> = {
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

const NOT_IMPLEMENTED_STATUS = 501;
const ISSUES_SHOWN_MAX = 20;

/** `status` is given where the frame refuses by itself. */
export function superaiError({ code, message, request_id }: PublicError, status?: number): HttpErrorResponse {
  const word = status === NOT_IMPLEMENTED_STATUS ? 'not_implemented' : WORDS[code];
  const body: ErrorResponse = {
    error: { message, code: word, details: null },
    request_id: request_id ?? null,
  };
  return { status: status ?? ERROR_TABLE[code].http_status, body };
}

/** 422 with one detail for each of the first issues. */
export function superaiInvalid({ target, issues }: InvalidInput): HttpErrorResponse {
  const detail = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => detailOf(target, issue));
  return { status: 422, body: { detail } };
}
