/** Reads all rows of a vault file in pages, for copies of it. */
import type { Database, Statement } from 'better-sqlite3';
import type { CopiedRecord, RowCounts, RowReader, StoredEntry, StoredHead, WrappedKey } from '../../store.ts';
import { TRANSFER_PAGE_BYTES, TRANSFER_PAGE_ROWS } from '../../transfer.ts';
import { waitWhileBusy } from '../errors.ts';
import { POSITIONS_PER_ORGANIZATION } from '../schema.ts';
import {
  chainStart,
  type EntryRow,
  prepareStatements,
  type Statements,
  toStoredHead,
} from '../statements.ts';

/** Before the first key. */
const NO_KEY = { owner: Buffer.alloc(0), version: 0 };

export class SqliteRowReader implements RowReader {
  readonly #sql: Statements;
  readonly #own: ReturnType<typeof prepare>;

  /** `database`: of the present format. */
  constructor(database: Database) {
    this.#sql = prepareStatements(database);
    this.#own = prepare(database);
  }

  async counts(): Promise<RowCounts> {
    return waitWhileBusy(() => {
      const { keys, records, entries, last_seq } = this.#own;
      return {
        keys: keys.get() ?? 0,
        records: records.get() ?? 0,
        entries: entries.get() ?? 0,
        last_seq: last_seq.get() ?? 0,
      };
    });
  }

  async keys(after: WrappedKey | undefined): Promise<readonly WrappedKey[]> {
    const { owner, version } = after ?? NO_KEY;
    return waitWhileBusy(() => this.#own.key_page.all(owner, version, TRANSFER_PAGE_ROWS));
  }

  async records(after: number): Promise<readonly CopiedRecord[]> {
    return waitWhileBusy(() =>
      page(
        this.#own.record_page.iterate(after, TRANSFER_PAGE_ROWS),
        ({ sealed_meta, sealed_values }) => sealed_meta.length + sealed_values.length,
      ),
    );
  }

  async heads(): Promise<readonly StoredHead[]> {
    return waitWhileBusy(() => this.#sql.heads.all().map(toStoredHead));
  }

  async entries(organization: Buffer, from_position: number): Promise<readonly StoredEntry[]> {
    return waitWhileBusy(() => {
      const start = chainStart(this.#sql, organization);
      if (start === undefined) return [];
      const rows = this.#sql.entries.iterate(
        start + from_position,
        start + POSITIONS_PER_ORGANIZATION,
        TRANSFER_PAGE_ROWS,
      );
      const read: readonly EntryRow[] = page(rows, ({ sealed }) => sealed.length);
      return read.map(({ seq, ...entry }) => ({ position: seq - start, ...entry }));
    });
  }
}

/** The first rows, until they have the bytes of a page. */
function page<Row>(rows: IterableIterator<Row>, bytesOf: (row: Row) => number): Row[] {
  const taken: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    taken.push(row);
    bytes += bytesOf(row);
    if (bytes >= TRANSFER_PAGE_BYTES) break;
  }
  return taken;
}

function prepare(database: Database) {
  const count = (table: string) => database.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck();
  const key_page: Statement<[Buffer, number, number], WrappedKey> = database.prepare(
    'SELECT owner, version, wrapped FROM wrapped_key WHERE (owner, version) > (?, ?) ORDER BY owner, version LIMIT ?',
  );
  const record_page: Statement<[number, number], CopiedRecord> = database.prepare(
    `SELECT rowid AS seq, kind, id, scope, blind_index AS "index", revision, key_version, sealed_meta, sealed_values, organization
     FROM record WHERE rowid > ? ORDER BY rowid LIMIT ?`,
  );
  return {
    keys: count('wrapped_key'),
    records: count('record'),
    entries: count('audit_entry'),
    last_seq: database.prepare<[], number>('SELECT coalesce(max(rowid), 0) FROM record').pluck(),
    key_page,
    record_page,
  };
}
