/** The statements that read, and the conversion of their rows. */
import type {
  ChainHead,
  LoadedRow,
  ScopeUsage,
  StoredEntry,
  StoredHead,
  StoredMeta,
  StoredRecord,
  WrappedKey,
} from '../store.ts';
import { byteaArray, int4Array, int8Array } from './arrays.ts';
import type { Query, Rows } from './connection.ts';

const META = 'id, kind, scope, blind_index, revision, key_version, sealed_meta';
type MetaRow = readonly [
  id: Buffer,
  kind: string,
  scope: Buffer,
  index: Buffer,
  revision: number,
  key_version: number,
  sealed_meta: Buffer,
];

const NO_BYTES: Buffer = Buffer.alloc(0);

/** Buffers as keys of maps. */
export function keyOf(bytes: Buffer): string {
  return bytes.toString('latin1');
}

function toMeta(row: readonly unknown[]): StoredMeta {
  const [id, kind, scope, index, revision, key_version, sealed_meta] = row as MetaRow;
  return { kind, id, scope, index, revision, key_version, sealed_meta, derived: undefined };
}

export const toMetas = (rows: Rows): StoredMeta[] => rows.map(toMeta);

export function toRecords(rows: Rows): StoredRecord[] {
  return rows.map((row) => ({ ...toMeta(row), sealed_values: row[7] as Buffer }));
}

export function findQuery(indexes: readonly Buffer[]): Query {
  const text = `SELECT ${META} FROM keyhold.record WHERE blind_index = ANY($1::bytea[])`;
  return { name: 'find', text, values: [byteaArray(indexes)] };
}

export function findByIdQuery(ids: readonly Buffer[]): Query {
  const text = `SELECT ${META} FROM keyhold.record WHERE id = ANY($1::bytea[])`;
  return { name: 'find_by_id', text, values: [byteaArray(ids)] };
}

export function getQuery(ids: readonly Buffer[]): Query {
  const text = `SELECT ${META}, sealed_values FROM keyhold.record WHERE id = ANY($1::bytea[])`;
  return { name: 'get', text, values: [byteaArray(ids)] };
}

/** The rows that a group of changes decides on. */
export interface RowKeys {
  readonly indexes: readonly Buffer[];
  readonly ids: readonly Buffer[];
  /** Of the indexes and ids before: those whose values are needed. */
  readonly with_values: readonly Buffer[];
}

/** A row with the organization that it belongs to. */
export interface OwnedRow extends LoadedRow {
  readonly organization: Buffer;
}

/** One statement, because all rows must be of one snapshot. A row may come twice. */
export function loadQuery({ indexes, ids, with_values }: RowKeys): Query {
  const select = (column: string, parameter: string) =>
    `SELECT ${META}, CASE WHEN ${column} = ANY($3::bytea[]) THEN sealed_values END, organization
     FROM keyhold.record WHERE ${column} = ANY(${parameter}::bytea[])`;
  return {
    name: 'load',
    text: `${select('blind_index', '$1')} UNION ALL ${select('id', '$2')}`,
    values: [byteaArray(indexes), byteaArray(ids), byteaArray(with_values)],
  };
}

export function toOwnedRows(rows: Rows): OwnedRow[] {
  return rows.map((row) => ({
    row: toMeta(row),
    sealed_values: (row[7] as Buffer | null) ?? undefined,
    organization: row[8] as Buffer,
  }));
}

/** Bigger than every sequence number. */
const AFTER_ALL = '9223372036854775807';

/** One record more than the limit shows that there is another page. */
export function listQuery(scope: Buffer, limit: number, after: string | undefined): Query {
  return {
    name: 'list',
    text: `SELECT ${META}, seq FROM keyhold.record WHERE scope = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`,
    values: [scope, after ?? AFTER_ALL, String(limit + 1)],
  };
}

