/** Inputs and outputs of the operations that use a credential without showing it. */
import * as z from 'zod';
import { Timestamp } from './timestamp.ts';

/** The methods of requests with a credential (RFC 9110, section 9; PATCH: RFC 5789). TRACE returns headers; CONNECT is no request to a service. */
export const USE_METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type UseMethod = (typeof USE_METHODS)[number];
/** RFC 9110, section 9.2.1. */
export const SAFE_METHODS: readonly UseMethod[] = ['GET', 'HEAD', 'OPTIONS'];

export const CALLS_PER_MINUTE_MAX = 6_000;
const PATH_PREFIXES_MAX = 20;

/** Limits the use of a credential, or of all credentials with an API key. A use must satisfy both. */
export const UsePolicy = z.strictObject({
  /** Default: all methods. */
  methods: z.array(z.enum(USE_METHODS)).min(1).max(USE_METHODS.length).optional(),
  /** Each matches whole segments of the path: `/repos` matches `/repos` and `/repos/a`, not `/repository`. Default: all paths. */
  path_prefixes: z
    .array(
      z
        .string()
        .max(500)
        .regex(/^\/[^\s?#\\]*$/, 'must start with "/" and have no query'),
    )
    .min(1)
    .max(PATH_PREFIXES_MAX)
    .optional(),
  calls_per_minute: z.int().min(1).max(CALLS_PER_MINUTE_MAX).optional(),
  /** After it, the credential cannot be used. ISO 8601 with an offset or Z. */
  expires_at: Timestamp.optional(),
  /** Which uses a person must approve first. `writes`: all methods that are not safe, and child processes. Default: never. */
  approve: z.enum(['never', 'writes', 'always']).optional(),
});
export type UsePolicy = z.infer<typeof UsePolicy>;
