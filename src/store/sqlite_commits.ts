/**
 * Group commit: the batches that wait at the same moment go into one transaction and share its one wait for the
 * disk. A batch that cannot be written takes nothing of itself and nobody else down; a caller hears of success only
 * after the transaction is durable.
 */
import type { Database, Statement } from 'better-sqlite3';
import { VaultError } from '../contract/errors.ts';
import {
  COMMITS_PER_TRANSACTION_MAX,
  PENDING_COMMITS_MAX,
  STORE_BUSY_TIMEOUT_MS,
} from '../contract/limits.ts';
import { isBusy, isUniqueViolation, toStoreError } from './sqlite_errors.ts';
import { endOf, LAST_ENTRIES, type LastEntryRow } from './sqlite_reads.ts';
import { POSITIONS_PER_ORGANIZATION } from './sqlite_schema.ts';
import type { AuditAppend, Batch, RecordWrite, WrappedKey } from './store.ts';
import type { Turns } from './turns.ts';

interface Waiting {
  readonly batch: Batch;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

const YIELD_AFTER_MS = 10;
const KNOWN_ENDS_MAX = 1_000;

/** The end of a chain, as this process wrote it last or is about to. */
interface ChainEnd {
  /** The place before the first one of the chain. */
  readonly start: number;
  readonly position: number;
  readonly link: Buffer;
  readonly end_seal: Buffer;
  /** The entry that is not in the table yet: only when the next one comes is it known whether it is the last. */
  readonly pending: { readonly key_version: number; readonly sealed: Buffer } | undefined;
}
type ChainEnds = Map<string, ChainEnd>;

const NO_SEAL = Buffer.alloc(32);

export class SqliteCommits {
  readonly #database: Database;
  readonly #turns: Turns;
  readonly #sql: ReturnType<typeof prepare>;
  /** Spares looking up and checking the end of a chain that only this process writes to. */
  readonly #known_ends: ChainEnds = new Map();
  #waiting: Waiting[] = [];
  #yielded_ms = 0;
  #flushing: Promise<void> | undefined;

  /** `database`: a connection with a busy timeout of zero. */
  constructor(database: Database, turns: Turns) {
    this.#database = database;
    this.#turns = turns;
    this.#sql = prepare(database);
  }

  commit(batch: Batch): Promise<void> {
    if (this.#waiting.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(
        new VaultError(
          'UNAVAILABLE',
          'Too many writes are waiting. Nothing was changed; try again shortly.',
          { reason: 'busy' },
        ),
      );
    }
    return new Promise((done, failed) => {
      this.#waiting.push({ batch, done, failed });
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves when nothing is waiting any more. Never rejects. */
  async drained(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Everybody who is ready at this moment gets to join before the first transaction begins; now and then the event
    // loop gets its turn, however fast the writes follow one another.
    const now = Date.now();
    if (now - this.#yielded_ms < YIELD_AFTER_MS) await new Promise<void>((ready) => process.nextTick(ready));
    else {
      this.#yielded_ms = now;
      await new Promise(setImmediate);
    }
    while (this.#waiting.length > 0) {
      const failure = await this.#begin();
      // Taken only now: who came while we waited for our turn rides along.
      const group = this.#waiting.splice(0, COMMITS_PER_TRANSACTION_MAX);
      if (failure !== undefined) for (const one of group) one.failed(failure);
      else this.#write(group);
      // Those who were just answered may come right back, and then ride in the next transaction together.
      if (this.#waiting.length > 0 || group.length > 1) await new Promise(setImmediate);
    }
    this.#flushing = undefined;
  }

  /** Returns what went wrong, or `undefined` inside a transaction. */
  async #begin(): Promise<Error | undefined> {
    try {
      const begun = await this.#turns.take(() => this.#tryBegin(), STORE_BUSY_TIMEOUT_MS);
      return begun ? undefined : toStoreError(Object.assign(new Error('no turn'), { code: 'SQLITE_BUSY' }));
    } catch (error) {
      return toStoreError(error);
    }
  }

  #tryBegin(): boolean {
    try {
      this.#sql.begin.run();
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  /** Inside a transaction: applies the batches, commits, and answers everybody. */
  #write(group: readonly Waiting[]): void {
    const applied: Waiting[] = [];
    const refused: (readonly [Waiting, unknown])[] = [];
    const ends: ChainEnds = new Map();
    try {
      for (const one of group) {
        // Alone in its transaction, a batch that fails takes it all back; together, each has its own savepoint.
        const failure = group.length === 1 ? this.#carryOut(one.batch, ends) : this.#apply(one.batch, ends);
        if (failure === undefined) applied.push(one);
        else refused.push([one, failure]);
      }
      for (const end of ends.values()) this.#insertPending(end, end.end_seal);
      this.#sql.commit.run();
      for (const [key, end] of ends) this.#remember(key, end);
    } catch (error) {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      this.#known_ends.clear();
      const failure = toStoreError(error);
      for (const one of group) one.failed(failure);
      return;
    }
    for (const one of applied) one.done();
    for (const [one, failure] of refused) one.failed(failure);
  }

  /** Returns why this batch was refused; throws when the whole transaction is lost. */
  #apply(batch: Batch, ends: ChainEnds): unknown {
    const before = new Map(ends);
    this.#sql.savepoint.run();
    try {
      this.#carryOut(batch, ends);
      this.#sql.release.run();
      return undefined;
    } catch (error) {
      // SQLite gives some failures (a full disk) the whole transaction: then there is nothing to go back to.
      if (!this.#database.inTransaction) throw error;
      this.#sql.rollback_to.run();
      this.#sql.release.run();
      ends.clear();
      for (const [key, end] of before) ends.set(key, end);
      return toStoreError(error);
    }
  }

  #carryOut(batch: Batch, ends: ChainEnds): undefined {
    for (const key of batch.keys ?? []) this.#addKey(key);
    for (const write of batch.writes) this.#applyWrite(write);
    for (const append of batch.audit) this.#append(append, ends);
  }

  #applyWrite(write: RecordWrite): void {
    if (write.do === 'delete') {
      if (this.#sql.delete.run(write.id, write.expected_revision).changes !== 1) throw conflict();
      return;
    }
    const { kind, id, scope, index, revision, key_version, sealed_meta, sealed_values } = write.record;
    try {
      const { changes } =
        write.expected_revision === 0
          ? this.#sql.insert.run(kind, id, scope, index, revision, key_version, sealed_meta, sealed_values)
          : this.#sql.update.run(
              scope,
              index,
              revision,
              key_version,
              sealed_meta,
              sealed_values,
              id,
              write.expected_revision,
            );
      if (changes !== 1) throw conflict();
    } catch (error) {
      throw isUniqueViolation(error) ? conflict(error) : error;
    }
  }

  #addKey(key: WrappedKey): void {
    if (this.#sql.add_key.run(key.owner, key.version, key.wrapped).changes !== 1) throw conflict();
  }

  #append(append: AuditAppend, ends: ChainEnds): void {
    const key = append.organization.toString('latin1');
    const end = ends.get(key) ?? this.#knownEnd(key) ?? this.#storedEnd(append);
    this.#insertPending(end, NO_SEAL);
    const position = end.position + 1;
    if (position >= POSITIONS_PER_ORGANIZATION) {
      throw new VaultError(
        'UNAVAILABLE',
        'The audit log has reached its largest length. Nothing was changed.',
      );
    }
    const { sealed, link, end_seal } = append.sealEntry(position, position === 1 ? undefined : end.link);
    ends.set(key, {
      start: end.start,
      position,
      link,
      end_seal,
      pending: { key_version: append.key_version, sealed },
    });
  }

