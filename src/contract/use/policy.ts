/** Inputs and outputs of the operations that use a credential without showing it. */
import * as z from 'zod';
import { Timestamp } from '../timestamp.ts';
import { pathSegments, USE_METHODS } from './rules.ts';

export const CALLS_PER_MINUTE_MAX = 6_000;
const PATH_PREFIXES_MAX = 20;
const PATH_PREFIX_MAX_CHARACTERS = 500;

const PREFIX_RULE =
  'must start with "/" and have no query, no empty or dot segments, no ";" and no encoded slash, backslash or percent sign';

/** Limits the use of a credential, or of all credentials with an API key. A use must satisfy both. */
export const UsePolicy = z.strictObject({
  methods: z
    .array(z.enum(USE_METHODS))
    .min(1)
    .max(USE_METHODS.length)
    .optional()
    .describe('Only these methods. Leave out for all.'),
  path_prefixes: z
    .array(
      z
        .string()
        .max(PATH_PREFIX_MAX_CHARACTERS)
        .refine((prefix) => pathSegments(prefix) !== undefined, PREFIX_RULE),
    )
    .min(1)
    .max(PATH_PREFIXES_MAX)
    .optional()
    .describe(
      'Only paths that begin with one of these, by whole segments: `/repos` includes `/repos/a`, not `/repository`.',
    ),
  calls_per_minute: z
    .int()
    .min(1)
    .max(CALLS_PER_MINUTE_MAX)
    .optional()
    .describe('Only so many uses a minute.'),
  expires_at: Timestamp.optional().describe('No use from this time on. ISO 8601 with an offset or Z.'),
  approve: z
    .enum(['never', 'writes', 'always'])
    .optional()
    .describe(
      'Which uses a person must approve first. `writes`: all methods but GET, HEAD and OPTIONS, and child processes. Default: never.',
    ),
});
export type UsePolicy = z.infer<typeof UsePolicy>;
