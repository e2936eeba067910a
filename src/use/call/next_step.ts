/** The next step after an error of a call, for every code: that of the error itself, or else of its reason or code. */
import type { Caller } from '../../contract/caller.ts';
import {
  adviceFor,
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

/** The same call may succeed later. With other codes, a person or other arguments are needed first. */
const RETRIED: ReadonlySet<ErrorCode> = new Set(['RATE_LIMITED', 'UPSTREAM']);

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
  const usual = {
    next: adviceFor({ code, message, ...(reason === undefined ? {} : { reason }) }),
    retry: RETRIED.has(code),
  };
  const step = { ...((reason === undefined ? undefined : BY_REASON[reason]) ?? usual), ...own };
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
