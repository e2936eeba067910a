/** The error of every client method: an error response, or a failed connection. It never contains the request. */
import {
  ERROR_TABLE,
  type ErrorCode,
  type ErrorReason,
  type NextStep,
  VaultError,
} from '../contract/errors.ts';
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../contract/patterns.ts';

export interface KeyholdErrorOptions {
  readonly status?: number;
  readonly request_id?: string | undefined;
  readonly reason?: ErrorReason | undefined;
  readonly step?: NextStep | undefined;
  readonly cause?: unknown;
}

/** Branch on `code`. */
export class KeyholdError extends VaultError {
  /** The HTTP status; `null` if there was no response. */
  readonly status: number | null;
  /** The id of the request in the server's log; `null` if the response had none. */
  readonly request_id: string | null;

  constructor(
    code: ErrorCode,
    message: string,
    { status, request_id, reason, step, cause }: KeyholdErrorOptions = {},
  ) {
    super(code, message, { cause, ...step, ...(reason === undefined ? {} : { reason }) });
    this.name = 'KeyholdError';
    this.status = status ?? null;
    this.request_id = request_id ?? null;
  }
}

const MESSAGE_MAX_CHARACTERS = 1_000;

/** Converts an error response. `body` is its parsed JSON, or `undefined`. */
export function responseError(
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  body: unknown,
): KeyholdError {
  const parsed = parseErrorBody(body);
  const request_id = headers.get('x-request-id') ?? undefined;
  if (parsed.message === undefined && status < 500 && status !== 401 && status !== 429) {
    return new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status, request_id });
  }
  const code = parsed.code ?? codeOfStatus(status);
  const message = code === 'UNAUTHENTICATED' ? KEY_REJECTED : (parsed.message ?? messageOfStatus(status));
  const { reason, step } = parsed;
  const retry_after = step?.retry_after ?? secondsOf(headers.get('retry-after'));
  const later = retry_after === undefined ? {} : { retry: true, retry_after };
  return new KeyholdError(code, message, { status, request_id, reason, step: { ...later, ...step } });
}

export const NOT_KEYHOLD =
  'The response is not from a Keyhold server, or from another version of it. Check the URL.';
const KEY_REJECTED =
  'The server rejected this API key: it is wrong, revoked or expired. Get another one from the operator of the server (`keyhold keys create`).';

function secondsOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : undefined;
}

interface ErrorBody {
  readonly code?: ErrorCode;
  readonly reason?: ErrorReason;
  readonly message?: string;
  readonly step?: NextStep;
}

function parseErrorBody(body: unknown): ErrorBody {
  if (typeof body !== 'object' || body === null) return {};
  // Keyhold's routes use {detail, code, reason}; errors outside of all dialects use {error: {...}}.
  const error = 'error' in body && typeof body.error === 'object' && body.error !== null ? body.error : body;
  const text = 'message' in error ? error.message : 'detail' in error ? error.detail : undefined;
  const code = 'code' in error && isErrorCode(error.code) ? error.code : undefined;
  const reason = 'reason' in error && isErrorReason(error.reason) ? error.reason : undefined;
  return {
    ...(typeof text === 'string' ? { message: toPrintable(text) } : {}),
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
    step: parseStep(error),
  };
}

function parseStep(error: object): NextStep {
  const { next, retry, retry_after } = error as Readonly<Record<string, unknown>>;
  return {
    ...(typeof next === 'string' ? { next: toPrintable(next) } : {}),
    ...(typeof retry === 'boolean' ? { retry } : {}),
    ...(Number.isInteger(retry_after) ? { retry_after: Number(retry_after) } : {}),
  };
}

function toPrintable(text: string): string {
  return text.slice(0, MESSAGE_MAX_CHARACTERS).replace(UNPRINTABLE_CHARACTERS_PATTERN, '?');
}

function isErrorCode(given: unknown): given is ErrorCode {
  return typeof given === 'string' && Object.hasOwn(ERROR_TABLE, given);
}

/** Accepts reasons that this version does not list: a newer server may have them. */
function isErrorReason(given: unknown): given is ErrorReason {
  return typeof given === 'string' && /^[a-z_]{1,40}$/.test(given);
}

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'FORBIDDEN';
    case 404:
      return 'NOT_FOUND';
    case 409:
      return 'CONFLICT';
    case 410:
      return 'EXPIRED';
    case 423:
      return 'LOCKED';
    case 429:
      return 'RATE_LIMITED';
    case 503:
      return 'UNAVAILABLE';
    default:
      return status < 500 ? 'INVALID_INPUT' : 'UPSTREAM';
  }
}

function messageOfStatus(status: number): string {
  if (status === 429)
    return 'The server has received too many requests with this API key. Wait a minute and try again.';
  return `The server failed with status ${status}. Try again later, or contact its operator.`;
}
