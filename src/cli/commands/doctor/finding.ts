/** What a check of the doctor comes back with. */
import { type ErrorCode, toPublicError, VaultError } from '../../../contract/errors.ts';
import { describeFailure } from '../../../contract/logger.ts';
import type { CliContext } from '../../context.ts';

export interface Finding {
  /** What was checked; a stable word. */
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do about it; `null` where nothing needs to be done. */
  readonly remedy: string | null;
  /** Of a failed check: the code that other commands fail with because of it. */
  readonly code?: ErrorCode;
}

export function ok(check: string, message: string): Finding {
  return { check, state: 'ok', message, remedy: null };
}

export function warn(check: string, message: string, remedy: string | null): Finding {
  return { check, state: 'warn', message, remedy };
}

export function fail(check: string, code: ErrorCode, message: string, remedy: string | null): Finding {
  return { check, state: 'fail', message, remedy, code };
}

/** What a check failed with. An unknown failure leaves its cause in the log, and lets the other checks go on. */
export async function checkFailed(context: CliContext, check: string, thrown: unknown): Promise<Finding> {
  if (thrown instanceof VaultError) return fail(check, thrown.code, thrown.message, null);
  const { code, message, request_id } = toPublicError(thrown, context.caller().request_id);
  try {
    (await context.log()).error({ check, request_id, failure: describeFailure(thrown) }, 'check failed');
  } catch {
    // With a wrong setting there is no log, and that is a finding of its own.
  }
  return fail(check, code, message, null);
}
