/**
 * A vault seen from outside: its file, its rows, its bytes, by somebody who has the disk. With the key file in hand it
 * also reads values, by an implementation of its own, so that a test can tell what the vault really wrote.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import Driver, { type Database } from 'better-sqlite3';
import { VaultError } from '../../../src/contract/errors.ts';
import {
  readerBlindIndex,
  readerPurposeKey,
  readerUnwrapKey,
  readSealedPart,
} from '../../vectors/independent_reader.ts';
import { temporaryFolder } from './temp_vault.ts';

export interface RecordRow {
  readonly place: number;
  readonly kind: string;
  readonly id: Buffer;
  readonly scope: Buffer;
  readonly blind_index: Buffer;
  readonly revision: number;
  readonly key_version: number;
  readonly sealed_meta: Buffer;
  readonly sealed_values: Buffer;
}

export interface EntryRow {
  readonly place: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
  readonly end_seal: Buffer;
}

export interface WrappedKeyRow {
  readonly owner: Buffer;
  readonly version: number;
  readonly wrapped: Buffer;
}

export function databasePath(home: string): string {
  return path.join(home, 'data', 'vault.db');
}

/** Opens the database beside the vault, which may be open too: see `passMoment`. Whoever calls closes it. */
export function openDatabase(home: string): Database {
  const database = new Driver(databasePath(home), { fileMustExist: true });
  // What a test writes need not survive a power cut.
  database.pragma('synchronous = OFF');
  return database;
}

const SHARED_READS_END_AFTER_MS = 2;

/** Opens the database for an attacker, hands it over, and closes it; all of it happens or nothing. */
export function tamper<Result>(home: string, act: (database: Database) => Result): Result {
  const database = openDatabase(home);
  try {
    return database.transaction(() => act(database)).immediate();
  } finally {
    database.close();
    passMoment();
  }
}

/** What another process does is known of no sooner than by the next poll; here the vault may be in the same turn. */
export function passMoment(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SHARED_READS_END_AFTER_MS);
}

/** Kinds of records that are made beside the credentials. */
const COMPANIONS = "('stack', 'user', 'unit', 'organization', 'api_key', 'api_key_use')";

/** Credentials, whatever kind somebody made of them, in the order in which they were made. */
export function recordRows(home: string): RecordRow[] {
  return tamper(home, (database) =>
    database
      .prepare<[], RecordRow>(`SELECT * FROM record WHERE kind NOT IN ${COMPANIONS} ORDER BY place`)
      .all(),
  );
}

/** Entries in the order of the chain. */
export function entryRows(home: string): EntryRow[] {
  return tamper(home, (database) =>
    database.prepare<[], EntryRow>('SELECT * FROM audit_entry ORDER BY place').all(),
  );
}

/** A digest of all records, and how many entries there are: quick to compare, however large the values are. */
export function storedState(home: string): { readonly records: string; readonly entries: number } {
  return tamper(home, (database) => {
    const digest = crypto.createHash('sha256');
    for (const row of database.prepare<[], RecordRow>('SELECT * FROM record ORDER BY place').iterate()) {
      const { place, kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values } = row;
      digest.update(JSON.stringify([place, kind, revision, key_version]));
      for (const bytes of [id, scope, blind_index, sealed_meta, sealed_values]) {
        digest.update(`${bytes.length}:`).update(bytes);
      }
    }
    const entries = database.prepare<[], number>('SELECT count(*) FROM audit_entry').pluck().get() ?? 0;
    return { records: digest.digest('hex'), entries };
  });
}

/** The vault key first: its owner is all zeros. */
export function wrappedKeyRows(home: string): WrappedKeyRow[] {
  return tamper(home, (database) =>
    database.prepare<[], WrappedKeyRow>('SELECT * FROM wrapped_key ORDER BY owner, version').all(),
  );
}

/** Takes out the rows at these places and puts these in, so that rows may trade what must be unique. */
export function replaceRecords(
  home: string,
  rows: readonly RecordRow[],
  places: readonly number[] = [],
): void {
  tamper(home, (database) => {
    const remove = database.prepare('DELETE FROM record WHERE place = ?');
    for (const place of [...places, ...rows.map((row) => row.place)]) remove.run(place);
    const insert = database.prepare(
      'INSERT INTO record VALUES (@place, @kind, @id, @scope, @blind_index, @revision, @key_version, @sealed_meta, @sealed_values)',
    );
    for (const row of rows) insert.run(row);
  });
}

/** Makes these all the entries that there are. */
export function replaceEntries(home: string, rows: readonly EntryRow[]): void {
  tamper(home, (database) => {
    database.exec('DELETE FROM audit_entry');
    const insert = database.prepare(
      'INSERT INTO audit_entry VALUES (@place, @key_version, @sealed, @link, @end_seal)',
    );
    for (const row of rows) insert.run(row);
  });
}

