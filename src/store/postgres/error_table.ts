/**
 * The meaning of each SQLSTATE (PostgreSQL documentation, appendix A) and of each errno of a connection: error code, reason
 * and remedy. A SQLSTATE without a row has the row of its class, its first two characters.
 */
import type { ErrorCode, ErrorReason } from '../../contract/errors.ts';

export interface ErrorRow {
  readonly code: ErrorCode;
  readonly reason?: ErrorReason;
  /** What happened, then what to do. */
  readonly message: string;
}

const unavailable = (reason: ErrorReason, message: string): ErrorRow => ({
  code: 'UNAVAILABLE',
  reason,
  message,
});

export const UNREACHABLE = unavailable(
  'database_unreachable',
  'The database cannot be reached. Check that it runs and that the hosts and ports in KEYHOLD_STORE are right, then try again.',
);
export const NOT_WRITABLE = unavailable(
  'read_only',
  'The database accepts no writes: every reachable host is a standby or is set to read-only. Name all hosts of the cluster in KEYHOLD_STORE, and check that one of them is the primary.',
);
export const NOT_VERIFIED = unavailable(
  'database_unreachable',
  'The TLS certificate of the database could not be verified, so nothing was sent. Set sslrootcert in KEYHOLD_STORE to the certificate of its authority, and use the host name that the certificate has.',
);
export const NO_TLS = unavailable(
  'database_unreachable',
  'The database does not support TLS, so nothing was sent. Enable TLS on the server (`ssl = on`), or change sslmode in KEYHOLD_STORE if the network is trusted.',
);
const WRONG_PASSWORD = unavailable(
  'database_denied',
  'The database refused the user or its password. Check the user in KEYHOLD_STORE, and KEYHOLD_STORE_PASSWORD, KEYHOLD_STORE_PASSWORD_FILE or ~/.pgpass.',
);
const NOT_ALLOWED = unavailable(
  'database_denied',
  'The database user lacks a permission that Keyhold needs. Run docs/postgres_roles.sql as the owner of the database, then try again.',
);
/** For commands that create or change tables. */
export const NOT_OWNER: ErrorRow = unavailable(
  'database_denied',
  'The database user may not create or change the tables of a vault, so the vault was not moved or restored. Connect as the role that owns the tables, such as keyhold_migrations of docs/postgres_roles.sql, then run the command again.',
);
const NO_DATABASE = unavailable(
  'vault_missing',
  'The database that KEYHOLD_STORE names does not exist. Create it, or correct its name.',
);
const BUSY = unavailable(
  'busy',
  'The database has been busy for too long and nothing was changed. Try again.',
);
/** The driver's time limit. Like a lost connection, it leaves open whether the statement was executed. */
export const TIMED_OUT = unavailable(
  'database_unreachable',
  'The database did not finish a statement in time. Check the load and the disk of its server and the network to it, then try again.',
);
const CANCELED = unavailable(
  'busy',
  'The database canceled a statement, and nothing was changed. If statement_timeout is set for the user or the database, raise it or set it to 0, then try again.',
);
const CONNECTIONS_FULL = unavailable(
  'busy',
  'The database has no connection left. Raise max_connections, or close other clients, then try again.',
);
const DISK_FULL = unavailable(
  'disk_full',
  'The disk of the database is full and nothing was changed. Free some space on its server, then try again.',
);
const NO_MEMORY = unavailable(
  'out_of_memory',
  'The database server has not enough memory and nothing was changed. Give it more, then try again.',
);
const DISK_ERROR = unavailable(
  'unreadable',
  'The database server reported a failure of its disk and nothing was changed. Check its log and its disk.',
);
const POOLED = unavailable(
  'database_denied',
  'A pooler gives each transaction another session of the database, which Keyhold cannot use. Connect to the database itself, or set pool_mode = session in PgBouncer.',
);
const TOO_LARGE: ErrorRow = {
  code: 'INVALID_INPUT',
  message: 'The data is larger than the database can store. Nothing was changed; store less at once.',
};
const DAMAGED: ErrorRow = {
  code: 'CORRUPT',
  reason: 'record_damaged',
  message:
    'The data of the vault in the database is damaged or was altered by another program. Restore it from a backup.',
};
const PROGRAM_ERROR: ErrorRow = {
  code: 'INTERNAL',
  message:
    'Something failed inside the store. Restart Keyhold; if it happens again, report it with the cause in the log.',
};

const STATE_ROWS: Readonly<Record<string, ErrorRow>> = {
  '08': UNREACHABLE,
  '22': DAMAGED,
  '23': DAMAGED,
  '25': BUSY,
  '25006': NOT_WRITABLE,
  // A prepared statement is missing, or is of another client.
  '26000': POOLED,
  '28': WRONG_PASSWORD,
  '3D': NO_DATABASE,
  '3F': DAMAGED,
  '40': BUSY,
  '42': PROGRAM_ERROR,
  '42501': NOT_ALLOWED,
  '42P05': POOLED,
  // A table or column is missing.
  '42703': DAMAGED,
  '42P01': DAMAGED,
  '53': BUSY,
  '53100': DISK_FULL,
  '53200': NO_MEMORY,
  '53300': CONNECTIONS_FULL,
  '54': TOO_LARGE,
  '55': BUSY,
  '57': BUSY,
  // statement_timeout, or an administrator.
  '57014': CANCELED,
  '57P01': UNREACHABLE,
  '57P02': UNREACHABLE,
  '57P03': UNREACHABLE,
  '57P04': NO_DATABASE,
  '58': DISK_ERROR,
  XX001: DAMAGED,
  XX002: DAMAGED,
};

/** The row of a SQLSTATE; every state has one. */
export function stateRow(state: string): ErrorRow {
  return STATE_ROWS[state] ?? STATE_ROWS[state.slice(0, 2)] ?? PROGRAM_ERROR;
}

/** The row of a failed connection, by errno, code of OpenSSL or the driver's message. */
export function connectionRow(errno: string | undefined, message: string): ErrorRow {
  if (message.includes('does not support SSL')) return NO_TLS;
  // The driver has no code for a missing password.
  if (message.startsWith('SASL')) return WRONG_PASSWORD;
  return /^(?:ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|ERR_SSL_)/.test(errno ?? '')
    ? NOT_VERIFIED
    : UNREACHABLE;
}
