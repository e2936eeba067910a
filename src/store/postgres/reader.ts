/**
 * The connection of everything that may be repeated: reads, and creating a vault. Waits for a primary during an outage, and
 * for the requests in progress when it is closed.
 */
import {
  type CheckSession,
  Connection,
  type PostgresOptions,
  type Query,
  type Rows,
  type Session,
} from './connection.ts';
import { retryUntil } from './errors.ts';
import { ReadBatcher, type ReadKind } from './read_batcher.ts';

export class Reader {
  readonly #connection: Connection;
  readonly #outage_timeout_ms: number;
  readonly #batcher = new ReadBatcher((queries) => this.run(queries));
  readonly #running = new Set<Promise<unknown>>();
  #is_closing = false;

  constructor(options: PostgresOptions, check: CheckSession, outage_timeout_ms: number) {
    this.#connection = new Connection(options, check);
    this.#outage_timeout_ms = outage_timeout_ms;
  }

  /** Whether a connection was open at any time. */
  get has_connected(): boolean {
    return this.#connection.has_connected;
  }

  /** Does not wait for a primary. */
  session(): Promise<Session> {
    return this.#connection.session();
  }

  /** The row with this key, in a batch with others. */
  read<Row>(kind: ReadKind<Row>, key: Buffer): Promise<Row | undefined> {
    return this.#batcher.read(kind, key);
  }

  run(queries: readonly Query[]): Promise<readonly Rows[]> {
    return this.withSession((session) => session.run(queries));
  }

  async withSession<Result>(act: (session: Session) => Promise<Result>): Promise<Result> {
    const deadline_ms = this.#deadline();
    const result = retryUntil(
      () => this.#is_closing || performance.now() > deadline_ms,
      async () => act(await this.#connection.session()),
    );
    this.#running.add(result);
    try {
      return await result;
    } finally {
      this.#running.delete(result);
    }
  }

  /** Resolves once all requests have settled, which are not repeated any more, and the connection is closed. */
  async close(): Promise<void> {
    this.#is_closing = true;
    // Batches of reads wait for those before them.
    while (this.#running.size > 0 || this.#batcher.is_busy) {
      await Promise.allSettled(this.#running);
      await new Promise(setImmediate);
    }
    await this.#connection.close();
  }

  /** A database that was never reached is more likely a wrong setting than an outage. */
  #deadline(): number {
    return this.has_connected ? performance.now() + this.#outage_timeout_ms : Number.NEGATIVE_INFINITY;
  }
}
