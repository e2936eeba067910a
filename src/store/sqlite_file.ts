/** The vault file as a file: what stands in its place, and how it is made. Never reads more than its first bytes. */
import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { toStoreError } from './sqlite_errors.ts';

/** The first bytes of every SQLite file (https://sqlite.org/fileformat2.html, section 1.3). */
const SQLITE_MAGIC = 'SQLite format 3\0';

/** What stands at the place where a vault file should be. Throws for a folder and for a file that is no database. */
export function inspectSqliteFile(path: string): 'absent' | 'empty' | 'database' {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return 'absent';
    const file = found.isSymbolicLink() ? statSync(path) : found;
    if (!file.isFile()) {
      throw new VaultError(
        'INVALID_INPUT',
        'In the place of the vault file there is a folder or a device. Point KEYHOLD_STORE or KEYHOLD_HOME elsewhere, or move it away.',
        { reason: 'not_a_file' },
      );
    }
    if (file.size === 0) return 'empty';
    if (readStart(path) !== SQLITE_MAGIC)
      throw Object.assign(new Error('no magic'), { code: 'SQLITE_NOTADB' });
    return 'database';
  } catch (error) {
    throw toStoreError(error);
  }
}

function readStart(path: string): string {
  const file = openSync(path, 'r');
  try {
    const start = Buffer.alloc(SQLITE_MAGIC.length);
    readSync(file, start, 0, start.length, 0);
    return start.toString('latin1');
  } finally {
    closeSync(file);
  }
}

/** Makes an empty file of mode 0600 in a folder of mode 0700, unless it is there. */
export function createSqliteFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
    // A umask may only have taken bits away; an existing file keeps the mode its owner gave it.
    if (statSync(path).size === 0) chmodSync(path, 0o600);
  } catch (error) {
    throw toStoreError(error);
  }
}
