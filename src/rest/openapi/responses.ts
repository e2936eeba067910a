/**
 * Error responses: the format `{"detail":"..."}` that most of the API uses, and the one table from which every dialect
 * describes its errors in OpenAPI. No message repeats input.
 */
import { z } from '@hono/zod-openapi';
import { ERROR_TABLE, nextStepOf, type PublicError } from '../../contract/errors.ts';
import { invalidInput } from '../../contract/validation.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';
import { jsonOf } from './schemas.ts';

export const Detail = z.object({ detail: z.string() }).openapi('Detail');

/** With a code for programs. */
export const CodedDetail = z
  .object({
    detail: z.string(),
    code: z.string().openapi({ description: 'The kind of error, from a closed list.', example: 'NOT_FOUND' }),
    reason: z.string().optional().openapi({ description: 'More specific reason, if any.' }),
    next: z.string().optional().openapi({ description: 'The next step, in one sentence. Of calls, always.' }),
    retry: z.boolean().optional().openapi({ description: 'Whether the same call may succeed later.' }),
    retry_after: z.number().int().optional().openapi({ description: 'After so many seconds.' }),
  })
  .openapi('CodedDetail');

/** A given `status` overrides that of the error table. */
export function codedError(error: PublicError, status?: number): ErrorResponse {
  const { code, reason, message } = error;
  const body = { detail: message, code, ...(reason === undefined ? {} : { reason }), ...nextStepOf(error) };
  return { status: status ?? ERROR_TABLE[code].http_status, body };
}

export function codedInvalid(input: InvalidInput): ErrorResponse {
  return codedError({ code: 'INVALID_INPUT', message: describeInvalid(input) });
}

/** Describes invalid input in one sentence. */
export function describeInvalid({ target, issues }: InvalidInput): string {
  const [first] = issues;
  // The request pipeline has rejected the whole body: it is not JSON, or JSON with duplicate keys.
  const is_unreadable = target === 'body' && first?.code === 'custom' && first.path.length === 0;
  return is_unreadable ? `The body cannot be read. ${first.message}` : invalidInput(issues).message;
}

/** Error responses of every route, by status. */
const COMMON_ERRORS = {
  401: 'The API key is missing or wrong.',
  403: 'The API key does not allow this.',
  429: 'Too many requests.',
  500: 'Internal error.',
  503: 'The vault is unavailable.',
} as const;

/** Those of a route whose request may have a body, whether the route reads it or not. */
export const BODY_ERRORS = {
  400: 'The request is invalid.',
  413: 'The body is larger than 1 MiB.',
  415: 'The body is not JSON in UTF-8.',
} as const;
export const WRITE_ERRORS = { ...BODY_ERRORS, 409: 'A concurrent write was first. Retry.' } as const;
/** Those of a route that uses a stored credential. */
export const USE_ERRORS = {
  409: 'The credential cannot be used now.',
  410: 'The credential has expired.',
} as const;
export const QUERY_ERRORS = { 400: 'The query is invalid.' } as const;

/** The error responses of a route: the common ones and its own, each with its description, in the format `schema`. */
export function errorResponses<Schema extends z.ZodType, const Own extends Readonly<Record<number, string>>>(
  schema: Schema,
  own: Own,
): { [Status in keyof Own | keyof typeof COMMON_ERRORS]: ReturnType<typeof jsonOf<Schema>> } {
  const responses = Object.entries({ ...COMMON_ERRORS, ...own }).map(([status, text]) => [
    status,
    jsonOf(schema, text),
  ]);
  return Object.fromEntries(responses);
}
