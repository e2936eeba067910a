/**
 * Reads many rows in one round trip. At most two batches are in flight; reads that arrive meanwhile share the next one. A
 * read never joins a batch that was sent before it.
 */
import type { Query, Rows } from './connection.ts';
import { keyOf } from './statements.ts';

const BATCHES_MAX = 2;
const READS_PER_BATCH_MAX = 1_000;

/** One kind of read: the statement for many keys, and the key of each row that it returns. */
export interface ReadKind<Row> {
  readonly query: (keys: readonly Buffer[]) => Query;
  readonly rows: (rows: Rows) => readonly Row[];
  readonly keyOfRow: (row: Row) => Buffer;
}

interface Batch {
  readonly queries: Query[];
  readonly settle: ((rows: Rows) => void)[];
  readonly reject: ((error: unknown) => void)[];
}

interface Waiting {
  readonly key: Buffer;
  readonly resolve: (row: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class ReadBatcher {
  readonly #run: (queries: readonly Query[]) => Promise<readonly Rows[]>;
  readonly #waiting = new Map<ReadKind<unknown>, Waiting[]>();
  #in_flight = 0;
  #is_scheduled = false;

  /** `run` sends queries together. */
  constructor(run: (queries: readonly Query[]) => Promise<readonly Rows[]>) {
    this.#run = run;
  }

  /** Whether a read has not settled. */
  get is_busy(): boolean {
    return this.#in_flight > 0 || this.#waiting.size > 0;
  }

  /** The row with this key, as it is after this call. */
  read<Row>(kind: ReadKind<Row>, key: Buffer): Promise<Row | undefined> {
    return new Promise((resolve, reject) => {
      const of_kind = kind as ReadKind<unknown>;
      const waiting = this.#waiting.get(of_kind) ?? [];
      if (waiting.length === 0) this.#waiting.set(of_kind, waiting);
      waiting.push({ key, resolve: (row) => resolve(row as Row | undefined), reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#is_scheduled || this.#in_flight >= BATCHES_MAX) return;
    this.#is_scheduled = true;
    process.nextTick(() => {
      this.#is_scheduled = false;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    const batch = this.#takeBatch();
    if (batch.queries.length === 0) return;
    this.#in_flight += 1;
    try {
      const results = await this.#run(batch.queries);
      for (const [at, settle] of batch.settle.entries()) settle(results[at] ?? []);
    } catch (error) {
      for (const reject of batch.reject) reject(error);
    } finally {
      this.#in_flight -= 1;
      // After the callers that were just resolved have made their next reads.
      if (this.#waiting.size > 0) setImmediate(() => this.#schedule());
    }
  }

  #takeBatch(): Batch {
    const batch: Batch = { queries: [], settle: [], reject: [] };
    for (const [kind, waiting] of this.#waiting) {
      const taken = waiting.splice(0, READS_PER_BATCH_MAX);
      if (waiting.length === 0) this.#waiting.delete(kind);
      const keys = new Map(taken.map(({ key }) => [keyOf(key), key]));
      batch.queries.push(kind.query([...keys.values()]));
      batch.settle.push((rows) => {
        const found = new Map(kind.rows(rows).map((row) => [keyOf(kind.keyOfRow(row)), row]));
        for (const { key, resolve } of taken) resolve(found.get(keyOf(key)));
      });
      batch.reject.push((error) => {
        for (const { reject } of taken) reject(error);
      });
    }
    return batch;
  }
}
