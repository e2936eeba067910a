/**
 * The store in one SQLite file, over one connection: a second one would have its page cache thrown away by every
 * write of the first. Several processes may use the file at once. The only folder that imports the database driver.
 */
import { existsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver, { type Database } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import { STORE_BUSY_TIMEOUT_MS } from '../../contract/limits.ts';
import type {
  AuditHead,
  Batch,
  OnCommit,
  OnWritten,
  Page,
  Plan,
  Store,
  StoredEntry,
  StoredMeta,
  StoredRecord,
  StoreHeader,
  StoreHealth,
  WrappedKey,
} from '../store.ts';
import { CommitQueue } from './commit_queue.ts';
import { retryWhileBusy, toStoreError } from './errors.ts';
import { inspectSqliteFile, watchSqliteFile } from './file.ts';
import { ReadSnapshot } from './read_snapshot.ts';
import { configure, hasVault, POSITIONS_PER_ORGANIZATION, SCHEMA } from './schema.ts';
import { chainStart, findMeta, headOf, prepareStatements, type Statements, storeNow } from './statements.ts';
import { WriterQueue } from './writer_queue.ts';

/** After the last write: how long until replaced and deleted bytes are overwritten in the write-ahead log too. */
const SCRUB_AFTER_MS = 500;
const SCRUB_RETRY_MS = 10;

/** Opens a file that is there. Throws VaultError for everything that can be wrong with it. */
export function openSqlite(path: string, onCommit?: OnCommit): SqliteStore {
  inspectSqliteFile(path);
  let database: Database | undefined;
  try {
    // No busy timeout: reads are tried again here, and writes wait for their turn without holding up the event loop.
    const opened = new Driver(path, { fileMustExist: true, timeout: 0 });
    database = opened;
    retryWhileBusy(() => configure(opened));
    retryWhileBusy(() => hasVault(opened));
    return new SqliteStore(path, opened, onCommit);
  } catch (error) {
    database?.close();
    throw toStoreError(error);
  }
}

export class SqliteStore implements Store {
  readonly #path: string;
  readonly #database: Database;
  readonly #turns: WriterQueue;
  readonly #shared_reads: ReadSnapshot;
  readonly #isInPlace: () => boolean;
  readonly #onCommit: OnCommit | undefined;
  readonly #onWritten: OnWritten[] = [];
  #reads: Statements | undefined;
  #commits: CommitQueue | undefined;
  #last_commit_ms = 0;
  #scrub_timer: NodeJS.Timeout | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(path: string, database: Database, onCommit?: OnCommit) {
    this.#path = path;
    this.#database = database;
    this.#turns = new WriterQueue(`${path}-turns`);
    this.#shared_reads = new ReadSnapshot(database);
    this.#isInPlace = watchSqliteFile(path);
    this.#onCommit = onCommit;
  }

  async header(): Promise<StoreHeader | undefined> {
    return this.#open(() => {
      if (!hasVault(this.#database)) return undefined;
      const row = this.#prepared().header.get();
      if (row === undefined) throw Object.assign(new Error('no header'), { code: 'SQLITE_CORRUPT' });
      return { ...row, passphrase_salt: row.passphrase_salt ?? undefined };
    });
  }

  async create(header: StoreHeader, batch: Batch): Promise<boolean> {
    return this.#open(() => {
      this.#database.pragma('journal_mode = WAL');
      const make = this.#database.transaction(() => {
        if (hasVault(this.#database)) return false;
        this.#database.exec(SCHEMA);
        const { root_key_id, root_key_source, passphrase_salt, created_at } = header;
        this.#database
          .prepare('INSERT INTO vault VALUES (1, ?, ?, ?, ?)')
          .run(root_key_id, root_key_source, passphrase_salt ?? null, created_at);
        this.#newCommits().carryOutAlone(batch);
        return true;
      });
      return make.immediate();
    });
  }

  async wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined> {
    return this.#reading((sql) =>
      version === undefined ? sql.newest_key.get(owner) : sql.key.get(owner, version),
    );
  }

  async get(id: Buffer): Promise<StoredRecord | undefined> {
    return this.#reading((sql) => sql.get.get(id));
  }

  async find(index: Buffer): Promise<StoredMeta | undefined> {
    return this.#reading((sql) => findMeta(sql, index));
  }

  version(): number {
    this.#assertOpen();
    return guarded(() => this.#shared_reads.version());
  }

  onWritten(told: OnWritten): void {
    this.#onWritten.push(told);
  }

  async stands(row: StoredMeta): Promise<boolean> {
    const { kind, id, scope, index, revision, key_version, sealed_meta } = row;
    return this.#reading(
      (sql) => sql.stands.get(id, kind, scope, index, revision, key_version, sealed_meta) === 1,
    );
  }

  async list(scope: Buffer, limit: number, after?: string): Promise<Page> {
    return this.#reading((sql) => {
      const rows = sql.list.all(scope, Number(after ?? Number.MAX_SAFE_INTEGER), limit + 1);
      const more = rows.length > limit;
      const records = more ? rows.slice(0, limit) : rows;
      return { records, next: more ? String(records.at(-1)?.place) : undefined };
    });
  }

  async commit(batch: Batch): Promise<void> {
    const planned = { batch, result: undefined };
    return this.change(() => planned);
  }

  async change<Result>(plan: Plan<Result>): Promise<Result> {
    this.#assertOpen();
    this.#commits ??= guarded(() => this.#newCommits());
    const result = await this.#commits.change(plan);
    this.#last_commit_ms = Date.now();
    this.#armScrub();
    return result;
  }

  async auditHead(organization: Buffer): Promise<AuditHead | undefined> {
    return this.#reading((sql) => {
      const start = chainStart(sql, organization);
      if (start === undefined) return undefined;
      return headOf(sql.last_entries.all(start, start + POSITIONS_PER_ORGANIZATION), start);
    });
  }

  async auditEntries(
    organization: Buffer,
    from_position: number,
    limit: number,
  ): Promise<readonly StoredEntry[]> {
    return this.#reading((sql) => {
      const start = chainStart(sql, organization);
      if (start === undefined) return [];
      return sql.entries
        .all(start + from_position, start + POSITIONS_PER_ORGANIZATION, limit)
        .map(({ place, key_version, sealed, link }) => ({
          position: place - start,
          key_version,
          sealed,
          link,
        }));
    });
  }

  async isReady(): Promise<boolean> {
    return this.#open(() => this.#isInPlace() && hasVault(this.#database));
  }

  async check(): Promise<StoreHealth> {
    return this.#open(() => {
      const detail = String(this.#database.pragma('integrity_check(1)', { simple: true }));
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
    await this.#commits?.drained();
    const give_up_at = Date.now() + STORE_BUSY_TIMEOUT_MS;
    while (!this.#open(() => this.#checkpoint())) {
      if (Date.now() > give_up_at)
        throw toStoreError(Object.assign(new Error('readers'), { code: 'SQLITE_BUSY' }));
      await sleep(SCRUB_RETRY_MS);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#scrub_timer);
    await this.#commits?.drained();
    this.#shared_reads.end();
    if (this.#commits !== undefined) quietly(() => this.#checkpoint());
    this.#database.close();
    this.#turns.close();
  }

  #reading<Result>(read: (sql: Statements) => Result): Result {
    this.#assertOpen();
    return guarded(() => {
      const sql = this.#prepared();
      this.#shared_reads.enter();
      return read(sql);
    });
  }

  /** For what is no read like others. */
  #open<Result>(act: () => Result): Result {
    this.#assertOpen();
    this.#shared_reads.end();
    return guarded(act);
  }

  #assertOpen(): void {
    if (this.#closed) throw new VaultError('UNAVAILABLE', 'The vault was closed. Open it again.');
  }

  #prepared(): Statements {
    this.#reads ??= prepareStatements(this.#database);
    return this.#reads;
  }

  #newCommits(): CommitQueue {
    return new CommitQueue({
      database: this.#database,
      shared_reads: this.#shared_reads,
      turns: this.#turns,
      isInPlace: this.#isInPlace,
      now: storeNow(() => this.#prepared()),
      onCommit: this.#onCommit,
      onWritten: (id) => {
        for (const told of this.#onWritten) told(id);
      },
    });
  }

  /** Once nothing was written for a while: under load the log is overwritten by itself, and growing it anew is slow. */
  #armScrub(): void {
    this.#scrub_timer ??= setTimeout(() => {
      this.#scrub_timer = undefined;
      if (this.#closed) return;
      const idle = Date.now() - this.#last_commit_ms >= SCRUB_AFTER_MS;
      if (!idle || quietly(() => this.#checkpoint()) === false) this.#armScrub();
    }, SCRUB_AFTER_MS).unref();
  }

  /** Moves everything into the main file and empties the log. Returns false while another process is reading. */
  #checkpoint(): boolean {
    this.#shared_reads.end();
    const [row] = this.#database.pragma('wal_checkpoint(TRUNCATE)') as readonly { readonly busy: number }[];
    return row?.busy === 0;
  }
}

/** For housekeeping that the next run makes up for. */
function quietly<Result>(act: () => Result): Result | undefined {
  try {
    return act();
  } catch {
    // Whatever stands in its way (a full disk, a lock) is reported by the next write, which can be answered.
    return undefined;
  }
}

function guarded<Result>(act: () => Result): Result {
  try {
    return retryWhileBusy(act);
  } catch (error) {
    throw toStoreError(error);
  }
}
