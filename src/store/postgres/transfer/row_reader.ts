/** Reads all rows of a vault in a database in pages, for copies of it. */
import type { CopiedRecord, RowCounts, RowReader, StoredEntry, StoredHead, WrappedKey } from '../../store.ts';
import { TRANSFER_PAGE_BYTES, TRANSFER_PAGE_ROWS } from '../../transfer.ts';
import type { Query, Rows, Session } from '../connection.ts';
import { toStoreError } from '../errors.ts';
import {
  ALL_HEADS,
  keysAfterQuery,
  toEntries,
  toRecords,
  toStoredHeads,
  toWrappedKeys,
} from '../statements.ts';

/** A page of rows takes longer than the requests of a vault. */
const TRANSFER_TIMEOUT_MS = 60_000;

const COUNTS: Query = {
  text: `SELECT (SELECT count(*) FROM keyhold.wrapped_key), (SELECT count(*) FROM keyhold.record),
    (SELECT count(*) FROM keyhold.audit_entry), (SELECT coalesce(max(seq), 0) FROM keyhold.record)`,
};

export class PostgresRowReader implements RowReader {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async counts(): Promise<RowCounts> {
    const [row] = await this.#rows(COUNTS);
    const [keys = 0, records = 0, entries = 0, last_seq = 0] = (row ?? []) as readonly number[];
    return { keys, records, entries, last_seq };
  }

  async keys(after: WrappedKey | undefined): Promise<readonly WrappedKey[]> {
    return toWrappedKeys(await this.#rows(keysAfterQuery(TRANSFER_PAGE_ROWS, after)));
  }

  async records(after: number): Promise<readonly CopiedRecord[]> {
    const rows = await this.#rows({ name: 'record_page', text: RECORD_PAGE, values: [String(after)] });
    return toRecords(rows).map((record, at) => ({
      ...record,
      seq: Number(rows[at]?.[8]),
      organization: rows[at]?.[9] as Buffer,
    }));
  }

  async heads(): Promise<readonly StoredHead[]> {
    return toStoredHeads(await this.#rows(ALL_HEADS));
  }

  async entries(organization: Buffer, from_position: number): Promise<readonly StoredEntry[]> {
    const values = [organization, String(from_position)];
    return toEntries(await this.#rows({ name: 'entry_page', text: ENTRY_PAGE, values }));
  }

  async #rows(query: Query): Promise<Rows> {
    return (await this.send([query]))[0] ?? [];
  }

  /** Rejects with VaultError. */
  protected async send(queries: readonly Query[]): Promise<readonly Rows[]> {
    try {
      return await this.#session.run(queries, TRANSFER_TIMEOUT_MS);
    } catch (error) {
      throw toStoreError(error);
    }
  }
}

/** The first rows, until they have the bytes of a page. The server knows the sizes without reading the ciphertexts. */
function page(columns: string, from: string, size: string, order: string): string {
  return `SELECT ${columns} FROM (
      SELECT *, sum(size) OVER (ORDER BY ${order}) - size AS bytes_before FROM (
        SELECT *, ${size} AS size FROM (${from} ORDER BY ${order} LIMIT ${TRANSFER_PAGE_ROWS}) first
      ) sized
    ) page WHERE bytes_before < ${TRANSFER_PAGE_BYTES} ORDER BY ${order}`;
}

const RECORD_PAGE = page(
  'id, kind, scope, blind_index, revision, key_version, sealed_meta, sealed_values, seq, organization',
  'SELECT * FROM keyhold.record WHERE seq > $1',
  'octet_length(sealed_meta) + octet_length(sealed_values)',
  'seq',
);
const ENTRY_PAGE = page(
  'position, key_version, sealed, link, head_mac',
  `SELECT e.position, e.key_version, e.sealed, e.link, c.head_mac FROM keyhold.audit_entry e
    LEFT JOIN keyhold.audit_chain c USING (organization, position)
    WHERE e.organization = $1 AND e.position >= $2`,
  'octet_length(sealed)',
  'position',
);