  /** The end this process wrote last, unmarked, if it still is the end: whoever appends takes the seal off it. */
  #knownEnd(key: string): ChainEnd | undefined {
    const end = this.#known_ends.get(key);
    if (end === undefined) return undefined;
    const { changes } = this.#sql.unmark_known_end.run(
      NO_SEAL,
      end.start + end.position,
      end.link,
      end.end_seal,
    );
    return changes === 1 ? end : undefined;
  }

  /** The end of the chain as it was before this transaction, checked, and no longer marked as the end. */
  #storedEnd(append: AuditAppend): ChainEnd {
    const number = this.#sql.chain.get(append.organization);
    if (number === undefined) {
      append.checkEnd(undefined);
      return emptyChain(Number(this.#sql.add_chain.run(append.organization).lastInsertRowid));
    }
    const { start } = emptyChain(number);
    const end = endOf(this.#sql.last_entries.all(start, start + POSITIONS_PER_ORGANIZATION), start);
    append.checkEnd(end);
    if (end === undefined) return emptyChain(number);
    this.#sql.unmark_end.run(NO_SEAL, start + end.position);
    return { start, position: end.position, link: end.link, end_seal: end.end_seal, pending: undefined };
  }

  #insertPending({ start, position, link, pending }: ChainEnd, end_seal: Buffer): void {
    if (pending === undefined) return;
    this.#sql.append.run(start + position, pending.key_version, pending.sealed, link, end_seal);
  }

  #remember(key: string, end: ChainEnd): void {
    if (this.#known_ends.size >= KNOWN_ENDS_MAX) this.#known_ends.clear();
    this.#known_ends.set(key, { ...end, pending: undefined });
  }
}

function emptyChain(number: number): ChainEnd {
  return {
    start: number * POSITIONS_PER_ORGANIZATION,
    position: 0,
    link: NO_SEAL,
    end_seal: NO_SEAL,
    pending: undefined,
  };
}

function conflict(cause?: unknown): VaultError {
  return new VaultError(
    'CONFLICT',
    'Somebody else changed this at the same moment. Nothing was changed; try again.',
    { cause },
  );
}

function prepare(database: Database) {
  const chain: Statement<[Buffer], number> = database.prepare(
    'SELECT number FROM audit_chain WHERE organization = ?',
  );
  const last_entries: Statement<[number, number], LastEntryRow> = database.prepare(LAST_ENTRIES);
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    savepoint: database.prepare('SAVEPOINT batch'),
    release: database.prepare('RELEASE batch'),
    rollback_to: database.prepare('ROLLBACK TO batch'),
    add_key: database.prepare('INSERT OR IGNORE INTO wrapped_key (owner, version, wrapped) VALUES (?, ?, ?)'),
    insert: database.prepare(
      `INSERT INTO record (kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: database.prepare(
      `UPDATE record SET scope = ?, blind_index = ?, revision = ?, key_version = ?, sealed_meta = ?, sealed_values = ?
       WHERE id = ? AND revision = ?`,
    ),
    delete: database.prepare('DELETE FROM record WHERE id = ? AND revision = ?'),
    chain: chain.pluck(),
    last_entries,
    add_chain: database.prepare('INSERT INTO audit_chain (organization) VALUES (?)'),
    append: database.prepare(
      'INSERT INTO audit_entry (place, key_version, sealed, link, end_seal) VALUES (?, ?, ?, ?, ?)',
    ),
    unmark_end: database.prepare('UPDATE audit_entry SET end_seal = ? WHERE place = ?'),
    unmark_known_end: database.prepare(
      'UPDATE audit_entry SET end_seal = ? WHERE place = ? AND link = ? AND end_seal = ?',
    ),
  };
}
