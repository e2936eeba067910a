/** The results of tests of credentials. */
import * as z from 'zod';

/**
 * `valid`: the service accepted the credential. `invalid`: the service refused it. `unknown`: neither is certain, as after an
 * outage or a rate limit.
 */
export const TEST_RESULTS = ['valid', 'invalid', 'unknown'] as const;
export type TestResult = (typeof TEST_RESULTS)[number];

/** The reasons, by result; `src/probe/reasons.ts` has their messages. */
export const TEST_REASONS = {
  valid: ['accepted', 'permission_missing', 'folder_missing'],
  invalid: ['refused_credentials', 'expired', 'login_not_allowed', 'key_unreadable', 'no_such_database'],
  unknown: [
    'unknown_host',
    'connection_refused',
    'timed_out',
    'unreachable',
    'host_key_changed',
    'certificate_expired',
    'certificate_untrusted',
    'certificate_wrong_host',
    'tls_unavailable',
    'rate_limited',
    'service_failed',
    'unexpected_response',
    'not_testable',
  ],
} as const;
export type TestReason = (typeof TEST_REASONS)[TestResult][number];
const TestReasonName = z.enum([...TEST_REASONS.valid, ...TEST_REASONS.invalid, ...TEST_REASONS.unknown]);

export const outcomeShape = {
  result: z
    .enum(TEST_RESULTS)
    .describe(
      'valid: the service accepts it. invalid: the service refuses it. unknown: could not be determined.',
    ),
  reason: TestReasonName,
  message: z.string().describe('What the test found, in one sentence.'),
  account: z.string().nullable().describe('The account of the credential, if the service reports it.'),
};

/** The last test of a credential, as its status shows it. */
export const LastTest = z.strictObject({ at: z.string().describe('ISO 8601, UTC.'), ...outcomeShape });
export type LastTest = z.infer<typeof LastTest>;
