/**
 * How ToolRouter says what went wrong: its documented sentences, word for word. What a failure was about is decided by
 * the vault; here it is only said.
 */
import { ERROR_TABLE, type PublicError, VaultError } from '../../contract/errors.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { detailOfInvalid } from '../openapi/responses.ts';

export const INVALID_CREDENTIALS = 'Invalid credential format';
const BAD_REQUEST = 400;

/** `status` is given where the frame refuses by itself; with 400, a body that cannot be read. */
export function toolrouterError(error: PublicError, status?: number): ErrorResponse {
  return { status: status ?? ERROR_TABLE[error.code].http_status, body: { detail: wordsFor(error, status) } };
}

export function toolrouterInvalid(input: InvalidInput): ErrorResponse {
  const is_whole_body = input.target === 'body' && input.issues.every(({ path }) => path.length === 0);
  const detail = is_whole_body ? INVALID_CREDENTIALS : detailOfInvalid(input);
  return { status: BAD_REQUEST, body: { detail } };
}

function wordsFor({ code, reason, message }: PublicError, status: number | undefined): string {
  if (status === BAD_REQUEST) return INVALID_CREDENTIALS;
  if (code === 'UNAUTHENTICATED') return 'Unauthorized';
  if (code === 'RATE_LIMITED') return 'Too many requests';
  if (code === 'NOT_FOUND' && reason === 'stack_missing') return 'Stack not found';
  return message;
}

/** What a route says in place of the vault's own words. */
export interface ErrorMessages {
  /** What failed, when it failed for a reason that no caller can mend. */
  readonly failed: string;
  readonly invalid?: string;
  /** That the server is nowhere to be found. */
  readonly no_server?: string;
  /** That the server is there already. */
  readonly exists?: string;
}

/** Carries an operation out. Rejects with VaultError in the words of the route. */
export async function withErrorMessages<Result>(
  words: ErrorMessages,
  operation: () => Promise<Result>,
): Promise<Result> {
  try {
    return await operation();
  } catch (cause) {
    throw worded(words, cause);
  }
}

function worded(words: ErrorMessages, cause: unknown): VaultError {
  if (!(cause instanceof VaultError) || cause.code === 'INTERNAL' || cause.code === 'CORRUPT')
    return new VaultError('INTERNAL', words.failed, { cause });
  const { code, reason } = cause;
  if (code === 'INVALID_INPUT' && words.invalid !== undefined)
    return new VaultError('INVALID_INPUT', words.invalid, { cause });
  if (code === 'NOT_FOUND' && reason === undefined && words.no_server !== undefined)
    return new VaultError('NOT_FOUND', words.no_server, { cause });
  if (code === 'CONFLICT' && reason === 'credential_exists' && words.exists !== undefined)
    return new VaultError('INVALID_INPUT', words.exists, { cause });
  return cause;
}

/**
 * `Server gmail not found`, by the name that the server goes by in the catalogue. What is in no catalogue is not
 * repeated: a key in the wrong place looks like an id.
 */
export function serverNotFound(services: ServiceCatalogue, server_id: string): string {
  const slug = services.find(server_id)?.slug;
  return slug === undefined ? 'Server not found' : `Server ${slug} not found`;
}
