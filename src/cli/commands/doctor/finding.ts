/** The result of one check of the doctor. */
import { type ErrorCode, toPublicError, VaultError } from '../../../contract/errors.ts';
import { describeFailure } from '../../../contract/logger.ts';
import type { CliContext } from '../../context.ts';

export interface Finding {
  /** Stable id of the check. */
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** How to fix it; `null` if nothing has to be done. */
  readonly remedy: string | null;
  /** The error code that other commands end with because of this failure. */
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

/** The finding of a check that threw. The cause of an unknown error is logged; the other checks continue. */
export async function checkFailed(context: CliContext, check: string, thrown: unknown): Promise<Finding> {
  if (thrown instanceof VaultError) return fail(check, thrown.code, thrown.message, null);
  const { code, message, request_id } = toPublicError(thrown, context.caller().request_id);
  try {
    (await context.log()).error({ check, request_id, failure: describeFailure(thrown) }, 'check failed');
  } catch {
    // An invalid setting, which a separate finding reports, prevents logging.
  }
  return fail(check, code, message, null);
}
