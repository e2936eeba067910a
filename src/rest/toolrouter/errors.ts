/**
 * The documented error messages of ToolRouter. The vault decides what the error is; this file only chooses the message.
 */
import { ERROR_TABLE, type PublicError, VaultError } from '../../contract/errors.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { describeInvalid } from '../openapi/responses.ts';

export const INVALID_CREDENTIALS = 'Invalid credential format';
/** The route for whose bodies that message is documented. */
const CREDENTIALS_ROUTE = '/v1/stacks/:stack_id/servers/:server_id/credentials';

/** A given `status` overrides that of the error table. */
export function toolrouterError(error: PublicError, status?: number): ErrorResponse {
  return {
    status: status ?? ERROR_TABLE[error.code].http_status,
    body: { detail: messageOf(error) },
  };
}

export function toolrouterInvalid(input: InvalidInput): ErrorResponse {
  const detail = input.route === CREDENTIALS_ROUTE ? INVALID_CREDENTIALS : describeInvalid(input);
  return { status: 400, body: { detail } };
}

function messageOf({ code, reason, message }: PublicError): string {
  if (code === 'UNAUTHENTICATED') return 'Unauthorized';
  if (code === 'RATE_LIMITED') return 'Too many requests';
  if (code === 'NOT_FOUND' && reason === 'stack_missing') return 'Stack not found';
  return message;
}

/** The messages of a route that replace those of the vault. Functions run only after an error. */
export interface ErrorMessages {
  /** For an internal error. */
  readonly failed: string;
  readonly invalid?: string;
  /** For an unknown server, or one that is not in the stack. */
  readonly no_server?: () => string;
  /** For a server that is in the stack already. */
  readonly exists?: () => string;
}

/** Runs the operation. Rejects with a VaultError that has the message of the route. */
export async function withErrorMessages<Result>(
  messages: ErrorMessages,
  operation: () => Promise<Result>,
): Promise<Result> {
  try {
    return await operation();
  } catch (cause) {
    throw translate(messages, cause);
  }
}

function translate({ failed, invalid, no_server, exists }: ErrorMessages, cause: unknown): VaultError {
  if (!(cause instanceof VaultError) || cause.code === 'INTERNAL' || cause.code === 'CORRUPT')
    return new VaultError('INTERNAL', failed, { cause });
  const { code, reason } = cause;
  if (code === 'INVALID_INPUT' && invalid !== undefined)
    return new VaultError('INVALID_INPUT', invalid, { cause });
  if (code === 'NOT_FOUND' && reason === undefined && no_server !== undefined)
    return new VaultError('NOT_FOUND', no_server(), { cause });
  if (code === 'CONFLICT' && reason === 'service_in_stack' && exists !== undefined)
    return new VaultError('INVALID_INPUT', exists(), { cause });
  return cause;
}

/** `Server gmail not found`. An id that is not in the catalogue is not repeated: it may be a misplaced key. */
export function serverNotFound(services: ServiceCatalogue, server_id: string): () => string {
  return () => {
    const slug = services.find(server_id)?.slug;
    return slug === undefined ? 'Server not found' : `Server ${slug} not found`;
  };
}
