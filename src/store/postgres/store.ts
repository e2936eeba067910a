/**
 * The store in a PostgreSQL database, for several nodes at once. Every read is a request to the primary, in a batch with
 * others; nothing is cached that another node may have changed without being compared with the database first.
 */
import { STORE_OUTAGE_TIMEOUT_MS } from '../../contract/limits.ts';
import { closedError, incompleteMoveError } from '../errors.ts';
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
import { Connection, type PostgresOptions, type Query, type Rows, type Session } from './connection.ts';
import { BrokenConnectionError, ConnectError, toStoreError } from './errors.ts';
import { checkStore, isServing } from './health.ts';
import type { ReadKind } from './read_batcher.ts';
import { Reader } from './reader.ts';
import { createVault, inTransaction, migrate, readFormat, readHeader } from './schema.ts';
import {
  ALL_HEADS,
  belowVersionQuery,
  entriesQuery,
  findByIdQuery,
  findQuery,
  getQuery,
  headsQuery,
  keyOf,
  keysAfterQuery,
  keyVersionsQuery,
  listQuery,
  NEWEST_VERSION,
  toEntries,
  toLoadedHeads,
  toMetas,
  toRecords,
  toStoredHeads,
  toUsage,
  toWrappedKeys,
  usageQuery,
  wrappedKeyQuery,
} from './statements.ts';
import { readMove, readMoveRow, writeMove } from './transfer/move_state.ts';
import { openPostgresSnapshot } from './transfer/snapshot.ts';
import { GroupCommitQueue } from './write/commit_queue.ts';
import { planFirst } from './write/first_batch.ts';
import { KnownHeads } from './write/known_heads.ts';
import { writeStatement } from './write/write_statement.ts';

const BY_INDEX: ReadKind<StoredMeta> = { query: findQuery, rows: toMetas, keyOfRow: ({ index }) => index };
const BY_ID: ReadKind<StoredMeta> = { query: findByIdQuery, rows: toMetas, keyOfRow: ({ id }) => id };
const RECORD: ReadKind<StoredRecord> = { query: getQuery, rows: toRecords, keyOfRow: ({ id }) => id };

/** Connects when it is used first. */
export function openPostgres(options: PostgresOptions, onCommit?: OnCommit): PostgresStore {
  return new PostgresStore(options, onCommit);
}

export class PostgresStore implements Store {
  readonly erasure = 'with_retention';
  readonly #options: PostgresOptions;
  readonly #reader: Reader;
  readonly #writer: Connection;
  readonly #heads = new KnownHeads();
  readonly #cache: RowCache;
  readonly #commits: GroupCommitQueue;
  #reads = 0;
  #closing: Promise<void> | undefined;

