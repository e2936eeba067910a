/**
 * The store in one SQLite file. One connection reads, another writes in group commits; several processes may do so at
 * once. The only folder that imports the database driver.
 */
import { existsSync, statSync } from 'node:fs';
import Driver, { type Database } from 'better-sqlite3';
import { VaultError } from '../contract/errors.ts';
import { STORE_BUSY_TIMEOUT_MS } from '../contract/limits.ts';
import { SqliteCommits } from './sqlite_commits.ts';
import { toStoreError, whileBusy } from './sqlite_errors.ts';
import { inspectSqliteFile } from './sqlite_file.ts';
import { prepareReads, type Reads } from './sqlite_reads.ts';
import { configure, hasVault, POSITIONS_PER_ORGANIZATION, SCHEMA } from './sqlite_schema.ts';
import type {
  AuditHead,
  Batch,
  Page,
  Store,
  StoredEntry,
  StoredMeta,
  StoredRecord,
  StoreHeader,
  StoreHealth,
  WrappedKey,
} from './store.ts';
import { Turns } from './turns.ts';

/** After the last write: how long until replaced and deleted bytes are overwritten in the write-ahead log too. */
const SCRUB_AFTER_MS = 500;

/** Opens a file that is there. Throws VaultError for everything that can be wrong with it. */
export function openSqlite(path: string): SqliteStore {
  inspectSqliteFile(path);
  let reader: Database | undefined;
  try {
    reader = new Driver(path, { fileMustExist: true, timeout: STORE_BUSY_TIMEOUT_MS });
    configure(reader);
    hasVault(reader);
    return new SqliteStore(path, reader);
  } catch (error) {
    reader?.close();
    throw toStoreError(error);
  }
}

export class SqliteStore implements Store {
  readonly #path: string;
  readonly #reader: Database;
  readonly #turns: Turns;
  #reads: Reads | undefined;
  #writer: { readonly database: Database; readonly commits: SqliteCommits } | undefined;
  #scrub_timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(path: string, reader: Database) {
    this.#path = path;
    this.#reader = reader;
    this.#turns = new Turns(`${path}-turns`);
  }

  async header(): Promise<StoreHeader | undefined> {
    return guarded(() => {
      if (!whileBusy(() => hasVault(this.#reader))) return undefined;
      const row = this.#prepared().header.get();
      if (row === undefined) throw Object.assign(new Error('no header'), { code: 'SQLITE_CORRUPT' });
      return { ...row, passphrase_salt: row.passphrase_salt ?? undefined };
    });
  }

  async create(header: StoreHeader, keys: readonly WrappedKey[]): Promise<boolean> {
    return guarded(() => {
      whileBusy(() => this.#reader.pragma('journal_mode = WAL'));
      const make = this.#reader.transaction(() => {
        if (hasVault(this.#reader)) return false;
        this.#reader.exec(SCHEMA);
        const { root_key_id, root_key_source, passphrase_salt, created_at } = header;
        this.#reader
          .prepare('INSERT INTO vault VALUES (1, ?, ?, ?, ?)')
          .run(root_key_id, root_key_source, passphrase_salt ?? null, created_at);
        const add = this.#reader.prepare('INSERT INTO wrapped_key VALUES (?, ?, ?)');
        for (const key of keys) add.run(key.owner, key.version, key.wrapped);
        return true;
      });
      return make.immediate();
    });
  }

  async wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined> {
    return this.#reading((sql) => (version === undefined ? sql.newest_key.get(owner) : sql.key.get(owner, version)));
  }

  async get(id: Buffer): Promise<StoredRecord | undefined> {
    return this.#reading((sql) => sql.get.get(id));
  }

  async find(index: Buffer): Promise<StoredMeta | undefined> {
    return this.#reading((sql) => sql.find.get(index));
  }

  async list(scope: Buffer, limit: number, after?: number): Promise<Page> {
    return this.#reading((sql) => {
      const rows = sql.list.all(scope, after ?? Number.MAX_SAFE_INTEGER, limit + 1);
      const more = rows.length > limit;
      const records = more ? rows.slice(0, limit) : rows;
      return { records, next: more ? records.at(-1)?.place : undefined };
    });
  }

  async commit(batch: Batch): Promise<void> {
    await this.#writing().commits.commit(batch);
    this.#scrubSoon();
  }

  async auditHead(organization: Buffer): Promise<AuditHead | undefined> {
    return this.#reading((sql) => sql.head.get(organization));
  }

  async auditEntries(organization: Buffer, from_position: number, limit: number): Promise<readonly StoredEntry[]> {
    return this.#reading((sql) => {
      const head = sql.head.get(organization);
      if (head === undefined) return [];
      const start = head.number * POSITIONS_PER_ORGANIZATION;
      return sql.entries
        .all(start + from_position, start + POSITIONS_PER_ORGANIZATION, limit)
        .map(({ place, key_version, sealed, link }) => ({ position: place - start, key_version, sealed, link }));
    });
  }

  async check(): Promise<StoreHealth> {
    return guarded(() => {
      const detail = String(this.#reader.pragma('integrity_check(1)', { simple: true }));
      const pending = `${this.#path}-wal`;
      return {
        ok: detail === 'ok',
        detail: detail === 'ok' ? 'every page is sound' : 'the file is damaged',
        size_bytes: statSync(this.#path).size,
        pending_bytes: existsSync(pending) ? statSync(pending).size : 0,
      };
    });
  }

  async scrub(): Promise<void> {
    await this.#writer?.commits.drained();
    if (!this.#closed) guarded(() => this.#checkpoint());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    clearTimeout(this.#scrub_timer);
    await this.#writer?.commits.drained();
    this.#closed = true;
    quietly(() => this.#checkpoint());
    this.#writer?.database.close();
    this.#reader.close();
    this.#turns.close();
  }

  #reading<Result>(read: (sql: Reads) => Result): Result {
    return guarded(() => read(this.#prepared()));
  }

  #prepared(): Reads {
    this.#reads ??= prepareReads(this.#reader);
    return this.#reads;
  }

  /** The second connection is opened by the first write: a process that only reads never holds one. */
  #writing(): { readonly database: Database; readonly commits: SqliteCommits } {
    if (this.#closed) throw new VaultError('UNAVAILABLE', 'The vault was closed. Open it again.');
    if (this.#writer === undefined) {
      this.#writer = guarded(() => {
        const database = new Driver(this.#path, { fileMustExist: true, timeout: STORE_BUSY_TIMEOUT_MS });
        configure(database);
        const commits = new SqliteCommits(database, this.#turns);
        // From here on the turns do the waiting, without holding up the event loop.
        database.pragma('busy_timeout = 0');
        return { database, commits };
      });
    }
    return this.#writer;
  }

  #scrubSoon(): void {
    clearTimeout(this.#scrub_timer);
    this.#scrub_timer = setTimeout(() => quietly(() => this.#checkpoint()), SCRUB_AFTER_MS).unref();
  }

  /** Moves everything into the main file and empties the log. Does nothing while another process is reading. */
  #checkpoint(): void {
    this.#writer?.database.pragma('wal_checkpoint(TRUNCATE)');
  }
}

/** For housekeeping that the next run makes up for. */
function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // Whatever stands in its way (a full disk, a lock) is reported by the next write, which can be answered.
  }
}

function guarded<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw toStoreError(error);
  }
}
