/**
 * The store in one SQLite file, over one connection: with a second one, every write of the first would invalidate its
 * page cache. Several processes may use the file at once. Only this folder imports the database driver.
 */
import { realpathSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { closedError } from '../errors.ts';
import type { VaultMove } from '../move.ts';
import { RowCache } from '../row_cache.ts';
import type {
  Batch,
  ChainHead,
  OnCommit,
  Page,
  Plan,
  RowRead,
  ScopeUsage,
  Store,
  StoredEntry,
  StoredHead,
  StoredMeta,
  StoredRecord,
  StoreHeader,
  StoreHealth,
  StoreSnapshot,
  WrappedKey,
} from '../store.ts';
import { CommitQueue } from './commit_queue.ts';
import { ignoreErrors, mapStoreErrors, storeError, waitWhileBusy } from './errors.ts';
import { Checkpointer } from './file/checkpointer.ts';
import { openVaultFile } from './file/open_file.ts';
import { trackOpenFile } from './file/vault_file.ts';
import { WalMarker } from './file/wal_marker.ts';
import { ReadSnapshot } from './read_snapshot.ts';
import { checkFile, createTables, ensureWal, hasVault, upgradeSchema } from './schema.ts';
import {
  entriesFrom,
  findMeta,
  findMetaById,
  getRecord,
  headOfChain,
  listScope,
  loadRow,
  prepareStatements,
  readHeader,
  recordsBelowVersion,
  type Statements,
  toStoredHead,
} from './statements.ts';
import { moveFinder, readMove, writeMove } from './transfer/move_state.ts';
import { openSqliteSnapshot } from './transfer/snapshot.ts';
import { WriterQueue } from './writer_queue.ts';

/** Opens an existing file. Throws VaultError for everything that can be wrong with it. */
export function openSqlite(path: string, onCommit?: OnCommit): SqliteStore {
  const { database, isFileCurrent } = openVaultFile(path);
  return new SqliteStore(path, database, isFileCurrent, onCommit);
}

export class SqliteStore implements Store {
  readonly erasure = 'immediate';
  /** Without symbolic links: SQLite names its files after it, and all processes must use one queue of writers. */
  readonly #real_path: string;
  readonly #database: Database;
  readonly #writer_queue: WriterQueue;
  readonly #snapshot: ReadSnapshot;
  readonly #checkpointer: Checkpointer;
  readonly #cache: RowCache;
  readonly #isFileCurrent: () => boolean;
  readonly #untrackFile: () => void;
  readonly #onCommit: OnCommit | undefined;
  #statements: Statements | undefined;
  #commits: CommitQueue | undefined;
  #marker: WalMarker | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(path: string, database: Database, isFileCurrent: () => boolean, onCommit?: OnCommit) {
    this.#real_path = realpathSync(path);
    this.#database = database;
    this.#writer_queue = new WriterQueue(`${this.#real_path}-writers`);
    this.#snapshot = new ReadSnapshot(database);
    this.#checkpointer = new Checkpointer(database, this.#snapshot);
    this.#cache = new RowCache(() => this.#snapshot.changeCounter());
    this.#isFileCurrent = isFileCurrent;
    this.#untrackFile = trackOpenFile(path);
    this.#onCommit = onCommit;
  }

  async header(): Promise<StoreHeader | undefined> {
    return this.#exclusive(() => {
      if (!hasVault(this.#database)) return undefined;
      const header = readHeader(this.#database);
      if (header === undefined) throw storeError('SQLITE_CORRUPT');
      return header;
    });
  }

  async create(header: StoreHeader, batch: Batch): Promise<boolean> {
    return this.#exclusive(() => {
      ensureWal(this.#database);
      const create = this.#database.transaction(() => {
        if (hasVault(this.#database)) return false;
        createTables(this.#database, header);
        this.#newCommits().executeNow(batch);
        return true;
      });
      return create.immediate();
    });
  }

  async wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined> {
    if (version === undefined) return this.#read((sql) => sql.newest_key.get(owner));
    return this.#read((sql) => sql.key.get(owner, version));
  }

  async keyVersions(owner: Buffer): Promise<readonly WrappedKey[]> {
    return this.#read((sql) => sql.key_versions.all(owner));
  }

  async newestKeyVersion(): Promise<number> {
    return this.#read((sql) => sql.newest_version.get() ?? 0);
  }

  async wrappedKeys(limit: number, after?: Pick<WrappedKey, 'owner' | 'version'>) {
    return this.#read((sql) =>
      sql.keys_after.all(after?.owner ?? Buffer.alloc(0), after?.version ?? 0, limit),
    );
  }

  async recordsBelowVersion(organization: Buffer, version: number, limit: number, after?: string) {
    return this.#read((sql) => recordsBelowVersion(sql, organization, version, limit, after));
  }

  async get(id: Buffer): Promise<StoredRecord | undefined> {
    return this.#read((sql) => getRecord(sql, id));
  }

  async getMany(ids: readonly Buffer[]): Promise<readonly (StoredRecord | undefined)[]> {
    return this.#read((sql) => ids.map((id) => getRecord(sql, id)));
  }

  async find(index: Buffer): Promise<StoredMeta | undefined> {
    return this.#read((sql) => this.#cache.read(this.#cache.byIndex(index), () => findMeta(sql, index)));
  }

  async findById(id: Buffer): Promise<StoredMeta | undefined> {
    return this.#read((sql) => this.#cache.read(this.#cache.byId(id), () => findMetaById(sql, id)));
  }

  async list(scope: Buffer, limit: number, after?: string): Promise<Page> {
    return this.#read((sql) => listScope(sql, scope, limit, after));
  }

  async usage(scope: Buffer): Promise<ScopeUsage> {
    return this.#read((sql) => sql.usage.get(scope) ?? { count: 0, values_bytes: 0 });
  }

  async commit(batch: Batch): Promise<void> {
    return this.change([], () => ({ batch, result: undefined }));
  }

  async change<Result>(reads: readonly RowRead[], plan: Plan<Result>): Promise<Result> {
    this.#assertOpen();
    this.#commits ??= mapStoreErrors(() => this.#newCommits());
    const result = await this.#commits.change(reads, plan);
    this.#checkpointer.schedule();
    return result;
  }

  async auditHead(organization: Buffer): Promise<ChainHead | undefined> {
    return this.#read((sql) => headOfChain(sql, organization));
  }

  async auditHeads(): Promise<readonly StoredHead[]> {
    return this.#read((sql) => sql.heads.all().map(toStoredHead));
  }

  async auditEntries(
    organization: Buffer,
    from_position: number,
    limit: number,
  ): Promise<readonly StoredEntry[]> {
    return this.#read((sql) => entriesFrom(sql, organization, from_position, limit));
  }

  async isReady(): Promise<boolean> {
    return this.#exclusive(
      () => this.#isFileCurrent() && hasVault(this.#database) && readMove(this.#database) === undefined,
    );
  }

  async check(): Promise<StoreHealth> {
    return this.#exclusive(() => checkFile(this.#database, this.#real_path));
  }

  async snapshot(): Promise<StoreSnapshot> {
    return this.#exclusive(() => {
      upgradeSchema(this.#database);
      return openSqliteSnapshot(this.#real_path);
    });
  }

  async move(): Promise<VaultMove | undefined> {
    return this.#exclusive(() => readMove(this.#database));
  }

  async setMove(expected: VaultMove | undefined, next: VaultMove | undefined): Promise<void> {
    this.#assertOpen();
    this.#commits ??= mapStoreErrors(() => this.#newCommits());
    const write: Plan<undefined> = () => {
      writeMove(this.#database, expected, next);
      return { batch: { writes: [], audit: [] }, result: undefined };
    };
    await this.#commits.change([], write, true);
  }

  async scrub(): Promise<void> {
    await this.#commits?.drained();
    this.#assertOpen();
    await this.#checkpointer.runNow();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await this.#commits?.drained();
    this.#snapshot.end();
    this.#checkpointer.close(this.#commits !== undefined);
    this.#marker?.close();
    this.#database.close();
    this.#untrackFile();
    this.#writer_queue.close();
  }

  #read<Result>(read: (sql: Statements) => Result): Result | Promise<Result> {
    return waitWhileBusy(() => {
      this.#assertOpen();
      const sql = this.#prepared();
      this.#snapshot.enter();
      return read(sql);
    });
  }

  /** Runs something that must not share a read snapshot. */
  #exclusive<Result>(act: () => Result): Result | Promise<Result> {
    return waitWhileBusy(() => {
      this.#assertOpen();
      this.#snapshot.end();
      return act();
    });
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }

  #prepared(): Statements {
    this.#statements ??= prepareStatements(this.#database);
    return this.#statements;
  }

  #newCommits(): CommitQueue {
    this.#snapshot.end();
    ignoreErrors(() => ensureWal(this.#database));
    upgradeSchema(this.#database);
    this.#marker ??= new WalMarker(this.#database, `${this.#real_path}-wal`);
    this.#statements = undefined;
    return new CommitQueue({
      database: this.#database,
      snapshot: this.#snapshot,
      writer_queue: this.#writer_queue,
      marker: this.#marker,
      isFileCurrent: this.#isFileCurrent,
      findMove: moveFinder(this.#database),
      load: (read) => {
        const loaded = loadRow(this.#prepared(), read);
        return loaded && { ...loaded, row: this.#cache.reuse(loaded.row) };
      },
      onWritten: (batch) => this.#cache.apply(batch),
      onCommit: this.#onCommit,
    });
  }
}
