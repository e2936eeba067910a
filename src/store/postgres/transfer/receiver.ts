/** Writes the rows of a copied vault into a database whose vault cannot be opened yet. */
import type { CopiedRecord, StoreHeader, WrappedKey } from '../../store.ts';
import type { CopiedEntries, RowWrites, StoreReceiver } from '../../transfer.ts';
import { byteaArray, int4Array, int8Array, textArray } from '../arrays.ts';
import type { Connection, Query, Session } from '../connection.ts';
import { BEGIN, COMMIT, ROLLBACK } from '../statements.ts';
import { PostgresRowReader } from './row_reader.ts';

export class PostgresReceiver extends PostgresRowReader implements StoreReceiver {
  readonly #connection: Connection;

  constructor(connection: Connection, session: Session) {
    super(session);
    this.#connection = connection;
  }

  async write(rows: RowWrites): Promise<void> {
    const { header, removed_keys = [], keys = [], removed_records = [], records = [], entries } = rows;
    const queries = [
      ...(header === undefined ? [] : [headerQuery(header)]),
      ...(removed_keys.length === 0 ? [] : [removeKeysQuery(removed_keys)]),
      ...(keys.length === 0 ? [] : [keysQuery(keys)]),
      ...(removed_records.length === 0 ? [] : [removeRecordsQuery(removed_records)]),
      ...(records.length === 0 ? [] : recordQueries(records)),
      ...(entries === undefined ? [] : entryQueries(entries)),
    ];
    if (queries.length === 0) return;
    try {
      // COMMIT ends a transaction with a failed statement without its writes.
      await this.send([BEGIN, ...queries, COMMIT]);
    } catch (error) {
      await this.send([ROLLBACK]).catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

function headerQuery(header: StoreHeader): Query {
  const { root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed } = header;
  const values = [root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed];
  return {
    text: `UPDATE keyhold.vault SET root_key_id = $1, root_key_source = $2, passphrase_salt = $3, created_at = $4,
      root_key_ref = $5, root_key_sealed = $6`,
    values: values.map((value) => value ?? null),
  };
}

function removeKeysQuery(keys: readonly WrappedKey[]): Query {
  return {
    text: `DELETE FROM keyhold.wrapped_key k USING unnest($1::bytea[], $2::integer[]) AS u(owner, version)
      WHERE k.owner = u.owner AND k.version = u.version`,
    values: [byteaArray(keys.map(({ owner }) => owner)), int4Array(keys.map(({ version }) => version))],
  };
}

function keysQuery(keys: readonly WrappedKey[]): Query {
  return {
    text: `INSERT INTO keyhold.wrapped_key (owner, version, wrapped)
      SELECT * FROM unnest($1::bytea[], $2::integer[], $3::bytea[])
      ON CONFLICT (owner, version) DO UPDATE SET wrapped = excluded.wrapped`,
    values: [
      byteaArray(keys.map(({ owner }) => owner)),
      int4Array(keys.map(({ version }) => version)),
      byteaArray(keys.map(({ wrapped }) => wrapped)),
    ],
  };
}

function removeRecordsQuery(seqs: readonly number[]): Query {
  return { text: 'DELETE FROM keyhold.record WHERE seq = ANY($1::bigint[])', values: [int8Array(seqs)] };
}

function recordQueries(records: readonly CopiedRecord[]): Query[] {
  const ids = byteaArray(records.map(({ id }) => id));
  const seqs = int8Array(records.map(({ seq }) => seq));
  const indexes = byteaArray(records.map(({ index }) => index));
  return [
    {
      text: `DELETE FROM keyhold.record
        WHERE seq = ANY($1::bigint[]) OR id = ANY($2::bytea[]) OR blind_index = ANY($3::bytea[])`,
      values: [seqs, ids, indexes],
    },
    {
      text: `INSERT INTO keyhold.record
          (id, seq, kind, organization, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[],
          $8::integer[], $9::bytea[], $10::bytea[])`,
      values: [
        ids,
        seqs,
        textArray(records.map(({ kind }) => kind)),
        byteaArray(records.map(({ organization }) => organization)),
        byteaArray(records.map(({ scope }) => scope)),
        indexes,
        int8Array(records.map(({ revision }) => revision)),
        int4Array(records.map(({ key_version }) => key_version)),
        byteaArray(records.map(({ sealed_meta }) => sealed_meta)),
        byteaArray(records.map(({ sealed_values }) => sealed_values)),
      ],
    },
  ];
}

/** The last one becomes the head of its chain. */
function entryQueries({ organization, entries }: CopiedEntries): Query[] {
  const last = entries.at(-1);
  if (last === undefined) return [];
  return [
    {
      text: `INSERT INTO keyhold.audit_entry (organization, position, key_version, sealed, link)
        SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::bytea[], $5::bytea[])`,
      values: [
        organization,
        int8Array(entries.map(({ position }) => position)),
        int4Array(entries.map(({ key_version }) => key_version)),
        byteaArray(entries.map(({ sealed }) => sealed)),
        byteaArray(entries.map(({ link }) => link)),
      ],
    },
    {
      text: `INSERT INTO keyhold.audit_chain (organization, position, link, head_mac) VALUES ($1, $2, $3, $4)
        ON CONFLICT (organization)
        DO UPDATE SET position = excluded.position, link = excluded.link, head_mac = excluded.head_mac`,
      values: [organization, String(last.position), last.link, last.head_mac],
    },
  ];
}
