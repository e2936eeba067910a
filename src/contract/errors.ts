/**
 * The one error class of Keyhold and the closed table of its codes.
 *
 * A message states the problem and the next step. It never contains a value, a file path, SQL or a stack. The original
 * error is in `cause`, which is logged and never sent.
 */

/** The public, closed list of codes that callers branch on. */
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

/** A more specific, equally stable reason for the conditions that need a different remedy. */
export type ErrorReason =
  | 'approval_denied'
  | 'approval_required'
  | 'approval_used'
  | 'audit_broken'
  | 'backup_damaged'
  | 'busy'
  | 'connection_declined'
  | 'credential_exists'
  | 'credential_protected'
  | 'destination_changed'
  | 'not_verified'
  | 'credential_rejected'
  | 'database_denied'
  | 'database_unreachable'
  | 'disk_full'
  | 'driver_unusable'
  | 'double_seal'
  | 'file_system_unsupported'
  | 'handle_declined'
  | 'handle_expired'
  | 'handle_used'
  | 'key_rotated'
  | 'keychain_unavailable'
  | 'kms_denied'
  | 'kms_unreachable'
  | 'move_incomplete'
  | 'needs_reconnect'
  | 'needs_review'
  | 'newer_format'
  | 'not_a_file'
  | 'not_a_vault'
  | 'out_of_memory'
  | 'outcome_unknown'
  | 'outside_policy'
  | 'passphrase_missing'
  | 'read_only'
  | 'record_damaged'
  | 'root_key_exposed'
  | 'root_key_invalid'
  | 'root_key_missing'
  | 'root_key_source_changed'
  | 'root_key_weak'
  | 'sealed_value_unreadable'
  | 'service_in_stack'
  | 'service_definition_invalid'
  | 'service_not_approved'
  | 'stack_missing'
  | 'store_rolled_back'
  | 'setting_invalid'
  | 'target_not_empty'
  | 'too_many_files'
  | 'unreadable'
  | 'vault_exposed'
  | 'vault_file_linked'
  | 'vault_missing'
  | 'vault_moved'
  | 'vault_newer'
  | 'wal_mismatch';

interface ErrorRow {
  /** HTTP status code (RFC 9110, section 15; 423 from RFC 4918, section 11.3). */
  readonly http_status: number;
  /** Exit code of the command line. */
  readonly exit_code: number;
  /** The advice to a model, appended to the message in a tool result. */
  readonly advice: string;
  /** The server or its environment failed: the operator needs the cause in the log. */
  readonly is_server_failure: boolean;
}

const row = (http_status: number, exit_code: number, advice: string): ErrorRow => ({
  http_status,
  exit_code,
  advice,
  is_server_failure: false,
});
const failureRow = (http_status: number, exit_code: number, advice: string): ErrorRow => ({
  ...row(http_status, exit_code, advice),
  is_server_failure: true,
});

/** How each interface reports a code. Exhaustive: a new code without a row does not compile. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorRow>> = {
  INVALID_INPUT: row(400, 2, 'Correct the arguments that the message names, then call again.'),
  UNAUTHENTICATED: row(401, 3, 'Ask the user to connect with a valid API key.'),
  FORBIDDEN: row(403, 4, 'Ask the user for the permission; do not retry.'),
  NOT_FOUND: row(404, 5, 'Check the id with list_services, or name and stack with get_credential_status.'),
  CONFLICT: row(409, 6, 'Check the present state with get_credential_status, then call again.'),
  EXPIRED: row(410, 7, 'Ask the user to renew the credential with `keyhold store`.'),
  INACTIVE: row(409, 8, 'Ask the user to switch the credential on.'),
  RATE_LIMITED: row(429, 9, 'Wait, then repeat the same call.'),
  LOCKED: failureRow(423, 10, 'Tell the user. Nothing works until this is fixed.'),
  WRONG_KEY: failureRow(503, 11, 'Tell the user. Nothing works until this is fixed.'),
  CORRUPT: failureRow(500, 12, 'Tell the user. Do not overwrite it.'),
  UNAVAILABLE: failureRow(503, 13, 'Tell the user. Retry after it is fixed.'),
  UPSTREAM: row(
    502,
    14,
    'The service did not respond as expected. Try again later; before you repeat a write, check whether it was made.',
  ),
  INTERNAL: failureRow(500, 1, 'Tell the user and quote the request id.'),
};

/** Other arguments can fix these. All other reasons are about the vault and its environment. */
const CALLER_FIXABLE_REASONS: readonly ErrorReason[] = [
  'approval_denied',
  'credential_exists',
  'credential_protected',
  'destination_changed',
  'not_verified',
  'double_seal',
  'outside_policy',
  'sealed_value_unreadable',
  'service_in_stack',
  'stack_missing',
];

/** The advice to a model. It must not suggest other arguments if the vault is the problem. */
export function adviceFor({ code, reason }: PublicError): string {
  const is_fixable = reason === undefined || CALLER_FIXABLE_REASONS.includes(reason);
  return ERROR_TABLE[is_fixable || code === 'CORRUPT' ? code : 'UNAVAILABLE'].advice;
}

/** The next step of the caller after an error. */
export interface NextStep {
  /** One sentence for a model or a person; it may name a tool or a command. */
  readonly next?: string | undefined;
  /** Whether the same call may succeed later without a change. */
  readonly retry?: boolean | undefined;
  /** After so many seconds, if that is known. */
  readonly retry_after?: number | undefined;
}

export interface VaultErrorOptions extends NextStep {
  readonly reason?: ErrorReason;
  /** For FORBIDDEN: the scopes that would be enough, with blanks between them. */
  readonly required_scope?: string;
  readonly cause?: unknown;
}

/** Every error that Keyhold returns. */
export class VaultError extends Error {
  readonly code: ErrorCode;
  readonly reason: ErrorReason | undefined;
  readonly required_scope: string | undefined;
  readonly next: string | undefined;
  readonly retry: boolean | undefined;
  readonly retry_after: number | undefined;

  constructor(code: ErrorCode, message: string, options: VaultErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VaultError';
    this.code = code;
    this.reason = options.reason;
    this.required_scope = options.required_scope;
    this.next = options.next;
    this.retry = options.retry;
    this.retry_after = options.retry_after;
  }
}

/** The parts of an error that an interface may show: neither stack nor cause. */
export interface PublicError extends NextStep {
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  readonly message: string;
  readonly request_id?: string;
}

/** The next step, without properties that are undefined. */
export function nextStepOf({ next, retry, retry_after }: NextStep): NextStep {
  return {
    ...(next === undefined ? {} : { next }),
    ...(retry === undefined ? {} : { retry }),
    ...(retry_after === undefined ? {} : { retry_after }),
  };
}

/**
 * Converts anything thrown. An unknown error becomes INTERNAL with the request id; its message is never shown, since a
 * library may quote its input.
 */
export function toPublicError(thrown: unknown, request_id?: string): PublicError {
  if (thrown instanceof VaultError) {
    return {
      code: thrown.code,
      ...(thrown.reason === undefined ? {} : { reason: thrown.reason }),
      message: thrown.message,
      ...nextStepOf(thrown),
      ...(request_id === undefined ? {} : { request_id }),
    };
  }
  return {
    code: 'INTERNAL',
    message: `Something failed inside Keyhold. Its log has the cause${request_id === undefined ? '' : ` under request id ${request_id}`}.`,
    ...(request_id === undefined ? {} : { request_id }),
  };
}
