/**
 * SQLite implementation of `TestDatabase`. With the tests of the store and of file states, the only test code that
 * opens the vault file itself or contains SQL.
 */
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver, { type Database } from 'better-sqlite3';
import type {
  AuditChainRow,
  AuditEntryRow,
  HeaderRow,
  RecordRow,
  TestDatabase,
  TestEngine,
  WrappedKeyRow,
} from './database.ts';

/** The store reuses a read snapshot for up to 1 ms; after this time an open vault sees the change. */
const SNAPSHOT_EXPIRY_MS = 2;
/** The row id of an audit entry has the number of its chain in the high part and its position in the low part. */
const POSITIONS_PER_CHAIN = 2 ** 32;

export const sqliteEngine: TestEngine = {
  is_remote: false,
  open: openSqliteDatabase,
  settings: () => ({}),
  // The database is a file in the home and was copied with it.
  copy: async () => undefined,
  forget: async () => undefined,
};

export function sqlitePath(home: string): string {
  return path.join(home, 'data', 'vault.db');
}

function connect(home: string): Database {
  const database = new Driver(sqlitePath(home), { fileMustExist: true });
  // Tests need no durability against power loss.
  database.pragma('synchronous = OFF');
  return database;
}

function openSqliteDatabase(home: string): TestDatabase {
  async function transaction<Result>(act: (database: Database) => Result): Promise<Result> {
    const database = connect(home);
    try {
      return database.transaction(() => act(database)).immediate();
    } finally {
      database.close();
      await sleep(SNAPSHOT_EXPIRY_MS);
    }
  }
  const replaceAll = (table: string, rows: readonly object[]) =>
    transaction((database) => {
      database.exec(`DELETE FROM ${table}`);
      insertAll(database, table, rows);
    });

  return {
    records: () =>
      transaction((database) =>
        database
          .prepare<[], StoredRecord>('SELECT * FROM record ORDER BY place')
          .all()
          .map(({ place: seq, ...columns }): RecordRow => ({ seq, ...columns })),
      ),
    auditEntries: () =>
      transaction((database) =>
        database
          .prepare<[], StoredAuditEntry>('SELECT * FROM audit_entry ORDER BY place')
          .all()
          .map(({ place, key_version, sealed, link, end_seal }): AuditEntryRow => {
            const chain = Math.floor(place / POSITIONS_PER_CHAIN);
            const position = place - chain * POSITIONS_PER_CHAIN;
            return { chain, position, key_version, sealed, link, head_mac: end_seal };
          }),
      ),
    auditChains: () =>
      transaction((database) =>
        database.prepare<[], AuditChainRow>('SELECT * FROM audit_chain ORDER BY number').all(),
      ),
    wrappedKeys: () =>
      transaction((database) =>
        database.prepare<[], WrappedKeyRow>('SELECT * FROM wrapped_key ORDER BY owner, version').all(),
      ),
    header: () => transaction((database) => database.prepare<[], HeaderRow>('SELECT * FROM vault').get()),
    replaceRecords: (rows, deleted_seqs = []) =>
      transaction((database) => {
        const remove = database.prepare('DELETE FROM record WHERE place = ?');
        for (const seq of [...deleted_seqs, ...rows.map((row) => row.seq)]) remove.run(seq);
        insertAll(
          database,
          'record',
          rows.map(({ seq, ...columns }): StoredRecord => ({ place: seq, ...columns })),
        );
      }),
    replaceAuditEntries: (rows) =>
      replaceAll(
        'audit_entry',
        rows.map(({ chain, position, head_mac, ...columns }): StoredAuditEntry => {
          return { ...columns, place: chain * POSITIONS_PER_CHAIN + position, end_seal: head_mac };
        }),
      ),
    replaceAuditChains: (rows) => replaceAll('audit_chain', rows),
    replaceWrappedKeys: (rows) => replaceAll('wrapped_key', rows),
    replaceHeader: (row) => replaceAll('vault', row === undefined ? [] : [row]),
    dropTable: (table) => transaction((database) => void database.exec(`DROP TABLE ${table}`)),
    schema: () =>
      transaction((database) =>
        database.prepare('SELECT type, name, sql FROM sqlite_master ORDER BY name').all(),
      ),
    lockForWriting: async () => {
      const database = connect(home);
      database.exec('BEGIN IMMEDIATE');
      return async () => {
        database.exec('ROLLBACK');
        database.close();
      };
    },
    exists: async () => fs.existsSync(sqlitePath(home)),
    deleteAll: async () => fs.rmSync(sqlitePath(home)),
    makeUnreadable: async () => {
      fs.mkdirSync(path.dirname(sqlitePath(home)), { recursive: true });
      fs.writeFileSync(sqlitePath(home), 'This file is not a database.');
    },
    isClosedCleanly: () => ['-wal', '-shm'].every((end) => !fs.existsSync(`${sqlitePath(home)}${end}`)),
    pendingBytes: async () => fs.statSync(`${sqlitePath(home)}-wal`).size,
    bytesAtRest: async () => {
      const folder = path.join(home, 'data');
      const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' });
      const files = names.filter((name) => fs.statSync(path.join(folder, name)).isFile());
      return new Map(files.map((name) => [name, fs.readFileSync(path.join(folder, name))]));
    },
  };
}

interface StoredRecord extends Omit<RecordRow, 'seq'> {
  readonly place: number;
}

interface StoredAuditEntry {
  readonly place: number;
  readonly key_version: number;
  readonly sealed: Buffer;
  readonly link: Buffer;
  readonly end_seal: Buffer;
}

/** The rows name their columns, so a column that was added to the table is written as it was read. */
function insertAll(database: Database, table: string, rows: readonly object[]): void {
  for (const row of rows) {
    const columns = Object.keys(row);
    const parameters = columns.map((column) => `@${column}`);
    database
      .prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${parameters.join(', ')})`)
      .run(row);
  }
}