export function usageQuery(scope: Buffer): Query {
  return {
    name: 'usage',
    text: 'SELECT count(*), coalesce(sum(octet_length(sealed_values)), 0)::bigint FROM keyhold.record WHERE scope = $1',
    values: [scope],
  };
}

export function toUsage([row]: Rows): ScopeUsage {
  const [count = 0, values_bytes = 0] = (row ?? []) as readonly number[];
  return { count, values_bytes };
}

export function wrappedKeyQuery(owner: Buffer, version: number | undefined): Query {
  return {
    name: 'wrapped_key',
    text: `SELECT owner, version, wrapped FROM keyhold.wrapped_key
      WHERE owner = $1 AND ($2::integer IS NULL OR version = $2::integer) ORDER BY version DESC LIMIT 1`,
    values: [owner, version ?? null],
  };
}

export function keyVersionsQuery(owner: Buffer): Query {
  return {
    name: 'key_versions',
    text: 'SELECT owner, version, wrapped FROM keyhold.wrapped_key WHERE owner = $1 ORDER BY version',
    values: [owner],
  };
}

export function keysAfterQuery(
  limit: number,
  after: Pick<WrappedKey, 'owner' | 'version'> | undefined,
): Query {
  return {
    name: 'keys_after',
    text: `SELECT owner, version, wrapped FROM keyhold.wrapped_key
      WHERE (owner, version) > ($1, $2) ORDER BY owner, version LIMIT $3`,
    values: [after?.owner ?? NO_BYTES, after?.version ?? 0, limit],
  };
}

export const NEWEST_VERSION: Query = {
  name: 'newest_version',
  text: 'SELECT coalesce(max(version), 0) FROM keyhold.wrapped_key',
};

export function toWrappedKeys(rows: Rows): WrappedKey[] {
  return rows.map((row) => {
    const [owner, version, wrapped] = row as readonly [Buffer, number, Buffer];
    return { owner, version, wrapped };
  });
}

/** In the order of creation. `after`: a sequence number. */
export function belowVersionQuery(
  organization: Buffer,
  version: number,
  limit: number,
  after: string | undefined,
): Query {
  return {
    name: 'below_version',
    text: `SELECT ${META}, sealed_values, seq FROM keyhold.record
      WHERE organization = $1 AND key_version < $2 AND seq > $3 ORDER BY seq LIMIT $4`,
    values: [organization, version, after ?? '0', limit],
  };
}

/** Locks the keys of all organizations. */
export const BEGIN: Query = { text: 'BEGIN' };
export const COMMIT: Query = { text: 'COMMIT' };
export const ROLLBACK: Query = { text: 'ROLLBACK' };

export const LOCK_VAULT: Query = { name: 'lock_vault', text: 'SELECT 1 FROM keyhold.vault FOR UPDATE' };
/** By a statement after the lock: it sees the commits that the lock has waited for. */
export const VAULT_KEYS: Query = {
  name: 'vault_keys',
  text: 'SELECT root_key_id, (SELECT max(version) FROM keyhold.wrapped_key) FROM keyhold.vault',
};

/** Which of these keys exist. */
export function existingKeysQuery(keys: readonly WrappedKey[]): Query {
  return {
    name: 'existing_keys',
    text: `SELECT owner, version FROM keyhold.wrapped_key
      JOIN unnest($1::bytea[], $2::integer[]) AS wanted(owner, version) USING (owner, version)`,
    values: [byteaArray(keys.map(({ owner }) => owner)), int4Array(keys.map(({ version }) => version))],
  };
}

export function scopesQuery(scopes: readonly Buffer[]): Query {
  return {
    name: 'scopes',
    text: 'SELECT id, scope FROM keyhold.record WHERE scope = ANY($1::bytea[])',
    values: [byteaArray(scopes)],
  };
}

/** An organization's chain, and the entry at the position that it had when this process wrote to it last. */
export interface AcknowledgedHead {
  readonly position: number;
  readonly link: Buffer;
}

