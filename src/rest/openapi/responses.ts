/**
 * The error shape that most of the API shares: `{"detail":"..."}`, how it is described in OpenAPI, and how input that a
 * schema refuses is said in it. Never repeats any of that input.
 */
import { z } from '@hono/zod-openapi';
import { ERROR_TABLE, type PublicError } from '../../contract/errors.ts';
import { invalidInput } from '../../contract/validation.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';

export const Detail = z.object({ detail: z.string() }).openapi('Detail');

/** With the codes that programs branch on. */
export const CodedDetail = z
  .object({
    detail: z.string(),
    code: z.string().openapi({ description: 'What went wrong, from a closed list.', example: 'NOT_FOUND' }),
    reason: z.string().optional().openapi({ description: 'A finer word, where there is one.' }),
  })
  .openapi('CodedDetail');

/** `status` is given where the frame refuses by itself. */
export function codedError({ code, reason, message }: PublicError, status?: number): ErrorResponse {
  const body = { detail: message, code, ...(reason === undefined ? {} : { reason }) };
  return { status: status ?? ERROR_TABLE[code].http_status, body };
}

export function codedInvalid(input: InvalidInput): ErrorResponse {
  return codedError({ code: 'INVALID_INPUT', message: detailOfInvalid(input) });
}

/** What is wrong with input, in one sentence. */
export function detailOfInvalid({ target, issues }: InvalidInput): string {
  const [first] = issues;
  // The frame has found that the whole body is no JSON that anybody should read.
  const is_unreadable = target === 'body' && first?.code === 'custom' && first.path.length === 0;
  return is_unreadable ? `The body cannot be read. ${first.message}` : invalidInput(issues).message;
}

interface DetailResponse {
  readonly description: string;
  readonly content: { readonly 'application/json': { readonly schema: typeof Detail | typeof CodedDetail } };
}

const COMMON_ERRORS = {
  401: 'The API key is missing or wrong.',
  403: 'The API key does not allow this.',
  429: 'Too many requests.',
  500: 'Something failed inside.',
  503: 'The vault cannot be used at the moment.',
} as const;

/** The error answers of a route that can be sent a body, whether it takes one or not. */
export const BODY_ERRORS = {
  400: 'What is wrong with the request.',
  413: 'The body is larger than a mebibyte.',
  415: 'The body is not JSON in UTF-8.',
} as const;
/** Those of a route that changes something, and of one that takes a body. */
export const WRITES = { ...BODY_ERRORS, 409: 'Somebody else was faster. Try again.' } as const;
export const TAKES_BODY = { ...WRITES, 400: 'What is wrong with the body.' } as const;
export const TAKES_QUERY = { 400: 'What is wrong with the query.' } as const;

/** The error answers of a route: those that every route has, and its own, each with its description. */
export function detailErrors<const Own extends Readonly<Record<number, string>>>(
  own: Own,
  schema: typeof Detail | typeof CodedDetail = Detail,
): { [Status in keyof Own | keyof typeof COMMON_ERRORS]: DetailResponse } {
  const described = Object.entries({ ...COMMON_ERRORS, ...own }).map(([status, description]) => [
    status,
    { description, content: { 'application/json': { schema } } },
  ]);
  return Object.fromEntries(described);
}

/** The same, with codes. */
export function codedErrors<const Own extends Readonly<Record<number, string>>>(own: Own) {
  return detailErrors(own, CodedDetail);
}