  constructor(options: PostgresOptions, onCommit?: OnCommit) {
    this.#options = options;
    const outage_timeout_ms = options.outage_timeout_ms ?? STORE_OUTAGE_TIMEOUT_MS;
    const check = (session: Session) => this.#checkHeads(session);
    this.#reader = new Reader(options, check, outage_timeout_ms);
    this.#writer = new Connection(options, check);
    // Another number each time: a cached row is always compared with the database.
    this.#cache = new RowCache(() => {
      this.#reads += 1;
      return this.#reads;
    });
    this.#commits = new GroupCommitQueue({
      connection: this.#writer,
      hasConnected: () => this.#reader.has_connected || this.#writer.has_connected,
      cache: this.#cache,
      heads: this.#heads,
      outage_timeout_ms,
      onCommit,
    });
  }

  async header(): Promise<StoreHeader | undefined> {
    return this.#withSession(async (session) => {
      if ((await readFormat(session)) === 0) return undefined;
      if ((await readMoveRow(session))?.state === 'receiving') throw incompleteMoveError();
      await migrate(session);
      return readHeader(session);
    });
  }

  async create(header: StoreHeader, batch: Batch): Promise<boolean> {
    let attempts = 0;
    return this.#withSession((session) =>
      inTransaction(session, async () => {
        attempts += 1;
        if ((await readMoveRow(session))?.state === 'receiving') throw incompleteMoveError();
        // An earlier attempt may have been committed although the connection broke.
        if (!(await createVault(session, header)))
          return attempts > 1 && (await readHeader(session))?.root_key_id.equals(header.root_key_id) === true;
        const statement = writeStatement(planFirst(header, batch));
        if (statement !== undefined) await session.run([statement]);
        return true;
      }),
    );
  }

  async wrappedKey(owner: Buffer, version?: number): Promise<WrappedKey | undefined> {
    return toWrappedKeys(await this.#rows(wrappedKeyQuery(owner, version)))[0];
  }

  async keyVersions(owner: Buffer): Promise<readonly WrappedKey[]> {
    return toWrappedKeys(await this.#rows(keyVersionsQuery(owner)));
  }

  async newestKeyVersion(): Promise<number> {
    return Number((await this.#rows(NEWEST_VERSION))[0]?.[0]);
  }

  async wrappedKeys(limit: number, after?: Pick<WrappedKey, 'owner' | 'version'>) {
    return toWrappedKeys(await this.#rows(keysAfterQuery(limit, after)));
  }

  async recordsBelowVersion(organization: Buffer, version: number, limit: number, after?: string) {
    const rows = await this.#rows(belowVersionQuery(organization, version, limit, after));
    const last = rows.at(-1)?.[8];
    return { records: toRecords(rows), next: rows.length === limit ? String(last) : undefined };
  }

  async get(id: Buffer): Promise<StoredRecord | undefined> {
    this.#assertOpen();
    return this.#reader.read(RECORD, id);
  }

  async getMany(ids: readonly Buffer[]): Promise<readonly (StoredRecord | undefined)[]> {
    return Promise.all(ids.map((id) => this.get(id)));
  }

  async find(index: Buffer): Promise<StoredMeta | undefined> {
    this.#assertOpen();
    const row = await this.#reader.read(BY_INDEX, index);
    return this.#cache.read(this.#cache.byIndex(index), () => row);
  }

  async findById(id: Buffer): Promise<StoredMeta | undefined> {
    this.#assertOpen();
    const row = await this.#reader.read(BY_ID, id);
    return this.#cache.read(this.#cache.byId(id), () => row);
  }

  async list(scope: Buffer, limit: number, after?: string): Promise<Page> {
    const rows = await this.#rows(listQuery(scope, limit, after));
    const page = rows.slice(0, limit);
    const last = page.at(-1)?.[7];
    return { records: toMetas(page), next: rows.length > limit ? String(last) : undefined };
  }

  async usage(scope: Buffer): Promise<ScopeUsage> {
    return toUsage(await this.#rows(usageQuery(scope)));
  }

  async commit(batch: Batch): Promise<void> {
    return this.change([], () => ({ batch, result: undefined }), batch.audit[0]?.organization);
  }

  async change<Result>(
    reads: readonly RowRead[],
    plan: Plan<Result>,
    organization?: Buffer,
  ): Promise<Result> {
    this.#assertOpen();
    return this.#commits.change(reads, plan, organization);
  }

  async auditHead(organization: Buffer): Promise<ChainHead | undefined> {
    const acknowledged = this.#heads.acknowledgedPosition(organization);
    const [loaded] = toLoadedHeads(await this.#rows(headsQuery([organization], [acknowledged])));
    if (loaded !== undefined) this.#heads.assertContains(loaded, acknowledged);
    return loaded?.head;
  }

  async auditHeads(): Promise<readonly StoredHead[]> {
    return toStoredHeads(await this.#rows(ALL_HEADS));
  }

  async auditEntries(
    organization: Buffer,
    from_position: number,
    limit: number,
  ): Promise<readonly StoredEntry[]> {
    return toEntries(await this.#rows(entriesQuery(organization, from_position, limit)));
  }

  /** Whether the primary responds, accepts writes and contains the vault. Does not wait for one. */
  async isReady(): Promise<boolean> {
    this.#assertOpen();
    try {
      return await isServing(await this.#reader.session());
    } catch (error) {
      if (error instanceof ConnectError || error instanceof BrokenConnectionError) return false;
      throw toStoreError(error);
    }
  }

  readonly clock = async (): Promise<Date> => {
    const text = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint';
    const [rows] = await this.#withSession((session) => session.run([{ name: 'clock', text }]));
    return new Date(Number(rows?.[0]?.[0]));
  };

  async check(): Promise<StoreHealth> {
    return this.#withSession(checkStore);
  }

  async snapshot(): Promise<StoreSnapshot> {
    this.#assertOpen();
    return openPostgresSnapshot(this.#options);
  }

  async move(): Promise<VaultMove | undefined> {
    return this.#withSession(readMove);
  }

  async setMove(expected: VaultMove | undefined, next: VaultMove | undefined): Promise<void> {
    return this.#withSession((session) => writeMove(session, expected, next));
  }

  /** PostgreSQL keeps replaced data in its log, its standbys and its backups. */
  async scrub(): Promise<void> {
    this.#assertOpen();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#commits.drained();
    await Promise.all([this.#reader.close(), this.#writer.close()]);
  }

  async #rows(query: Query): Promise<Rows> {
    this.#assertOpen();
    return (await this.#reader.run([query]))[0] ?? [];
  }

  async #withSession<Result>(act: (session: Session) => Promise<Result>): Promise<Result> {
    this.#assertOpen();
    return this.#reader.withSession(act);
  }

  /** Refuses a database that has lost writes which it acknowledged to this process. */
  async #checkHeads(session: Session): Promise<void> {
    const organizations = this.#heads.recent();
    if (organizations.length === 0) return;
    const positions = organizations.map((organization) => this.#heads.acknowledgedPosition(organization));
    const [rows = []] = await session.run([headsQuery(organizations, positions)]);
    const loaded = new Map(toLoadedHeads(rows).map((head) => [keyOf(head.organization), head]));
    for (const [at, organization] of organizations.entries()) {
      const head = loaded.get(keyOf(organization));
      if (head !== undefined) this.#heads.assertContains(head, positions[at] ?? 0);
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}
