/** The message and the next step for each reason of a test, for people and models. */
import type { Service } from '../contract/service/service.ts';
import { TEST_REASONS, type TestReason, type TestResult } from '../contract/use/test_result.ts';

type NextStep = (service: Pick<Service, 'slug'>) => string;

const replace: NextStep = ({ slug }) =>
  `Store new values with \`keyhold store ${slug}\` or update_credentials, then test again.`;
const check: NextStep = ({ slug }) => `Check host and port with \`keyhold status ${slug}\`, then test again.`;
const later: NextStep = () => 'Test again later.';
const nothing: NextStep = () => 'Nothing to do: the credential works.';
const trust: NextStep = () =>
  'Tell the user: nothing was sent. An operator can trust the certificate with KEYHOLD_EGRESS_CA.';

const REASONS: Readonly<Record<TestReason, readonly [message: string, next: NextStep]>> = {
  accepted: ['The service accepts the credential.', nothing],
  permission_missing: [
    'The service accepts the credential, but it lacks a permission.',
    () => 'It works within its permissions. Tell the user if the task needs more.',
  ],
  folder_missing: [
    'The service accepts the credential, but the server has no folder at test_path.',
    () => 'Correct test_path, then test again.',
  ],
  refused_credentials: ['The service refuses the credential.', replace],
  expired: ['The credential has expired.', replace],
  login_not_allowed: [
    'The server does not allow this login: by its rules for users, addresses or encryption.',
    () => 'Tell the user: the administrator of the server can allow it.',
  ],
  key_unreadable: ['The private key cannot be read with the stored passphrase.', replace],
  no_such_database: [
    'The server accepts the credential, but has no such database.',
    ({ slug }) => `Correct the database with \`keyhold update ${slug}\`, then test again.`,
  ],
  unknown_host: ['The host has no address that may be used.', check],
  connection_refused: ['The server refuses connections at this port.', check],
  timed_out: ['The server did not respond in time.', check],
  unreachable: ['No server of this kind responds at this host and port.', check],
  host_key_changed: [
    'The server has another host key than the one that was stored. Nothing was sent.',
    ({ slug }) =>
      `Tell the user: the server was replaced, or this is another server. If the new key is right, store its fingerprint with \`keyhold update ${slug}\`.`,
  ],
  certificate_expired: [
    'The certificate of the server has expired or is not valid yet. Nothing was sent.',
    later,
  ],
  certificate_untrusted: [
    'The certificate of the server is not of a trusted authority. Nothing was sent.',
    trust,
  ],
  certificate_wrong_host: ['The certificate of the server is for another host. Nothing was sent.', check],
  tls_unavailable: ['The server does not offer the encryption that the credential requires.', check],
  rate_limited: ['The service limits requests at present.', later],
  service_failed: ['The service failed.', later],
  unexpected_response: ['The response is none that the test can interpret.', later],
  not_testable: [
    'This credential has no test.',
    () =>
      'Use it for its purpose to find out whether it works. A custom definition can have a test: see docs/definitions.md.',
  ],
};

const RESULT_OF = new Map<TestReason, TestResult>(
  (['valid', 'invalid', 'unknown'] as const).flatMap((result) =>
    TEST_REASONS[result].map((reason) => [reason, result] as const),
  ),
);

export function resultOf(reason: TestReason): TestResult {
  return RESULT_OF.get(reason) ?? 'unknown';
}

export function messageOf(reason: TestReason): string {
  return REASONS[reason][0];
}

export function nextStepOf(reason: TestReason, service: Pick<Service, 'slug'>): string {
  return REASONS[reason][1](service);
}

/** Whether the values themselves are refused, so that further uses would fail too. */
export function isRefusal(reason: TestReason): boolean {
  return reason === 'refused_credentials' || reason === 'expired';
}