/** A copy of the home of a vault that nobody has open, removed when the test is over. */
export function copyHome(home: string): string {
  const copy = path.join(temporaryFolder(), 'home');
  fs.cpSync(home, copy, { recursive: true });
  return copy;
}

/** With one bit flipped, counted from the lowest bit of the first byte. */
export function withFlippedBit(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}

/** `ok`, or the code of the VaultError, with its reason behind a space. Anything else thrown is a mistake of ours. */
export async function endOf(operation: Promise<unknown>): Promise<string> {
  try {
    await operation;
    return 'ok';
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return error.reason === undefined ? error.code : `${error.code} ${error.reason}`;
  }
}

/** The VaultError that an operation ends with. Fails the test when it does not, or ends with anything else. */
export async function refusalOf(operation: Promise<unknown>): Promise<VaultError> {
  const thrown = await operation.then(
    () => new Error('it was not refused'),
    (error: unknown) => error,
  );
  if (thrown instanceof VaultError) return thrown;
  throw thrown;
}

/** The values of a credential of the organization `local`, read with the key file of `home`. */
export function storedValues(home: string, credential_id: string): Record<string, string> {
  const id = Buffer.from(credential_id.replaceAll('-', ''), 'hex');
  const row = tamper(home, (database) =>
    database.prepare<[Buffer], RecordRow>('SELECT * FROM record WHERE id = ?').get(id),
  );
  if (row === undefined) throw new Error('no such record');
  const context = { ...row, index: row.blind_index };
  const values_key = readerPurposeKey(dataKey(home), 'values');
  const plaintext = readSealedPart(values_key, { ...context, part: 'values' }, row.sealed_values);
  return Object.fromEntries(JSON.parse(plaintext) as [string, string][]);
}

function dataKey(home: string): Buffer {
  const root_key = Buffer.from(fs.readFileSync(path.join(home, 'keys', 'root.key'), 'utf8').trim(), 'base64');
  const rows = wrappedKeyRows(home);
  const unwrap = (owner: Buffer) => {
    const row = rows.find((wrapped) => wrapped.owner.equals(owner));
    if (row === undefined) throw new Error('no such key');
    return readerUnwrapKey(root_key, row.owner, row.version, row.wrapped);
  };
  const organization_key = readerPurposeKey(unwrap(Buffer.alloc(16)), 'organization index');
  return unwrap(readerBlindIndex(organization_key, 'organization', ['local']));
}

/**
 * Every file under the data folder, by name. Closing a file drops the locks that this process holds on it (POSIX,
 * fcntl): not for a vault that another process has open too.
 */
export function dataFiles(home: string): Map<string, Buffer> {
  const folder = path.join(home, 'data');
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => fs.statSync(path.join(folder, name)).isFile());
  return new Map(files.map((name) => [name, fs.readFileSync(path.join(folder, name))]));
}

/** The forms in which a text could lie in bytes that somebody thinks do not hold it. */
export function formsOf(text: string): Map<string, Buffer> {
  const plain = Buffer.from(text);
  const forms = new Map([
    ['plain', plain],
    ['UTF-16', Buffer.from(text, 'utf16le')],
    ['hex', Buffer.from(plain.toString('hex'))],
    ['HEX', Buffer.from(plain.toString('hex').toUpperCase())],
    ['URL-encoded', Buffer.from(encodeURIComponent(text))],
    ['JSON-escaped', Buffer.from(JSON.stringify(text).slice(1, -1))],
  ]);
  // Inside something longer, base64 looks different for each of the three places a byte can have in a group.
  for (const before of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(before), plain]);
    // The first characters mix with what stands before, and the last with what stands behind.
    const inner = (encoding: 'base64' | 'base64url') =>
      shifted
        .toString(encoding)
        .replace(/=+$/, '')
        .slice(before === 0 ? 0 : before + 1, -1);
    forms.set(`base64 after ${before}`, Buffer.from(inner('base64')));
    forms.set(`base64url after ${before}`, Buffer.from(inner('base64url')));
  }
  return forms;
}

/** Where and in which form any of the texts lies in any of the files; empty when nowhere. */
export function tracesOf(texts: readonly string[], files: ReadonlyMap<string, Buffer>): string[] {
  const traces: string[] = [];
  for (const text of texts) {
    for (const [form, bytes] of formsOf(text)) {
      for (const [name, file] of files) {
        if (file.includes(bytes)) traces.push(`${text} (${form}) in ${name}`);
      }
    }
  }
  return traces;
}
