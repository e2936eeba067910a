/**
 * Reads and changes the stored rows of a vault directly, as an attacker with access to the storage can. The interface
 * `TestDatabase` hides the database engine; KEYHOLD_TEST_STORE selects the implementation. Tests of the vault must not
 * open the database in any other way, so that they run on every engine.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {
  readerBlindIndex,
  readerPurposeKey,
  readerUnwrapKey,
  readSealedPart,
} from '../../vectors/independent_reader.ts';
import { postgresEngine } from './postgres_database.ts';
import { sqliteEngine } from './sqlite_database.ts';
import type { TABLES } from './tables.ts';

export interface RecordRow {
  /** Creation order. */
  readonly seq: number;
  readonly kind: string;
  readonly id: Buffer;
  readonly scope: Buffer;
  readonly blind_index: Buffer;
  readonly revision: number;
  readonly key_version: number;
  readonly sealed_meta: Buffer;
  readonly sealed_values: Buffer;
  readonly organization: Buffer;
}

export interface AuditEntryRow {
  /** Number of the organization's chain. */
  readonly chain: number;
  /** Counts up from 1 in each chain. */
  readonly position: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
  /** MAC of the chain's head; zeros in every entry but the last. */
  readonly head_mac: Buffer;
}

export interface AuditChainRow {
  readonly number: number;
  readonly organization: Buffer;
}

export interface WrappedKeyRow {
  /** All zeros for the vault key. */
  readonly owner: Buffer;
  readonly version: number;
  readonly wrapped: Buffer;
}

export interface HeaderRow {
  readonly root_key_id: Buffer;
  readonly root_key_source: string;
  readonly passphrase_salt: Buffer | null;
  readonly root_key_ref: string | null;
  readonly root_key_sealed: Buffer | null;
  readonly created_at: string;
}

/**
 * The stored rows of one vault, which may be open. Each method is one transaction on a separate connection and
 * resolves when an open vault of this process can see the change.
 */
export interface TestDatabase {
  /** In creation order. */
  records(): Promise<RecordRow[]>;
  /** By chain and position. */
  auditEntries(): Promise<AuditEntryRow[]>;
  auditChains(): Promise<AuditChainRow[]>;
  /** By owner and version, so the vault key comes first. */
  wrappedKeys(): Promise<WrappedKeyRow[]>;
  header(): Promise<HeaderRow | undefined>;
  /**
   * Deletes the records with these sequence numbers and with those of `rows`, then inserts `rows`, so that rows can
   * trade unique columns. Rejects if a unique column would be duplicated.
   */
  replaceRecords(rows: readonly RecordRow[], deleted_seqs?: readonly number[]): Promise<void>;
  /** Replaces all audit entries. */
  replaceAuditEntries(rows: readonly AuditEntryRow[]): Promise<void>;
  /** Replaces all audit chains. */
  replaceAuditChains(rows: readonly AuditChainRow[]): Promise<void>;
  /** Replaces all wrapped keys. */
  replaceWrappedKeys(rows: readonly WrappedKeyRow[]): Promise<void>;
  /** Replaces the header, or deletes it. */
  replaceHeader(row: HeaderRow | undefined): Promise<void>;
  dropTable(table: (typeof TABLES)[number]): Promise<void>;
  /** Definitions of all tables and indexes, for comparison. */
  schema(): Promise<unknown>;
  /** Keeps every other connection from writing until the returned function is called. */
  lockForWriting(): Promise<() => Promise<void>>;
  /** Whether data is stored for this vault. */
  exists(): Promise<boolean>;
  /** Deletes the stored data under a vault that may be open. */
  deleteAll(): Promise<void>;
  /** Stores data that is not a vault. The vault must not be open. */
  makeUnreadable(): Promise<void>;
  /** Whether the last process to close the vault finished all writes. */
  isClosedCleanly(): boolean;
  /** Size of committed writes that may still hold bytes of deleted data, such as a write-ahead log. */
  pendingBytes(): Promise<number>;
  /**
   * The bytes at rest, by file name. On SQLite, reading the files drops this process's locks on them (POSIX, fcntl):
   * do not use it while another process has the vault open.
   */
  bytesAtRest(): Promise<Map<string, Buffer>>;
}

export interface TestEngine {
  /** Whether only `keyhold init` creates a vault in it. */
  readonly is_remote: boolean;
  open(home: string): TestDatabase;
  /** Settings that make Keyhold store the vault of `home` in this engine. */
  settings(home: string): NodeJS.ProcessEnv;
  /** Copies the stored data of a closed vault; the files in its home are copied already. */
  copy(home: string, to_home: string): Promise<void>;
  /** Ends the use of the stored data of the vaults in a folder that was removed. */
  forget(folder: string): Promise<void>;
}

const ENGINES: Readonly<Record<string, TestEngine>> = {
  sqlite: sqliteEngine,
  postgres: postgresEngine,
};

function selectedEngine(): TestEngine {
  const name = process.env.KEYHOLD_TEST_STORE ?? 'sqlite';
  const engine = ENGINES[name];
  if (engine === undefined)
    throw new Error(`KEYHOLD_TEST_STORE must be ${Object.keys(ENGINES).join(' or ')}.`);
  return engine;
}

export const test_engine: TestEngine = selectedEngine();

export function openTestDatabase(home: string): TestDatabase {
  return test_engine.open(home);
}

