/** Why the server refused a group, from the error of its statement. */
import { sqlStateOf } from '../errors.ts';
import { KEYS_CHANGED } from './write_statement.ts';

/** lock_not_available: another node has kept a head locked. */
export function isLockTimeout(error: unknown): boolean {
  return sqlStateOf(error) === '55P03';
}

/** The vault has other wrapped keys than the change of its root key. */
export function hasOtherKeys(error: unknown): boolean {
  return error instanceof Error && error.message.includes(KEYS_CHANGED);
}

/** A condition of the statement, or a unique value that exists. */
export function isConflict(error: unknown): boolean {
  return /^(?:22P02|23505)$/.test(sqlStateOf(error) ?? '');
}

/** The next position of a chain has an entry although its head does not. */
export function isTakenPosition(error: unknown): boolean {
  return constraintOf(error) === 'audit_entry_pkey';
}

function constraintOf(error: unknown): unknown {
  return error instanceof Error && 'constraint' in error ? error.constraint : undefined;
}
