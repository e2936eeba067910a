/** All rows of a vault in a file and in a database, read with the drivers, for the comparison of a moved vault. */
import { createRequire } from 'node:module';
import type Driver from 'better-sqlite3';
import pg from 'pg';
import { POSTGRESQL_OWNER, POSTGRESQL_OWNER_PASSWORD } from '../servers/postgresql.ts';

export interface VaultRows {
  readonly header: unknown;
  readonly keys: readonly unknown[];
  readonly records: readonly unknown[];
  readonly entries: readonly unknown[];
}

type Row = Record<string, unknown>;

const HEADER = 'root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed';
const RECORD =
  'kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values, organization';
const POSITIONS = 2 ** 32;
const openDriver = createRequire(import.meta.url)('better-sqlite3') as typeof Driver;

/** The vault must not be open in this process. */
export function rowsOfFile(path: string): VaultRows {
  const database = new openDriver(path, { readonly: true });
  try {
    const all = (sql: string) => database.prepare<[], Row>(sql).all();
    const header = all(`SELECT ${HEADER} FROM vault`);
    const keys = all('SELECT owner, version, wrapped FROM wrapped_key');
    const records = all(`SELECT place AS seq, ${RECORD} FROM record`);
    const entries = all(
      `SELECT c.organization, e.place - c.number * ${POSITIONS} AS position, e.key_version, e.sealed, e.link,
        e.end_seal AS head_mac FROM audit_chain c JOIN audit_entry e
        ON e.place > c.number * ${POSITIONS} AND e.place < (c.number + 1) * ${POSITIONS}`,
    );
    return asRows(header, keys, records, entries);
  } finally {
    database.close();
  }
}

/** Whether the file is marked as moving or moved. The vault must not be open in this process. */
export function isFileMoved(path: string): boolean {
  const database = new openDriver(path, { readonly: true });
  try {
    return Number(database.pragma('user_version', { simple: true })) > 0xff_ff;
  } finally {
    database.close();
  }
}

export async function rowsOfDatabase(port: number, database: string): Promise<VaultRows> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    database,
    user: POSTGRESQL_OWNER,
    password: POSTGRESQL_OWNER_PASSWORD,
  });
  await client.connect();
  try {
    const all = async (sql: string) => (await client.query<Row>(sql)).rows;
    const header = await all(`SELECT ${HEADER} FROM keyhold.vault`);
    const keys = await all('SELECT owner, version, wrapped FROM keyhold.wrapped_key');
    const records = await all(`SELECT seq, ${RECORD} FROM keyhold.record`);
    const entries = await all(
      `SELECT e.organization, e.position, e.key_version, e.sealed, e.link,
        coalesce(c.head_mac, decode(repeat('00', 32), 'hex')) AS head_mac
        FROM keyhold.audit_entry e LEFT JOIN keyhold.audit_chain c USING (organization, position)`,
    );
    return asRows(header, keys, records, entries);
  } finally {
    await client.end();
  }
}

function asRows(header: Row[], ...tables: [Row[], Row[], Row[]]): VaultRows {
  const [keys, records, entries] = tables.map((rows) => rows.map(textOf).sort());
  return { header: header.map(textOf), keys: keys ?? [], records: records ?? [], entries: entries ?? [] };
}

/** Columns in one order; numbers as text, because the drivers differ in big ones. */
function textOf(row: Row): string {
  const columns = Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
  return columns
    .map(([name, value]) => `${name}=${Buffer.isBuffer(value) ? value.toString('hex') : String(value)}`)
    .join(' ');
}
