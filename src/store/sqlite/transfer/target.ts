/**
 * Receives a vault into a file beside the vault file, and gives it the name of the vault file in one step. A process that is
 * killed at any time leaves either the former vault or the new one at the path, never a mixture, and never the write-ahead log
 * of one with the file of the other.
 */
import { constants, copyFileSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Driver, { type Database } from 'better-sqlite3';
import { VaultError } from '../../../contract/errors.ts';
import { syncFolder } from '../../../io/atomic_file.ts';
import { receivingError } from '../../errors.ts';
import type { Store, StoreHeader, StoreSnapshot } from '../../store.ts';
import type { FormerVault, Published, StoreReceiver, TransferTarget } from '../../transfer.ts';
import { toDriverError } from '../driver.ts';
import { isBusy, storeError, toStoreError } from '../errors.ts';
import { createSqliteFile, inspectSqliteFile } from '../file/vault_file.ts';
import { assertOwnWal } from '../file/wal_mark.ts';
import { configure, hasVault, upgradeSchema } from '../schema.ts';
import { openSqlite } from '../store.ts';
import { openReceiver } from './receiver.ts';
import { SqliteRowReader } from './row_reader.ts';

/** Between the name of the vault file and the id of the transfer. */
const RECEIVED = '.receiving-';
const TRANSFER_ID_PATTERN = /^[0-9a-f]{32}$/;
/** Vaults that were replaced and kept. */
const KEPT_MAX = 1_000;

export class SqliteTarget implements TransferTarget {
  readonly #path: string;

  /** `path` of the vault file, which may be missing. */
  constructor(path: string) {
    this.#path = path;
  }

  async openExisting(): Promise<StoreSnapshot | undefined> {
    if (inspectSqliteFile(this.#path) !== 'filled') return undefined;
    const store = openSqlite(this.#path);
    try {
      return (await store.header()) === undefined ? undefined : await store.snapshot();
    } finally {
      await store.close();
    }
  }

  async receive(transfer_id: string, header: StoreHeader): Promise<StoreReceiver> {
    const path = this.#receivedPath(transfer_id);
    try {
      for (const other of this.#receivedPaths()) if (other !== path) removeUnused(other);
      createSqliteFile(path);
      return openReceiver(path, header);
    } catch (error) {
      throw isBusy(error) ? receivingError() : (toDriverError(error) ?? toStoreError(error));
    }
  }

  async openReceived(transfer_id: string): Promise<Store> {
    return openSqlite(this.#receivedPath(transfer_id));
  }

  async publish(transfer_id: string, former: FormerVault): Promise<Published> {
    const received = this.#receivedPath(transfer_id);
    let lock: Database | undefined;
    try {
      // Held until the file has its name: another process could still receive into it.
      lock = lockAlone(received);
      if (inspectSqliteFile(this.#path) === 'filled') return await this.#replace(received, lock, former);
      former.beforePublish?.();
      this.#take(received);
      return { kept: undefined };
    } catch (error) {
      throw isBusy(error) ? receivingError() : (toDriverError(error) ?? toStoreError(error));
    } finally {
      lock?.close();
    }
  }

  async discard(): Promise<void> {
    for (const path of this.#receivedPaths()) removeWithJournals(path);
  }

  async #replace(received: string, content: Database, former: FormerVault): Promise<Published> {
    const present = this.#lockPresent();
    try {
      await former.mayReplace(present && new SqliteRowReader(present), new SqliteRowReader(content));
      const kept = this.#keptPath();
      try {
        if (present === undefined) this.#copyFiles(kept);
        else await copyDatabase(present, kept);
        former.beforePublish?.();
      } catch (error) {
        removeWithJournals(kept);
        throw error;
      }
      this.#take(received);
      return { kept };
    } finally {
      present?.close();
    }
  }

  /** Keeps all others from the present vault, and moves its write-ahead log into it. `undefined` if it cannot be read. */
  #lockPresent(): Database | undefined {
    try {
      assertOwnWal(this.#path);
      return lockAlone(this.#path);
    } catch (error) {
      if (isBusy(error)) throw openElsewhere(error);
      return undefined;
    }
  }

  /** Copies a vault that cannot be read, with its log. No lock of this process is lost: it has none. */
  #copyFiles(kept: string): void {
    for (const ending of ['', '-wal', '-journal']) {
      if (!existsSync(`${this.#path}${ending}`)) continue;
      copyFileSync(`${this.#path}${ending}`, `${kept}${ending}`, constants.COPYFILE_FICLONE);
    }
  }

  /** Gives the received file the name of the vault. */
  #take(received: string): void {
    // Left by a vault whose file is missing or cannot be read: SQLite would apply them to the new file.
    removeJournals(this.#path);
    renameSync(received, this.#path);
    rmSync(`${received}-writers`, { force: true });
    syncFolder(dirname(this.#path));
  }

  #keptPath(): string {
    for (let number = 1; number <= KEPT_MAX; number++) {
      const path = `${this.#path}.replaced-${number}`;
      if (!existsSync(path)) return path;
    }
    throw new VaultError(
      'UNAVAILABLE',
      `There are ${KEPT_MAX} replaced vaults beside the vault file. Delete the ones that you do not need, then try again.`,
    );
  }

  #receivedPath(transfer_id: string): string {
    return `${this.#path}${RECEIVED}${transfer_id}`;
  }

  #receivedPaths(): string[] {
    const folder = dirname(this.#path);
    const start = `${basename(this.#path)}${RECEIVED}`;
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder).filter(
      (name) => name.startsWith(start) && TRANSFER_ID_PATTERN.test(name.slice(start.length)),
    );
    return names.map((name) => join(folder, name));
  }
}

/**
 * Opens a vault file so that no other process can read or write it, without a write-ahead log. Throws SQLITE_BUSY if another one
 * has it open, and other errors of the driver.
 */
function lockAlone(path: string): Database {
  const database = new Driver(path, { fileMustExist: true, timeout: 0 });
  try {
    configure(database);
    if (hasVault(database)) upgradeSchema(database);
    database.pragma('locking_mode = EXCLUSIVE');
    // Fails while another connection has the file open in WAL mode, idle or not.
    database.pragma('journal_mode = DELETE');
    // The lock stays after the transaction, in which SQLite could not copy the file.
    database.exec('BEGIN EXCLUSIVE; COMMIT');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

async function copyDatabase(database: Database, path: string): Promise<void> {
  createSqliteFile(path);
  const { totalPages } = await database.backup(path);
  if (totalPages !== database.pragma('page_count', { simple: true })) throw storeError('SQLITE_IOERR_WRITE');
}

/** Removes what another transfer received. Throws SQLITE_BUSY while it goes on. */
function removeUnused(path: string): void {
  try {
    lockAlone(path).close();
  } catch (error) {
    if (isBusy(error)) throw error;
  }
  removeWithJournals(path);
}

function removeWithJournals(path: string): void {
  rmSync(path, { force: true });
  removeJournals(path);
  rmSync(`${path}-writers`, { force: true });
}

function removeJournals(path: string): void {
  for (const ending of ['-wal', '-shm', '-journal']) rmSync(`${path}${ending}`, { force: true });
}

function openElsewhere(cause: unknown): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'Another process has the vault open, so it was not replaced. Stop the server and the MCP clients that use it (`keyhold doctor` names the processes), then try again.',
    { reason: 'busy', cause },
  );
}
