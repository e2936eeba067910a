/** Input and output of `call_service`: an HTTP request to a service with a stored credential that the caller never sees. */
import * as z from 'zod';
import type { Caller } from '../caller.ts';
import { CredentialName, ServiceId, StackId } from '../credential.ts';
import {
  CALL_CHARACTERS,
  CALL_CHARACTERS_MAX,
  CALL_CHARACTERS_MIN,
  CALL_HEADER_MAX_CHARACTERS,
  CALL_HEADERS_MAX,
  CALL_PATH_MAX_CHARACTERS,
  CALL_QUERY_MAX,
  CALL_RESPONSE_MAX_BYTES,
  CALL_SELECT_MAX_CHARACTERS,
  REQUEST_BODY_MAX_BYTES,
} from '../limits.ts';
import { USE_METHODS } from './rules.ts';

const BASE64_PATTERN = /^[A-Za-z0-9+/_-]*={0,2}$/;
const IDEMPOTENCY_KEY_PATTERN = /^[\x21-\x7e]{1,255}$/;
const REASON_MAX_CHARACTERS = 300;
const RESPONSE_ID_MAX_CHARACTERS = 60;

const QueryValue = z.union([z.string().max(CALL_PATH_MAX_CHARACTERS), z.number(), z.boolean()]);
const hasAtMost = (maximum: number) => (entries: object) => Object.keys(entries).length <= maximum;

export const CallInput = z.strictObject({
  service_id: ServiceId,
  method: z
    .preprocess((method) => (typeof method === 'string' ? method.toUpperCase() : method), z.enum(USE_METHODS))
    .optional()
    .describe('The HTTP method, in any case. Default: GET.'),
  path: z
    .string()
    .min(1)
    .max(CALL_PATH_MAX_CHARACTERS)
    .optional()
    .describe(
      'Path with or without a query, or a full https URL of a host of the service. Required, except with response_id.',
    ),
  query: z
    .record(z.string().max(500), z.union([QueryValue, z.array(QueryValue).max(CALL_QUERY_MAX)]))
    .refine(hasAtMost(CALL_QUERY_MAX), `must have at most ${CALL_QUERY_MAX} parameters`)
    .optional()
    .describe('Not encoded. An array repeats its parameter. Replaces those of path with the same name.'),
  headers: z
    .record(z.string().max(200), z.string().max(CALL_HEADER_MAX_CHARACTERS))
    .refine(hasAtMost(CALL_HEADERS_MAX), `must have at most ${CALL_HEADERS_MAX} headers`)
    .optional()
    .describe('Further request headers, never authentication.'),
  body: z
    .union([
      z.record(z.string(), z.unknown()),
      z.array(z.unknown()),
      z.string().max(REQUEST_BODY_MAX_BYTES, `must be at most ${REQUEST_BODY_MAX_BYTES} characters long`),
    ])
    .optional()
    .describe(
      'An object or array is sent as JSON; with the content-type application/x-www-form-urlencoded as a form, nested names in brackets: {"a": {"b": 1}, "c": [2]} becomes a[b]=1&c[]=2. A string is sent as it is.',
    ),
  body_base64: z
    .string()
    .max(REQUEST_BODY_MAX_BYTES * 2)
    .regex(BASE64_PATTERN, 'must be base64')
    .optional()
    .describe('Binary body. Set the content-type in headers.'),
  name: CredentialName.optional(),
  stack_id: StackId.optional(),
  select: z
    .string()
    .min(1)
    .max(CALL_SELECT_MAX_CHARACTERS)
    .optional()
    .describe('JMESPath expression for the parts of a JSON body that you need. Applied before max_chars.'),
  max_chars: z
    .int()
    .min(CALL_CHARACTERS_MIN)
    .max(CALL_CHARACTERS_MAX)
    .optional()
    .describe(`Longest body, after select. Default: ${CALL_CHARACTERS}. The rest is kept for response_id.`),
  response_id: z
    .string()
    .max(RESPONSE_ID_MAX_CHARACTERS)
    .optional()
    .describe(
      'Reads on in an earlier response: its truncated.response_id. With offset, select and max_chars only.',
    ),
  offset: z
    .int()
    .min(0)
    .max(CALL_RESPONSE_MAX_BYTES * 4)
    .optional()
    .describe('The truncated.next_offset of the previous result.'),
  idempotency_key: z
    .string()
    .regex(IDEMPOTENCY_KEY_PATTERN, 'must be 1 to 255 visible ASCII characters')
    .optional()
    .describe(
      'Unique for one write: the same call within 5 minutes returns the stored response, another one is refused. Also sent as the header that the service has for it, unless headers has that header.',
    ),
  dry_run: z.boolean().optional().describe('True: only describe the request and whether it is allowed.'),
  reason: z
    .string()
    .max(REASON_MAX_CHARACTERS)
    .optional()
    .describe('Why, for the person who approves it and the audit log.'),
});
export type CallInput = z.input<typeof CallInput>;

