/**
 * Writes the mark that `assertOwnWal` compares, into the first transaction of each write-ahead log. Reads the salts of the
 * log before each commit, because writing the mark every time made a commit a fifth slower. The first transaction after
 * SQLite has begun a log again without truncating it, which happens under load, has no mark; the second one has.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { ignoreErrors } from '../errors.ts';
import { versionBytes, WRITE_WAL_MARK } from './wal_mark.ts';

/** The checkpoint sequence number and the salts, which change whenever the log begins again. */
const GENERATION_AT = 12;
const GENERATION_BYTES = 12;

export class WalMarker {
  readonly #path: string;
  readonly #sql: ReturnType<typeof prepare>;
  #file: number | undefined;
  readonly #generation: Buffer = Buffer.alloc(GENERATION_BYTES);
  /** The log that has a mark. */
  readonly #marked: Buffer = Buffer.alloc(GENERATION_BYTES);
  #has_marked = false;

  /** `path` of the log, without symbolic links. */
  constructor(database: Database, path: string) {
    this.#path = path;
    this.#sql = prepare(database);
  }

  /** Call in a transaction, before it is committed. */
  beforeCommit(): void {
    this.#has_marked = false;
    if (this.#readGeneration() && this.#generation.equals(this.#marked)) return;
    this.#sql.mark.run(versionBytes(this.#sql.schema_version.get() ?? 0));
    this.#has_marked = true;
  }

  /** Call after the commit. */
  afterCommit(): void {
    if (this.#has_marked && this.#readGeneration()) this.#generation.copy(this.#marked);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** Returns false for an empty or missing log. SQLite locks other files only, so this one may be opened and closed. */
  #readGeneration(): boolean {
    const read = ignoreErrors(() => {
      this.#file ??= openSync(this.#path, 'r');
      return readSync(this.#file, this.#generation, 0, GENERATION_BYTES, GENERATION_AT);
    });
    return read === GENERATION_BYTES;
  }
}

function prepare(database: Database) {
  return {
    schema_version: database.prepare<[], number>('PRAGMA schema_version').pluck(),
    mark: database.prepare(WRITE_WAL_MARK),
  };
}
