/**
 * The file of the first API key, `keys/admin.key`, and the drafts beside it. A draft is whole and durable before it
 * gets the name, and a file that has the name is never overwritten.
 */
import { linkSync, lstatSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { newTempPath, syncFolder, tempFilesOf, writeTempFile } from '../io/atomic_file.ts';

export interface Draft {
  readonly path: string;
  /** What stands in it; a key, unless it was cut short. */
  readonly key: string;
}

const OWN_MODE = 0o600;
const MODE_BITS = 0o777;
/** A key, a line end, and room. What is larger is another file. */
const FILE_MAX_BYTES = 1024;

export class AdminKeyFile {
  readonly path: string;

  constructor(home: string) {
    this.path = join(home, 'keys', 'admin.key');
  }

  /** Also a link that leads nowhere. */
  isThere(): boolean {
    return lstatSync(this.path, { throwIfNoEntry: false }) !== undefined;
  }

  /** `undefined` where there is no file that could be read and hold a key. */
  key(): string | undefined {
    return readKey(this.path);
  }

  /** Throws UNAVAILABLE where it cannot be written; then nothing is left of it. */
  writeDraft(key: string): Draft {
    const path = newTempPath(this.path);
    try {
      writeTempFile(path, `${key}\n`);
      syncFolder(dirname(path));
      return { path, key };
    } catch (cause) {
      removeIfPossible(path);
      throw cannotWrite(cause);
    }
  }

  /** Gives the draft the name. `false` where a file has it already, or where the draft is gone. */
  take(draft: Draft): boolean {
    try {
      linkSync(draft.path, this.path);
      syncFolder(dirname(this.path));
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
      if (code === 'EEXIST' || code === 'ENOENT') return false;
      throw cannotWrite(cause);
    }
    this.remove(draft);
    return true;
  }

  remove({ path }: Draft): void {
    removeIfPossible(path);
  }

  /** Files that this program has made for certain: by their names, their kind and who may read them. */
  drafts(): Draft[] {
    return pathsOf(this.path)
      .filter(isOwn)
      .flatMap((path) => {
        const key = readKey(path);
        return key === undefined ? [] : [{ path, key }];
      });
  }
}

function readKey(path: string): string | undefined {
  try {
    const found = statSync(path);
    return found.isFile() && found.size <= FILE_MAX_BYTES ? readFileSync(path, 'utf8').trim() : undefined;
  } catch {
    return undefined;
  }
}

function pathsOf(path: string): string[] {
  try {
    return tempFilesOf(path);
  } catch {
    return [];
  }
}

function isOwn(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isFile()) return false;
  // Windows has no such bits.
  return process.platform === 'win32' || (found.mode & MODE_BITS) === OWN_MODE;
}

function removeIfPossible(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It stays, and harms nobody; the next start tries again.
  }
}

function cannotWrite(cause: unknown): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The file for the first API key, keys/admin.key, cannot be written. Check the disk and the permissions of its folder, then start again.',
    { reason: 'unreadable', cause },
  );
}