/** Record kinds that the vault writes alongside credentials. */
const OTHER_KINDS = new Set([
  'service_definition',
  'stack',
  'stack_grant',
  'user',
  'unit',
  'organization',
  'api_key',
  'api_key_set',
  'api_key_use',
  'sealed_nonce',
  'web_session',
  'sign_in_ticket',
  'connection',
  'key_rotation',
]);

/** Credentials in creation order, including those whose kind was changed to an unknown one. */
export async function readCredentialRows(home: string): Promise<RecordRow[]> {
  const rows = await openTestDatabase(home).records();
  return rows.filter(({ kind }) => !OTHER_KINDS.has(kind));
}

export async function readRowsOfKind(home: string, kind: string): Promise<RecordRow[]> {
  return (await openTestDatabase(home).records()).filter((row) => row.kind === kind);
}

export async function readRowById(home: string, id: string): Promise<RecordRow | undefined> {
  const bytes = idBytes(id);
  return (await openTestDatabase(home).records()).find((row) => row.id.equals(bytes));
}

export function readAuditEntryRows(home: string): Promise<AuditEntryRow[]> {
  return openTestDatabase(home).auditEntries();
}

/** The vault key comes first. */
export function readWrappedKeyRows(home: string): Promise<WrappedKeyRow[]> {
  return openTestDatabase(home).wrappedKeys();
}

/** All records as comparable texts, except last-used records of API keys, which are written in the background. */
export async function readStoredRecords(home: string): Promise<readonly string[]> {
  const rows = await openTestDatabase(home).records();
  return rows
    .filter(({ kind }) => kind !== 'api_key_use')
    .map(({ kind, id, revision, scope, blind_index, sealed_meta, sealed_values }) => {
      const bytes = [id, scope, blind_index, sealed_meta, sealed_values].map((one) => one.toString('hex'));
      return [kind, revision, ...bytes].join(' ');
    });
}

/**
 * A digest of all records, except last-used records of API keys, which are written in the background, and the number
 * of audit entries: quick to compare, however large the values are.
 */
export async function digestState(
  home: string,
): Promise<{ readonly records: string; readonly entries: number }> {
  const database = openTestDatabase(home);
  const digest = crypto.createHash('sha256');
  for (const row of await database.records()) {
    if (row.kind === 'api_key_use') continue;
    const { seq, kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values } = row;
    digest.update(JSON.stringify([seq, kind, revision, key_version]));
    for (const bytes of [id, scope, blind_index, sealed_meta, sealed_values]) {
      digest.update(`${bytes.length}:`).update(bytes);
    }
  }
  return { records: digest.digest('hex'), entries: (await database.auditEntries()).length };
}

export function replaceRecords(
  home: string,
  rows: readonly RecordRow[],
  deleted_seqs: readonly number[] = [],
): Promise<void> {
  return openTestDatabase(home).replaceRecords(rows, deleted_seqs);
}

/** Replaces all audit entries. */
export function replaceAuditEntries(home: string, rows: readonly AuditEntryRow[]): Promise<void> {
  return openTestDatabase(home).replaceAuditEntries(rows);
}

/** Overwrites the sealed metadata of the records that `matches` selects, so that they fail to decrypt. */
export async function damageRecords(home: string, matches: (row: RecordRow) => boolean): Promise<void> {
  await changeRecords(home, matches, { sealed_meta: Buffer.alloc(200) });
}

/** Writes the given columns of the records that `matches` selects. */
export async function changeRecords(
  home: string,
  matches: (row: RecordRow) => boolean,
  changes: Partial<RecordRow>,
): Promise<void> {
  const database = openTestDatabase(home);
  const rows = (await database.records()).filter(matches);
  await database.replaceRecords(rows.map((row) => ({ ...row, ...changes })));
}

/** A copy with one bit flipped, counted from the lowest bit of the first byte. */
export function flipBit(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}

/** The 16 bytes of a UUID. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}

/**
 * Decrypts the values of a credential of the organization `local` with the key file in `home` and an independent
 * implementation, to check what the vault wrote.
 */
export async function decryptStoredValues(
  home: string,
  credential_id: string,
): Promise<Record<string, string>> {
  const row = await readRowById(home, credential_id);
  if (row === undefined) throw new Error(`record ${credential_id} not found`);
  const context = { ...row, index: row.blind_index };
  const values_key = readerPurposeKey(await unwrapDataKey(home), 'values');
  const plaintext = readSealedPart(values_key, { ...context, part: 'values' }, row.sealed_values);
  return Object.fromEntries(JSON.parse(plaintext) as [string, string][]);
}

/** The data key of the organization `local`. `version`: default the first one. */
export async function unwrapDataKey(home: string, version?: number): Promise<Buffer> {
  const root_key = Buffer.from(fs.readFileSync(path.join(home, 'keys', 'root.key'), 'utf8').trim(), 'base64');
  const rows = await readWrappedKeyRows(home);
  const unwrap = (owner: Buffer, wanted?: number) => {
    const row = rows.find((one) => one.owner.equals(owner) && (wanted ?? one.version) === one.version);
    if (row === undefined) throw new Error('wrapped key not found');
    return readerUnwrapKey(root_key, row.owner, row.version, row.wrapped);
  };
  const organization_key = readerPurposeKey(unwrap(Buffer.alloc(16)), 'organization index');
  return unwrap(readerBlindIndex(organization_key, 'organization', ['local']), version);
}

/** The bytes at rest, by file name: see `TestDatabase.bytesAtRest`. */
export function readBytesAtRest(home: string): Promise<Map<string, Buffer>> {
  return openTestDatabase(home).bytesAtRest();
}
