/** The next step after an error of a call, for every code: that of the error itself, or else of its reason or code. */
import type { Caller } from '../../contract/caller.ts';
import {
  type ErrorCode,
  type ErrorReason,
  type NextStep,
  nextStepOf,
  toPublicError,
  VaultError,
} from '../../contract/errors.ts';

interface Step {
  readonly next: string;
  readonly retry: boolean;
  readonly retry_after?: number;
}

const stop = (next: string): Step => ({ next, retry: false });

/** `retry` is false where a person or other arguments are needed first. */
const BY_CODE: Readonly<Record<ErrorCode, Step>> = {
  INVALID_INPUT: stop('Correct the arguments that the message names, then call again.'),
  UNAUTHENTICATED: stop('Ask the user to connect with a valid API key.'),
  FORBIDDEN: stop('Ask the user for the permission; do not retry.'),
  NOT_FOUND: stop('Check the id with list_services, or name and stack with get_credential_status.'),
  CONFLICT: stop('Check the present state with get_credential_status, then call again.'),
  EXPIRED: stop('Ask the user to renew the credential with `keyhold store`.'),
  INACTIVE: stop('Ask the user to switch the credential on.'),
  RATE_LIMITED: { next: 'Wait, then repeat the same call.', retry: true },
  LOCKED: stop('Tell the user to unlock the vault.'),
  WRONG_KEY: stop('Tell the user to run `keyhold doctor`.'),
  CORRUPT: stop('Tell the user to run `keyhold doctor`; do not store the credential again before.'),
  UNAVAILABLE: stop('Tell the user; call again once the cause in the message is fixed.'),
  UPSTREAM: {
    next: 'Repeat the call later. Before you repeat a write, check whether it was made.',
    retry: true,
  },
  NOT_IMPLEMENTED: stop('Do it in another way.'),
  INTERNAL: stop('Tell the user, and quote the request id.'),
};

const BY_REASON: { readonly [Reason in ErrorReason]?: Step } = {
  approval_denied: stop('Tell the user; do not repeat the request.'),
  approval_required: stop('Repeat the same call, which requests a new approval.'),
  approval_used: stop('Tell the user: the request was sent already.'),
  busy: { next: 'Repeat the same call.', retry: true, retry_after: 1 },
  outside_policy: stop(
    'Use a method and path that the policy allows, or have the user change it: `keyhold update --help`.',
  ),
};

/** The error as a call throws it. `request_id`: names the cause in the log, for an unknown error. */
export function withNextStep(thrown: unknown, request_id: string | undefined): VaultError {
  const { code, message, reason, required_scope }: VaultError =
    thrown instanceof VaultError
      ? thrown
      : new VaultError('INTERNAL', toPublicError(thrown, request_id).message);
  const own: NextStep = thrown instanceof VaultError ? nextStepOf(thrown) : {};
  const step = { ...((reason === undefined ? undefined : BY_REASON[reason]) ?? BY_CODE[code]), ...own };
  return new VaultError(code, message, {
    ...step,
    ...(reason === undefined ? {} : { reason }),
    ...(required_scope === undefined ? {} : { required_scope }),
    cause: thrown,
  });
}

/** The result; a rejection has the next step. */
export async function advised<Result>({ request_id }: Caller, result: Promise<Result>): Promise<Result> {
  try {
    return await result;
  } catch (error) {
    throw withNextStep(error, request_id);
  }
}
