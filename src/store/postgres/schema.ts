/**
 * The tables of a vault in the schema `keyhold` of a database, and their format number. Migrations run in one transaction
 * under an advisory lock, so that of several nodes one migrates and the others wait.
 */
import { VaultError } from '../../contract/errors.ts';
import type { StoreHeader } from '../store.ts';
import type { Query, Rows, Session } from './connection.ts';
import { BEGIN, COMMIT, ROLLBACK } from './statements.ts';

/** The letters KHLD. Serializes migrations and the creation of the vault. */
const ADVISORY_LOCK = 0x4b_48_4c_44;

/**
 * Migration n leads from format n to format n + 1. Never changed after a release. `fillfactor` leaves room in each page for
 * new versions of a row, so that updates do not touch the indexes. `seq` is the creation order.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE keyhold.format (
    one smallint PRIMARY KEY CHECK (one = 1),
    number integer NOT NULL
  );
  INSERT INTO keyhold.format VALUES (1, 0);
  CREATE TABLE keyhold.vault (
    one smallint PRIMARY KEY CHECK (one = 1),
    root_key_id bytea NOT NULL,
    root_key_source text NOT NULL,
    passphrase_salt bytea,
    created_at text NOT NULL,
    root_key_ref text,
    root_key_sealed bytea
  );
  CREATE TABLE keyhold.wrapped_key (
    owner bytea NOT NULL,
    version integer NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (owner, version)
  );
  CREATE INDEX wrapped_key_by_version ON keyhold.wrapped_key (version);
  CREATE SEQUENCE keyhold.record_seq;
  CREATE TABLE keyhold.record (
    id bytea PRIMARY KEY,
    seq bigint NOT NULL,
    kind text NOT NULL,
    organization bytea NOT NULL,
    scope bytea NOT NULL,
    blind_index bytea NOT NULL,
    revision bigint NOT NULL,
    key_version integer NOT NULL,
    sealed_meta bytea NOT NULL,
    sealed_values bytea NOT NULL,
    CONSTRAINT record_blind_index_key UNIQUE (blind_index)
  ) WITH (fillfactor = 85);
  -- Ciphertext cannot be compressed.
  ALTER TABLE keyhold.record ALTER sealed_meta SET STORAGE EXTERNAL, ALTER sealed_values SET STORAGE EXTERNAL;
  CREATE INDEX record_by_scope ON keyhold.record (scope, seq);
  CREATE UNIQUE INDEX record_by_seq ON keyhold.record (seq);
  -- Records that are encrypted again when a data key is rotated.
  CREATE INDEX record_by_organization ON keyhold.record (organization, key_version, seq);
  -- The head of each organization's audit chain: the write lock and the revision of the organization.
  CREATE TABLE keyhold.audit_chain (
    organization bytea PRIMARY KEY,
    position bigint NOT NULL,
    link bytea NOT NULL,
    head_mac bytea NOT NULL
  ) WITH (fillfactor = 10);
  CREATE TABLE keyhold.audit_entry (
    organization bytea NOT NULL,
    position bigint NOT NULL,
    key_version integer NOT NULL,
    sealed bytea NOT NULL,
    link bytea NOT NULL,
    PRIMARY KEY (organization, position)
  );
  ALTER TABLE keyhold.audit_entry ALTER sealed SET STORAGE EXTERNAL;
  `,
];

export const POSTGRES_FORMAT: number = MIGRATIONS.length;

/** Whether the schema and its tables exist. The catalog can be read without permission on the schema. */
const STATE: Query = {
  text: `SELECT n.oid IS NOT NULL, c.oid IS NOT NULL,
    (SELECT count(*)::int FROM pg_class t WHERE t.relnamespace = n.oid),
    (SELECT count(*)::int FROM pg_class t WHERE t.relnamespace = n.oid AND (t.relhasrules OR t.relkind IN ('v', 'm')
      OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal)))
    FROM (VALUES (1)) one(one) LEFT JOIN pg_namespace n ON n.nspname = 'keyhold'
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'format'`,
};
const SCHEMAS: Query = { text: `SELECT 1 FROM pg_namespace WHERE nspname = 'keyhold'` };
const FORMAT: Query = { text: 'SELECT number FROM keyhold.format' };
const HEADER: Query = {
  text: `SELECT root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed
    FROM keyhold.vault`,
};

/** Whether the tables have rows of a vault although its header is missing. */
const HAS_ROWS: Query = {
  text: 'SELECT EXISTS (SELECT FROM keyhold.wrapped_key) OR EXISTS (SELECT FROM keyhold.record)',
};
/** The tables of the present format. */
const TABLES = ['vault', 'wrapped_key', 'record', 'audit_chain', 'audit_entry'];
const TABLE_COUNT: Query = {
  text: `SELECT count(*)::int FROM pg_class WHERE relnamespace = 'keyhold'::regnamespace AND relname = ANY($1)`,
  values: [TABLES],
};

