/** The baseline: plain `pg` with prepared statements, in tables of the same schema, writing as many bytes as Keyhold. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';

const META = 'id, kind, scope, blind_index, revision, key_version, sealed_meta';
const FIND = { name: 'find', text: `SELECT ${META} FROM keyhold.record WHERE blind_index = $1` };
const RECORD_COLUMNS =
  'id, seq, kind, organization, scope, blind_index, revision, key_version, sealed_meta, sealed_values';
const RECORD_VALUES = `$1, nextval('keyhold.record_seq'), 'credential', $2, $3, $4, 1, 1, $5, $6`;
const RECORD = {
  name: 'record',
  text: `INSERT INTO keyhold.record (${RECORD_COLUMNS}) VALUES (${RECORD_VALUES})`,
};
const ENTRY = {
  name: 'entry',
  text: 'INSERT INTO keyhold.audit_entry (organization, position, key_version, sealed, link) VALUES ($1, $2, 1, $3, $4)',
};
const ONE_STATEMENT = {
  name: 'one_statement',
  text: `WITH record AS (INSERT INTO keyhold.record (${RECORD_COLUMNS}) VALUES (${RECORD_VALUES}))
    INSERT INTO keyhold.audit_entry (organization, position, key_version, sealed, link) VALUES ($2, $7, 1, $8, $9)`,
};

/** The lengths of the encrypted parts. */
export interface Sizes {
  readonly meta: number;
  readonly values: number;
  readonly entry: number;
}

/** The lengths of the newest credential's parts. */
export async function encryptedSizes(client: pg.Client): Promise<Sizes> {
  const { rows } = await client.query<Sizes>(
    `SELECT octet_length(sealed_meta) AS meta, octet_length(sealed_values) AS "values",
    (SELECT octet_length(sealed) FROM keyhold.audit_entry ORDER BY position DESC LIMIT 1) AS entry
    FROM keyhold.record ORDER BY seq DESC LIMIT 1`,
  );
  const [sizes] = rows;
  if (sizes === undefined) throw new Error('the vault is empty');
  return sizes;
}

export interface PlainWriter {
  /** BEGIN, a SELECT, two INSERTs and COMMIT. */
  transaction(): Promise<void>;
  /** Both INSERTs in one statement, without a transaction of its own. */
  statement(): Promise<void>;
}

export function plainWriter(client: pg.Client, sizes: Sizes): PlainWriter {
  const [organization, scope, link] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  const [meta, values, entry] = [
    randomBytes(sizes.meta),
    randomBytes(sizes.values),
    randomBytes(sizes.entry),
  ];
  let position = 0;
  return {
    async transaction() {
      const index = randomBytes(32);
      position += 1;
      await client.query('BEGIN');
      await client.query({ ...FIND, values: [index], rowMode: 'array' });
      await client.query({
        ...RECORD,
        values: [randomBytes(16), organization, scope, index, meta, values],
      });
      await client.query({ ...ENTRY, values: [organization, position, entry, link] });
      await client.query('COMMIT');
    },
    async statement() {
      position += 1;
      const record = [randomBytes(16), organization, scope, randomBytes(32), meta, values];
      await client.query({ ...ONE_STATEMENT, values: [...record, position, entry, link] });
    },
  };
}

/** Selects a row of a vault by its index, as a status does. */
export async function plainReader(client: pg.Client): Promise<() => Promise<void>> {
  const text = `SELECT blind_index FROM keyhold.record WHERE kind = 'credential' LIMIT 100`;
  const { rows } = await client.query<[Buffer]>({ text, rowMode: 'array' });
  let next = 0;
  return async () => {
    const [index] = rows[next++ % rows.length] ?? [];
    const found = await client.query({ ...FIND, values: [index], rowMode: 'array' });
    if (found.rows.length !== 1) throw new Error('the row was not found');
  };
}