const Truncated = z.strictObject({
  total_chars: z.int(),
  response_id: z.string().describe('Call with it and offset, or select.'),
  next_offset: z.int().nullable().describe('offset of the next call; null at the end.'),
  items: z
    .strictObject({
      path: z.string().describe('Position in the body; empty for the body itself.'),
      from: z.int().describe('Position of the first item.'),
      kept: z.int(),
      of: z.int(),
    })
    .optional()
    .describe('The only array that is shortened.'),
  keys: z.array(z.string()).optional().describe('The shape of the whole JSON, to write a select.'),
});
export type Truncated = z.infer<typeof Truncated>;

const DryRun = z.strictObject({
  method: z.string(),
  url: z.string(),
  headers: z.array(z.string()),
  body_bytes: z.int(),
  credential: z.array(z.string()),
  allowed: z.boolean(),
  policy: z.string().describe('"allowed", or why the call would be refused.'),
});
export type DryRun = z.infer<typeof DryRun>;

const BinaryContent = z.strictObject({ content_type: z.string(), bytes: z.int(), sha256: z.string() });

export const CallOutput = z.strictObject({
  status: z.int().optional().describe('HTTP status of the service.'),
  ok: z.boolean().describe('True if the status is 2xx or 3xx.'),
  headers: z.record(z.string(), z.string()).optional().describe('The useful ones.'),
  body: z.unknown().optional().describe('JSON or text, without secret values.'),
  binary: BinaryContent.optional().describe('Neither JSON nor text.'),
  truncated: Truncated.optional().describe('The body is longer than max_chars.'),
  next: z
    .looseObject({ path: z.string() })
    .optional()
    .describe('The arguments of call_service for the next page.'),
  redacted: z.int().optional().describe('How many secret values were replaced by [redacted].'),
  latency_ms: z.int().optional(),
  replayed: z.boolean().optional().describe('True: a stored response; nothing was sent.'),
  hint: z.string().optional().describe('The next step, if the call failed.'),
  retry: z.boolean().optional().describe('Whether the same call may succeed later.'),
  retry_after: z.int().optional().describe('So many seconds later.'),
  dry_run: DryRun.optional(),
});
export type CallOutput = z.infer<typeof CallOutput>;

export interface CallImage {
  readonly content_type: string;
  readonly bytes: Buffer;
}

export interface CallView {
  readonly output: CallOutput;
  /** Content that MCP shows as an image. */
  readonly image: CallImage | undefined;
}

/** A response whose body is read while it arrives. */
export interface ServiceStream {
  readonly status: number;
  /** The useful ones. */
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded, without values. It must be read or returned: until then the use is not finished. */
  readonly body: AsyncGenerator<Uint8Array>;
  /** The next step, unless the status is a success. */
  readonly hint: string | undefined;
  /** As in `CallOutput`. */
  readonly retry?: boolean | undefined;
  readonly retry_after?: number | undefined;
}

/** Requests with stored credentials, for every interface. */
export interface Calls {
  /** Rejects with VaultError if there is no response; every status of the service is a result. */
  call(caller: Caller, input: CallInput): Promise<CallView>;
  /**
   * As `call`, for a body of any size: it is not stored, selected or shortened. `signal` ends the request and the body, for
   * a reader that is gone.
   */
  stream(caller: Caller, input: CallInput, signal?: AbortSignal): Promise<ServiceStream>;
}