/** One statement, because a head and its entry must be of one snapshot. `acknowledged`: positions, 0 for none. */
export function headsQuery(organizations: readonly Buffer[], acknowledged: readonly number[]): Query {
  return {
    name: 'heads',
    text: `SELECT o.organization, c.position, c.link, c.head_mac, e.position, e.key_version, e.sealed, e.link,
        before.link, acknowledged.link
      FROM unnest($1::bytea[], $2::bigint[]) AS o(organization, acknowledged)
      LEFT JOIN keyhold.audit_chain c ON c.organization = o.organization
      LEFT JOIN LATERAL (SELECT * FROM keyhold.audit_entry a WHERE a.organization = o.organization
        ORDER BY a.position DESC LIMIT 1) e ON true
      LEFT JOIN keyhold.audit_entry before ON before.organization = o.organization AND before.position = e.position - 1
      LEFT JOIN keyhold.audit_entry acknowledged
        ON acknowledged.organization = o.organization AND acknowledged.position = o.acknowledged`,
    values: [byteaArray(organizations), int8Array(acknowledged)],
  };
}

export interface LoadedHead {
  readonly organization: Buffer;
  /** `undefined`: the chain is empty. */
  readonly head: ChainHead | undefined;
  /** Whether the chain has a row of its own: it is missing before the first entry. */
  readonly has_row: boolean;
  /** The link at the acknowledged position. */
  readonly acknowledged_link: Buffer | undefined;
}

const NO_MAC: Buffer = Buffer.alloc(32);

/**
 * The head is the last entry with the MAC of the chain's row. If they differ, because an entry or the row was deleted or
 * replaced, the MAC does not match the entry, and the vault finds the chain broken.
 */
export function toLoadedHeads(rows: Rows): LoadedHead[] {
  return rows.map((row) => {
    const [organization, position, link, mac, last, version, sealed, entry_link, previous, acknowledged] =
      row as readonly [
        Buffer,
        ...([number, Buffer, Buffer] | [null, null, null]),
        ...([number, number, Buffer, Buffer] | [null, null, null, null]),
        Buffer | null,
        Buffer | null,
      ];
    const acknowledged_link = acknowledged ?? undefined;
    const has_row = position !== null;
    if (!has_row && last === null) return { organization, head: undefined, has_row, acknowledged_link };
    const is_row_of_entry = position === last && entry_link !== null && link?.equals(entry_link) === true;
    const head = {
      position: last ?? 0,
      key_version: version ?? 0,
      sealed: sealed ?? NO_BYTES,
      link: entry_link ?? NO_MAC,
      head_mac: is_row_of_entry && mac !== null ? mac : NO_MAC,
      previous_link: previous ?? undefined,
    };
    return { organization, head, has_row, acknowledged_link };
  });
}

export const ALL_HEADS: Query = {
  name: 'all_heads',
  text: 'SELECT organization, position, link FROM keyhold.audit_chain',
};

export function toStoredHeads(rows: Rows): StoredHead[] {
  return rows.map((row) => {
    const [organization, position, link] = row as readonly [Buffer, number, Buffer];
    return { organization, position, link };
  });
}

export function entriesQuery(organization: Buffer, from_position: number, limit: number): Query {
  return {
    name: 'entries',
    text: `SELECT e.position, e.key_version, e.sealed, e.link, c.head_mac FROM keyhold.audit_entry e
      LEFT JOIN keyhold.audit_chain c USING (organization, position)
      WHERE e.organization = $1 AND e.position >= $2 ORDER BY e.position LIMIT $3`,
    values: [organization, String(from_position), String(limit)],
  };
}

type EntryRow = readonly [number, number, Buffer, Buffer, Buffer | null];

export function toEntries(rows: Rows): StoredEntry[] {
  return rows.map((row) => {
    const [position, key_version, sealed, link, head_mac] = row as EntryRow;
    return { position, key_version, sealed, link, head_mac: head_mac ?? NO_MAC };
  });
}
