/** What a server refuses a call with, or what kept the call from reaching it. It holds nothing of what was sent. */

import { ERROR_TABLE, type ErrorCode, type ErrorReason, VaultError } from '../contract/errors.ts';
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../contract/patterns.ts';

export interface KeyholdErrorOptions {
  readonly status?: number;
  readonly request_id?: string | undefined;
  readonly reason?: ErrorReason | undefined;
  readonly cause?: unknown;
}

/** Branch on `code`. */
export class KeyholdError extends VaultError {
  /** The HTTP status; `null` where there was no answer. */
  readonly status: number | null;
  /** What the server's log has more under; `null` where it said none. */
  readonly request_id: string | null;

  constructor(
    code: ErrorCode,
    message: string,
    { status, request_id, reason, cause }: KeyholdErrorOptions = {},
  ) {
    super(code, message, { cause, ...(reason === undefined ? {} : { reason }) });
    this.name = 'KeyholdError';
    this.status = status ?? null;
    this.request_id = request_id ?? null;
  }
}

const MESSAGE_MAX_CHARACTERS = 1_000;

/** What an answer that tells of a failure means. `body`: its JSON, or `undefined` where it has none. */
export function errorOfAnswer(answer: Pick<Response, 'status' | 'headers'>, body: unknown): KeyholdError {
  const { status } = answer;
  const said = facts(body);
  const request_id = answer.headers.get('x-request-id') ?? undefined;
  if (said.message === undefined && status < 500 && status !== 401 && status !== 429) {
    return new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status, request_id });
  }
  const code = said.code ?? codeOfStatus(status);
  const message = code === 'UNAUTHENTICATED' ? KEY_REFUSED : (said.message ?? messageOfStatus(status));
  return new KeyholdError(code, message, { status, request_id, reason: said.reason });
}

export const NOT_KEYHOLD =
  'What answered is no Keyhold server, or one of another version. Check the URL and what it leads to.';
const KEY_REFUSED =
  'The server does not take this API key: it is wrong, was revoked, or has ended. Ask who runs the server for another one (`keyhold keys create`).';

function facts(body: unknown): { code?: ErrorCode; reason?: ErrorReason; message?: string } {
  if (typeof body !== 'object' || body === null) return {};
  // Keyhold's own routes say {detail, code, reason}; what no dialect answers for says {error: {...}}.
  const said = 'error' in body && typeof body.error === 'object' && body.error !== null ? body.error : body;
  const text = 'message' in said ? said.message : 'detail' in said ? said.detail : undefined;
  const code = 'code' in said && isErrorCode(said.code) ? said.code : undefined;
  const reason = 'reason' in said && isErrorReason(said.reason) ? said.reason : undefined;
  return {
    ...(typeof text === 'string' ? { message: shown(text) } : {}),
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function shown(text: string): string {
  return text.slice(0, MESSAGE_MAX_CHARACTERS).replace(UNPRINTABLE_CHARACTERS_PATTERN, '?');
}

function isErrorCode(word: unknown): word is ErrorCode {
  return typeof word === 'string' && Object.hasOwn(ERROR_TABLE, word);
}

/** A newer server may have a reason that this version does not list. It is a word, and is passed on. */
function isErrorReason(word: unknown): word is ErrorReason {
  return typeof word === 'string' && /^[a-z_]{1,40}$/.test(word);
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
    return 'The server has had too many requests with this API key. Wait a minute and try again.';
  return `The server failed with status ${status}. Try again later, or ask who runs it.`;
}
