/**
 * Connections to the primary of a PostgreSQL cluster. Statements that are sent together share one round trip (`pipeline` of
 * `pg`). A connection is opened when it is needed, and again after it was lost; it never decides whether to repeat a statement.
 */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Client, ClientConfig } from 'pg';
import { VaultError } from '../../contract/errors.ts';
import { closedError } from '../errors.ts';
import { parserOf } from './arrays.ts';
import { NOT_WRITABLE, UNREACHABLE } from './error_table.ts';
import {
  BrokenConnectionError,
  ConnectError,
  isConnectionBroken,
  isDemoted,
  toConnectError,
} from './errors.ts';

export interface PostgresHost {
  /** Name, address, or the folder of a socket. */
  readonly host: string;
  readonly port: number;
  /** `undefined`: without TLS. */
  readonly tls: TlsOptions | undefined;
}

export interface PostgresOptions {
  /** The members of a cluster; the primary among them is found at each connection. */
  readonly hosts: readonly PostgresHost[];
  readonly database: string;
  readonly user: string;
  /** Called for each connection, so that a changed password needs no restart. */
  readonly readPassword: (host: PostgresHost) => Promise<string | undefined>;
  readonly connect_timeout_ms?: number;
  /** How long reads and writes wait for a primary during an outage; the default is `STORE_OUTAGE_TIMEOUT_MS`. */
  readonly outage_timeout_ms?: number;
}

export interface Query {
  /** Prepared under this name, once per connection. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** The rows of one statement; a row is an array of its columns. */
export type Rows = readonly (readonly unknown[])[];

const CONNECT_TIMEOUT_MS = 3_000;
const QUERY_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_DELAY_MS = 5_000;
/** How long a server may take to close a connection, which a frozen one never does. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * The role and the database may have other defaults. Every statement of a request finds its rows by a key. Without statistics, as in
 * a new database, the planner would choose scans of whole tables, and a prepared statement would keep that plan while the table
 * grows. Compiling takes longer than they do.
 */
const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  default_transaction_isolation: 'read committed',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  jit: 'off',
  // Less than the query timeout: the server reports a lock that is taken, and the connection remains.
  lock_timeout: '2s',
  // The server ends a transaction whose client has vanished: it would block an organization.
  idle_in_transaction_session_timeout: '5s',
  // The format that `parserOf` reads.
  bytea_output: 'hex',
};

/** The function of the server that waits for a synchronous standby, and warns if the wait was canceled. */
const SYNC_WAIT_ROUTINE = 'SyncRepWaitForLSN';

/** Whether the server accepts writes, as SQL. */
export const IS_WRITABLE = `current_setting('transaction_read_only') = 'off' AND NOT pg_is_in_recovery()`;

/** Not as start-up parameters, which PgBouncer refuses. Commits are durable even if the database or the role has another default. */
const HELLO: Query = {
  text: `SELECT ${IS_WRITABLE},
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
    ${Object.entries(SESSION_SETTINGS)
      .map(([name, value]) => `set_config('${name}', '${value}', false)`)
      .join(', ')}`,
};

/** One open connection. */
export class Session {
  readonly #client: Client;
  #is_broken = false;
  /** The server gave up waiting for a synchronous standby since the last `takeWarning`. */
  #has_warning = false;

  constructor(client: Client) {
    this.#client = client;
    client.on('error', () => {
      this.#is_broken = true;
    });
    client.on('end', () => {
      this.#is_broken = true;
    });
    client.on('notice', ({ routine }) => {
      if (routine === SYNC_WAIT_ROUTINE) this.#has_warning = true;
    });
  }

  get is_broken(): boolean {
    return this.#is_broken;
  }

  /** Whether a commit since the last call may be missing on the synchronous standby. */
  takeWarning(): boolean {
    const had_warning = this.#has_warning;
    this.#has_warning = false;
    return had_warning;
  }

  /**
   * Sends all statements at once. Rejects with the error of the first that failed, after all have ended; with BrokenConnectionError
   * if it is unknown whether that one was executed.
   */
  async run(queries: readonly Query[], timeout_ms = QUERY_TIMEOUT_MS): Promise<readonly Rows[]> {
    const results = await Promise.allSettled(
      queries.map(({ name, text, values = [] }) => {
        const query = { text, values: [...values], rowMode: 'array' as const, query_timeout: timeout_ms };
        return this.#client.query(name === undefined ? query : { ...query, name });
      }),
    );
    return results.map((result) => {
      if (result.status === 'fulfilled') return result.value.rows;
      const { reason } = result;
      if (isDemoted(reason)) this.end();
      if (!isConnectionBroken(reason)) throw reason;
      this.end();
      throw new BrokenConnectionError(reason);
    });
  }

