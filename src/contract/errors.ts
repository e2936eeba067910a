/**
 * The one error class of Keyhold and the closed table of its codes.
 *
 * A message says what is wrong and what to do next. It never holds a value, a file path, SQL or a stack:
 * whatever led to the error travels in `cause`, which is logged and never sent.
 */

/** What went wrong, as callers branch on it. A public, closed list. */
export type ErrorCode =
  | 'INVALID_INPUT'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'EXPIRED'
  | 'INACTIVE'
  | 'RATE_LIMITED'
  | 'LOCKED'
  | 'WRONG_KEY'
  | 'CORRUPT'
  | 'UNAVAILABLE'
  | 'UPSTREAM'
  | 'INTERNAL';

/** A finer, equally stable word for the conditions that need a remedy of their own. */
export type ErrorReason =
  | 'audit_broken'
  | 'busy'
  | 'credential_exists'
  | 'disk_full'
  | 'double_seal'
  | 'newer_format'
  | 'not_a_file'
  | 'not_a_vault'
  | 'passphrase_missing'
  | 'read_only'
  | 'record_damaged'
  | 'root_key_exposed'
  | 'root_key_invalid'
  | 'root_key_missing'
  | 'root_key_source_changed'
  | 'sealed_value_unreadable'
  | 'service_definition_invalid'
  | 'stack_missing'
  | 'setting_invalid'
  | 'unreadable'
  | 'vault_missing';

interface ErrorRow {
  /** HTTP status code (RFC 9110, section 15; 423 from RFC 4918, section 11.3). */
  readonly http_status: number;
  /** Process exit code of the command line. */
  readonly exit_code: number;
  /** What a model is told to do about it, appended to the message in a tool result. */
  readonly advice: string;
}

/** How each code shows at every edge. Exhaustive: a new code without a row does not compile. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorRow>> = {
  INVALID_INPUT: { http_status: 400, exit_code: 2, advice: 'Correct the arguments and call again.' },
  UNAUTHENTICATED: {
    http_status: 401,
    exit_code: 3,
    advice: 'Ask the user to connect with a valid API key.',
  },
  FORBIDDEN: { http_status: 403, exit_code: 4, advice: 'Ask the user for the permission; do not retry.' },
  NOT_FOUND: {
    http_status: 404,
    exit_code: 5,
    advice: 'Check the id with list_services or get_credential_status.',
  },
  CONFLICT: { http_status: 409, exit_code: 6, advice: 'Check the present state, then call again.' },
  EXPIRED: { http_status: 410, exit_code: 7, advice: 'Ask the user to renew the credential.' },
  INACTIVE: { http_status: 409, exit_code: 8, advice: 'Ask the user to switch the credential on.' },
  RATE_LIMITED: { http_status: 429, exit_code: 9, advice: 'Wait, then call again.' },
  LOCKED: { http_status: 423, exit_code: 10, advice: 'Tell the user; nothing works until this is mended.' },
  WRONG_KEY: {
    http_status: 503,
    exit_code: 11,
    advice: 'Tell the user; nothing works until this is mended.',
  },
  CORRUPT: { http_status: 500, exit_code: 12, advice: 'Tell the user; do not store again over it.' },
  UNAVAILABLE: { http_status: 503, exit_code: 13, advice: 'Tell the user; call again once it is mended.' },
  UPSTREAM: {
    http_status: 502,
    exit_code: 14,
    advice: 'The service did not answer as it should; try again later.',
  },
  INTERNAL: { http_status: 500, exit_code: 1, advice: 'Tell the user and quote the request id.' },
};

/** The reasons that the arguments of a call can mend. All others are about the vault and its surroundings. */
const CALLER_FIXABLE_REASONS: readonly ErrorReason[] = [
  'credential_exists',
  'double_seal',
  'sealed_value_unreadable',
  'stack_missing',
];

/** What a model is told to do about an error: no rewording of a call mends a vault that does not open. */
export function adviceFor({ code, reason }: PublicError): string {
  const about_arguments = reason === undefined || CALLER_FIXABLE_REASONS.includes(reason);
  return about_arguments || code === 'CORRUPT'
    ? ERROR_TABLE[code].advice
    : 'Tell the user; call again once it is mended.';
}

export interface VaultErrorOptions {
  readonly reason?: ErrorReason;
  readonly cause?: unknown;
}

/** Every failure that Keyhold answers with. */
export class VaultError extends Error {
  readonly code: ErrorCode;
  readonly reason: ErrorReason | undefined;

  constructor(code: ErrorCode, message: string, options: VaultErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VaultError';
    this.code = code;
    this.reason = options.reason;
  }
}

/** What any edge may show of an error: no stack, no cause. */
export interface PublicError {
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  readonly message: string;
  readonly request_id?: string;
}

/**
 * Turns anything thrown into what may be shown. An unknown failure becomes INTERNAL with the request id; its own
 * text is never shown, since a library's message may quote its input.
 */
export function toPublicError(thrown: unknown, request_id?: string): PublicError {
  if (thrown instanceof VaultError) {
    return {
      code: thrown.code,
      ...(thrown.reason === undefined ? {} : { reason: thrown.reason }),
      message: thrown.message,
      ...(request_id === undefined ? {} : { request_id }),
    };
  }
  return {
    code: 'INTERNAL',
    message: `Something failed inside Keyhold. Its log has the cause${request_id === undefined ? '' : ` under request id ${request_id}`}.`,
    ...(request_id === undefined ? {} : { request_id }),
  };
}