/** Makes the schema empty. Its owner, who gave the permissions of the roles, may be another role. */
export const DROP_TABLES: Query = {
  text: `DROP TABLE IF EXISTS ${['move', 'format', ...TABLES].map((table) => `keyhold.${table}`).join(', ')};
    DROP SEQUENCE IF EXISTS keyhold.record_seq`,
};

/** The format of the tables; 0 if there are none. Throws for a newer format, a foreign schema, and an altered one. */
export async function readFormat(session: Session): Promise<number> {
  const [state] = (await session.run([STATE]))[0] ?? [];
  const [has_schema, has_format, tables, forbidden] = state ?? [];
  if (has_schema !== true || (has_format !== true && tables === 0)) return 0;
  if (has_format !== true) throw notAVault();
  if (forbidden !== 0) throw alteredSchema();
  const [[number] = []] = (await session.run([FORMAT]))[0] ?? [];
  const format = Number(number);
  if (format > POSTGRES_FORMAT) throw newerFormat();
  if (!(format >= 1)) throw notAVault();
  if (format === POSTGRES_FORMAT) {
    const [[count] = []] = (await session.run([TABLE_COUNT]))[0] ?? [];
    if (count !== TABLES.length) throw damagedVault();
  }
  return format;
}

/** Creates the tables, or brings them to the present format. Safe if several nodes do it at once. */
export async function migrate(session: Session): Promise<void> {
  if ((await readFormat(session)) === POSTGRES_FORMAT) return;
  await inTransaction(session, () => migrateLocked(session));
}

/** Inside a transaction. Returns false, and changes nothing, if there is a vault already. */
export async function createVault(session: Session, header: StoreHeader): Promise<boolean> {
  await session.run([lockQuery()]);
  if ((await readFormat(session)) !== POSTGRES_FORMAT) await migrateLocked(session);
  if ((await readHeader(session)) !== undefined) return false;
  const { root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed } = header;
  const values = [root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed];
  await session.run([
    {
      text: `INSERT INTO keyhold.vault
        (one, root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed)
        VALUES (1, $1, $2, $3, $4, $5, $6)`,
      values: values.map((value) => value ?? null),
    },
  ]);
  return true;
}

/** `undefined` if there is no vault yet. Throws CORRUPT if only the header is missing. */
export async function readHeader(session: Session): Promise<StoreHeader | undefined> {
  const [rows = [], has_rows] = await session.run([HEADER, HAS_ROWS]);
  if (rows.length === 0 && has_rows?.[0]?.[0] === true) throw damagedVault();
  return toHeader(rows);
}

/** Runs `act` between BEGIN and COMMIT; an error undoes it. */
export async function inTransaction<Result>(session: Session, act: () => Promise<Result>): Promise<Result> {
  await session.run([BEGIN]);
  let result: Result;
  try {
    result = await act();
  } catch (error) {
    if (!session.is_broken) await session.run([ROLLBACK]).catch(() => undefined);
    throw error;
  }
  await session.run([COMMIT]);
  return result;
}

async function migrateLocked(session: Session): Promise<void> {
  await session.run([lockQuery()]);
  // Another node may have migrated while this one waited for the lock.
  const format = await readFormat(session);
  // IF NOT EXISTS would need a permission on the database also for a schema that exists.
  const [schemas] = format === 0 ? await session.run([SCHEMAS]) : [];
  if (schemas?.length === 0) await session.run([{ text: 'CREATE SCHEMA keyhold' }]);
  for (const migration of MIGRATIONS.slice(format)) {
    await session.run([{ text: migration }, { text: 'UPDATE keyhold.format SET number = number + 1' }]);
  }
}

export function lockQuery(): Query {
  return { text: `SELECT pg_advisory_xact_lock(${ADVISORY_LOCK})` };
}

function toHeader([row]: Rows): StoreHeader | undefined {
  if (row === undefined) return undefined;
  const [root_key_id, root_key_source, passphrase_salt, created_at, root_key_ref, root_key_sealed] =
    row as readonly [Buffer, string, Buffer | null, string, string | null, Buffer | null];
  return {
    root_key_id,
    root_key_source,
    passphrase_salt: passphrase_salt ?? undefined,
    root_key_ref: root_key_ref ?? undefined,
    root_key_sealed: root_key_sealed ?? undefined,
    created_at,
  };
}

export function notAVault(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The database has a schema `keyhold` that is not a vault. It was not changed. Name another database in KEYHOLD_STORE.',
    { reason: 'not_a_vault' },
  );
}

function damagedVault(): VaultError {
  return new VaultError(
    'CORRUPT',
    'A part of the vault is missing in the database. No new vault is created. Restore a backup.',
    { reason: 'record_damaged' },
  );
}

function alteredSchema(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The schema `keyhold` contains triggers, rules or views. Keyhold creates none; they could act on every write. Remove them, or restore a backup.',
    { reason: 'not_a_vault' },
  );
}

function newerFormat(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The vault was written by a newer Keyhold. It was not changed. Upgrade Keyhold to open it.',
    { reason: 'newer_format' },
  );
}
