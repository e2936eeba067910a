/** Classifies errors of the driver and of the server, and converts them to VaultErrors without host, SQL and values. */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { errnoOf } from '../../io/errno.ts';
import {
  connectionRow,
  type ErrorRow,
  NOT_OWNER,
  NOT_WRITABLE,
  stateRow,
  TIMED_OUT,
  UNREACHABLE,
} from './error_table.ts';

/** The five characters of an error response of the server; `undefined` for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = errnoOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && error instanceof Error && 'severity' in error
    ? code
    : undefined;
}

/** No connection could be opened: nothing was sent. */
export class ConnectError extends Error {
  readonly row: ErrorRow;

  constructor(row: ErrorRow, cause?: unknown) {
    super(row.message, { cause: withoutDetail(cause) });
    this.name = 'ConnectError';
    this.row = row;
  }

  /** Whether a later attempt may succeed without a change of the settings. */
  get is_temporary(): boolean {
    const state = sqlStateOf(this.cause);
    return this.row === UNREACHABLE || this.row === NOT_WRITABLE || state === '53300';
  }
}

/** The error of a failed attempt to connect to one host. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const state = sqlStateOf(error);
  if (state !== undefined) return new ConnectError(stateRow(state), error);
  return new ConnectError(connectionRow(errnoOf(error), error instanceof Error ? error.message : ''), error);
}

/** The connection broke or the server did not respond in time: whether a statement was executed is unknown. */
export function isConnectionBroken(error: unknown): boolean {
  if (error instanceof VaultError || error instanceof ConnectError) return false;
  const state = sqlStateOf(error);
  return state === undefined || /^(?:08|57P0)/.test(state);
}

/** The server was demoted to a standby: nothing was done, and another host is the primary. */
export function isDemoted(error: unknown): boolean {
  return sqlStateOf(error) === '25006';
}

/** Serialization failure, deadlock, lock timeout: nothing was done, and the same transaction may succeed. */
export function isRetryable(error: unknown): boolean {
  return /^(?:40|55P03)/.test(sqlStateOf(error) ?? '');
}

/** Whether the same request may succeed later, on this host or another. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof ConnectError) return error.is_temporary;
  return error instanceof BrokenConnectionError || isDemoted(error) || isRetryable(error);
}

/** Returns errors that are not of the database unchanged. */
export function toStoreError(thrown: unknown): Error {
  if (thrown instanceof VaultError) return thrown;
  if (thrown instanceof ConnectError) return vaultError(thrown.row, thrown.cause);
  const state = sqlStateOf(thrown);
  if (state !== undefined) return vaultError(stateRow(state), thrown);
  if (thrown instanceof BrokenConnectionError)
    return vaultError(thrown.is_timeout ? TIMED_OUT : UNREACHABLE, thrown);
  return thrown instanceof Error ? thrown : vaultError(stateRow(''), thrown);
}

/** The text of the driver's error past `query_timeout`, which has no code. */
const TIMEOUT_MESSAGE = 'Query read timeout';

/** The driver's error for a statement that was sent on a connection that broke, or whose response did not come in time. */
export class BrokenConnectionError extends Error {
  constructor(cause: unknown) {
    super('The connection to the database was lost.', { cause });
    this.name = 'BrokenConnectionError';
  }

  get is_timeout(): boolean {
    return this.cause instanceof Error && this.cause.message === TIMEOUT_MESSAGE;
  }
}

/** Nothing was changed, and the same request may succeed later. */
export function busyError(): VaultError {
  return vaultError(stateRow('55'), undefined);
}

/** The connection broke during a commit, and the database could not be reached to find out whether it was made. */
export function unknownOutcomeError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The connection to the database broke before it confirmed this write: it may or may not have been made. Check the present state before you try again.',
    { reason: 'outcome_unknown' },
  );
}

export function rolledBackError(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The database is older than what it confirmed to this process: a failover lost writes, or a backup was restored. Nothing is read or written. Make the newest copy the primary; or accept this one with `keyhold audit verify --accept`, then restart Keyhold.',
    { reason: 'store_rolled_back' },
  );
}

/** The role reads and writes rows only. */
export function notOwnerError(cause: unknown): VaultError {
  return vaultError(NOT_OWNER, cause);
}

export function isPermissionMissing(error: unknown): boolean {
  return sqlStateOf(error) === '42501';
}

const RETRY_MS = 100;

/** Repeats `act` after failures that may pass, until `isOver`. */
export async function retryUntil<Result>(isOver: () => boolean, act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!isTemporary(error) || isOver()) throw toStoreError(error);
      await sleep(RETRY_MS);
    }
  }
}

function vaultError({ code, reason, message }: ErrorRow, cause: unknown): VaultError {
  return new VaultError(code, message, {
    cause: withoutDetail(cause),
    ...(reason === undefined ? {} : { reason }),
  });
}

/** An error response of the server quotes rows and statements in its further fields: keeps its message and state only. */
export function withoutDetail(error: unknown): unknown {
  const state = sqlStateOf(error);
  if (state === undefined || !(error instanceof Error)) return error;
  return Object.assign(new Error(error.message), { code: state, severity: 'ERROR' });
}
