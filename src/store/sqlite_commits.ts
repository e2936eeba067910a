/**
 * Group commit: the batches that wait at the same moment go into one transaction and share its one wait for the
 * disk. A batch that cannot be written takes nothing of itself and nobody else down; a caller hears of success only
 * after the transaction is durable.
 */
import type { Database, Statement } from 'better-sqlite3';
import { VaultError } from '../contract/errors.ts';
import { COMMITS_PER_TRANSACTION_MAX, PENDING_COMMITS_MAX, STORE_BUSY_TIMEOUT_MS } from '../contract/limits.ts';
import { isBusy, isUniqueViolation, toStoreError } from './sqlite_errors.ts';
import { POSITIONS_PER_ORGANIZATION } from './sqlite_schema.ts';
import type { AuditAppend, AuditHead, Batch, RecordWrite, WrappedKey } from './store.ts';
import type { Turns } from './turns.ts';

interface Waiting {
  readonly batch: Batch;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

interface NumberedHead extends AuditHead {
  readonly number: number;
}

export class SqliteCommits {
  readonly #database: Database;
  readonly #turns: Turns;
  readonly #sql: ReturnType<typeof prepare>;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  /** `database`: a connection used for nothing else, with a busy timeout of zero. */
  constructor(database: Database, turns: Turns) {
    this.#database = database;
    this.#turns = turns;
    this.#sql = prepare(database);
  }

  commit(batch: Batch): Promise<void> {
    if (this.#waiting.length >= PENDING_COMMITS_MAX) {
      return Promise.reject(
        new VaultError('UNAVAILABLE', 'Too many writes are waiting. Nothing was changed; try again shortly.', { reason: 'busy' }),
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
    // Everybody who is ready at this moment gets to join before the first transaction begins.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const failure = await this.#begin();
      // Taken only now: who came while we waited for our turn rides along.
      const group = this.#waiting.splice(0, COMMITS_PER_TRANSACTION_MAX);
      if (failure !== undefined) for (const one of group) one.failed(failure);
      else this.#write(group);
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
    const heads = new Map<string, NumberedHead | undefined>();
    try {
      for (const one of group) {
        const failure = this.#apply(one.batch, group.length > 1, heads);
        if (failure === undefined) applied.push(one);
        else refused.push([one, failure]);
      }
      if (applied.length > 0) this.#sealHeads(applied, heads);
      this.#sql.commit.run();
    } catch (error) {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      const failure = toStoreError(error);
      for (const one of group) one.failed(failure);
      return;
    }
    for (const one of applied) one.done();
    for (const [one, failure] of refused) one.failed(failure);
  }

  /** Returns why this batch was refused; throws when the whole transaction is lost. */
  #apply(batch: Batch, shared: boolean, heads: Map<string, NumberedHead | undefined>): unknown {
    const before = new Map(heads);
    this.#sql.savepoint.run();
    try {
      for (const key of batch.keys ?? []) this.#addKey(key);
      for (const write of batch.writes) this.#applyWrite(write);
      for (const append of batch.audit) this.#append(append, heads);
      this.#sql.release.run();
      return undefined;
    } catch (error) {
      // SQLite gives some failures (a full disk) the whole transaction: then there is nothing to go back to.
      if (!this.#database.inTransaction || (!shared && !(error instanceof VaultError))) throw error;
      this.#sql.rollback_to.run();
      this.#sql.release.run();
      heads.clear();
      for (const [key, head] of before) heads.set(key, head);
      return toStoreError(error);
    }
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
          : this.#sql.update.run(scope, index, revision, key_version, sealed_meta, sealed_values, id, write.expected_revision);
      if (changes !== 1) throw conflict();
    } catch (error) {
      throw isUniqueViolation(error) ? conflict(error) : error;
    }
  }

  #addKey(key: WrappedKey): void {
    if (this.#sql.add_key.run(key.owner, key.version, key.wrapped).changes !== 1) throw conflict();
  }

  #append(append: AuditAppend, heads: Map<string, NumberedHead | undefined>): void {
    const key = append.organization.toString('latin1');
    let head = heads.get(key);
    if (head === undefined) {
      head = this.#sql.head.get(append.organization);
      append.checkHead(head);
    }
    const position = (head?.position ?? 0) + 1;
    if (position >= POSITIONS_PER_ORGANIZATION) {
      throw new VaultError('UNAVAILABLE', 'The audit log has reached its largest length. Nothing was changed.');
    }
    const number = head?.number ?? this.#newChain(append.organization);
    const { sealed, link } = append.sealEntry(position, head?.link);
    this.#sql.append.run(number * POSITIONS_PER_ORGANIZATION + position, append.key_version, sealed, link);
    heads.set(key, { number, position, link, seal: Buffer.alloc(0) });
  }

  /** Takes the next free number, at once, so that a second new organization in this transaction gets another. */
  #newChain(organization: Buffer): number {
    const number = Number(this.#sql.next_number.get());
    this.#sql.set_head.run(number, organization, 0, Buffer.alloc(0), Buffer.alloc(0));
    return number;
  }

  /** One write per organization and transaction, whatever the number of entries. */
  #sealHeads(applied: readonly Waiting[], heads: Map<string, NumberedHead | undefined>): void {
    for (const append of new Map(
      applied.flatMap(({ batch }) => batch.audit).map((one) => [one.organization.toString('latin1'), one]),
    ).values()) {
      const head = heads.get(append.organization.toString('latin1'));
      if (head === undefined) continue;
      this.#sql.set_head.run(head.number, append.organization, head.position, head.link, append.sealHead(head.position, head.link));
    }
  }
}

function conflict(cause?: unknown): VaultError {
  return new VaultError('CONFLICT', 'Somebody else changed this at the same moment. Nothing was changed; try again.', { cause });
}

function prepare(database: Database) {
  const head: Statement<[Buffer], NumberedHead> = database.prepare(
    'SELECT number, position, link, seal FROM audit_head WHERE organization = ?',
  );
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
    head,
    next_number: database.prepare('SELECT coalesce(max(number), 0) + 1 FROM audit_head').pluck(),
    append: database.prepare('INSERT INTO audit_entry (place, key_version, sealed, link) VALUES (?, ?, ?, ?)'),
    set_head: database.prepare(
      `INSERT INTO audit_head (number, organization, position, link, seal) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (number) DO UPDATE SET position = excluded.position, link = excluded.link, seal = excluded.seal`,
    ),
  };
}
