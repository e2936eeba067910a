/** What a check of the doctor comes back with. */
import { type ErrorCode, VaultError } from '../../contract/errors.ts';

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

/** A failure that says itself what to do. Anything but a VaultError is thrown on. */
export function failedWith(check: string, thrown: unknown): Finding {
  if (!(thrown instanceof VaultError)) throw thrown;
  return fail(check, thrown.code, thrown.message, null);
}
