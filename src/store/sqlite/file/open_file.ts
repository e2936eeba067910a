/** Opens the vault file with the settings of every connection, after the checks that must come before. */
import Driver, { type Database } from 'better-sqlite3';
import { toDriverError } from '../driver.ts';
import { ignoreErrors, retryWhileBusy, toStoreError } from '../errors.ts';
import { configure, ensureWal, hasVault, upgradeSchema } from '../schema.ts';
import { assertUsableFile, isOpenInThisProcess, watchSqliteFile } from './vault_file.ts';
import { assertOwnWal } from './wal_mark.ts';

/** How long opening waits for the readers of a file that is not in WAL mode. */
const SET_WAL_TIMEOUT_MS = 500;

export interface OpenedFile {
  readonly database: Database;
  /** Whether the file still is at its path. */
  readonly isFileCurrent: () => boolean;
}

/** Throws VaultError for everything that can be wrong with the file. */
export function openVaultFile(path: string): OpenedFile {
  assertUsableFile(path);
  let database: Database | undefined;
  try {
    if (!isOpenInThisProcess(path)) assertOwnWal(path);
    // Before the file is opened: a restore may replace it meanwhile.
    const isFileCurrent = watchSqliteFile(path);
    // No busy timeout in the driver, which would block the event loop: reads are retried here, writes wait in a queue.
    const opened = new Driver(path, { fileMustExist: true, timeout: 0 });
    database = opened;
    retryWhileBusy(() => configure(opened));
    // A file that is read-only or locked now is upgraded before its first write.
    if (retryWhileBusy(() => hasVault(opened))) {
      ignoreErrors(() => retryWhileBusy(() => ensureWal(opened), SET_WAL_TIMEOUT_MS));
      ignoreErrors(() => upgradeSchema(opened));
    }
    return { database: opened, isFileCurrent };
  } catch (error) {
    database?.close();
    throw toDriverError(error) ?? toStoreError(error);
  }
}