  /** Does not wait for the server. */
  end(): void {
    void this.close();
  }

  /** Resolves when the connection is closed, by the server or after `CLOSE_TIMEOUT_MS`. Never rejects. */
  async close(): Promise<void> {
    this.#is_broken = true;
    const { stream } = this.#client.connection;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        stream.destroy();
        resolve();
      }, CLOSE_TIMEOUT_MS);
      this.#client
        .end()
        .catch(() => undefined)
        .finally(() => {
          clearTimeout(timer);
          resolve();
        });
    });
  }
}

/** Throws if the database of this session must not be used. */
export type CheckSession = (session: Session) => Promise<void>;

export class Connection {
  readonly #options: PostgresOptions;
  readonly #check: CheckSession;
  #session: Promise<Session> | undefined;
  #has_connected = false;
  #is_closed = false;

  constructor(options: PostgresOptions, check: CheckSession) {
    this.#options = options;
    this.#check = check;
  }

  /** Whether a connection was open at any time: the settings are right, and a failure may pass. */
  get has_connected(): boolean {
    return this.#has_connected;
  }

  /** The open session, or a new one to the primary. Rejects with ConnectError, or after `close` with VaultError: nothing was sent. */
  async session(): Promise<Session> {
    const current = this.#session;
    const open = await current?.catch(() => undefined);
    if (this.#is_closed) throw closedError();
    if (open !== undefined && !open.is_broken) return open;
    // Callers that wait at the same time share one attempt.
    if (this.#session === current || this.#session === undefined) this.#session = this.#open();
    return this.#session;
  }

  async close(): Promise<void> {
    this.#is_closed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  /** Tries all hosts at the same time; the first that is the primary is used. */
  async #open(): Promise<Session> {
    const attempts = this.#options.hosts.map((host) => this.#openHost(host));
    try {
      const session = await Promise.any(attempts);
      closeOthers(attempts, session);
      this.#has_connected = true;
      return session;
    } catch (error) {
      throw mostUseful(error instanceof AggregateError ? error.errors : [error]);
    }
  }

  async #openHost(host: PostgresHost): Promise<Session> {
    try {
      const { default: pg } = await import('pg');
      const client = new pg.Client(configOf(this.#options, host));
      client.on('error', () => undefined);
      const session = new Session(client);
      try {
        await client.connect();
        const [[is_primary] = []] = (await session.run([HELLO]))[0] ?? [];
        if (is_primary !== true) throw new ConnectError(NOT_WRITABLE);
        await this.#check(session);
        return session;
      } catch (error) {
        session.end();
        throw error;
      }
    } catch (error) {
      throw error instanceof VaultError ? error : toConnectError(error);
    }
  }
}

function closeOthers(attempts: readonly Promise<Session>[], used: Session): void {
  for (const attempt of attempts) {
    attempt.then(
      (session) => {
        if (session !== used) session.end();
      },
      () => undefined,
    );
  }
}

/** An error response of one host is more useful than that another cannot be reached. */
function mostUseful(errors: readonly unknown[]): unknown {
  const rank = (error: unknown) => {
    if (!(error instanceof ConnectError)) return 3;
    if (error.row === UNREACHABLE) return 0;
    return error.row === NOT_WRITABLE ? 1 : 2;
  };
  return errors.toSorted((a, b) => rank(b) - rank(a))[0];
}

/**
 * Gives the settings that `pg` would otherwise take from environment variables. `PGOPTIONS` is accepted, as by psql.
 * `PGREPLICATION` cannot be replaced, because older PgBouncers refuse any value: with it, the server refuses the statements.
 */
function configOf(options: PostgresOptions, server: PostgresHost) {
  const { database, user, readPassword, connect_timeout_ms } = options;
  const { host, port, tls } = server;
  const config: ClientConfig = {
    host,
    port,
    database,
    user,
    // The types do not have the `undefined` that the driver accepts for a missing password.
    password: async () => (await readPassword(server)) ?? '',
    ssl: tls ?? false,
    sslnegotiation: 'postgres',
    application_name: 'keyhold',
    connectionTimeoutMillis: connect_timeout_ms ?? CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    pipeline: true,
    types: { getTypeParser: parserOf },
  };
  return config;
}
