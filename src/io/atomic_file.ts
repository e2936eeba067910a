/**
 * Creates and replaces files so that neither a crash nor a full disk nor another process leaves a partial one: the
 * content is written to a temporary file beside the target and synced before it gets the target's name. Works without
 * hard links, file modes and folder sync, which exFAT, SMB and shared folders of virtual machines lack. Throws the errors of
 * the system.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UUID_PATTERN } from '../contract/patterns.ts';
import { errnoOf } from './errno.ts';

export interface FileOptions {
  /** Mode of the new file, before the umask. */
  readonly mode: number;
  /** The file whose mode and owner the new one gets instead. */
  readonly like?: FileOwner | undefined;
}

export type FileOwner = Pick<fs.Stats, 'uid' | 'gid' | 'mode'>;

const OWNER_ONLY: FileOptions = { mode: 0o600 };
/** Codes of `link`, `fchmod` and `fsync` on a folder if the file system does not have the operation. */
const NOT_SUPPORTED_CODES = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL', 'ENOTTY'];
/** Codes of `rename` onto a file that is a mount point or locked. */
const NOT_REPLACEABLE_CODES = ['EBUSY', 'EXDEV', 'EPERM', 'EACCES'];

/**
 * Creates the file, and its folder with mode 0700. Returns false and changes nothing if the path exists, also as a
 * dangling symbolic link. Of several processes that create one path at the same time, exactly one gets true.
 */
export function createFile(path: string, content: string | Uint8Array, options = OWNER_ONLY): boolean {
  if (pathExists(path)) return false;
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temp = tempPath(path);
  try {
    writeNewFile(temp, content, options);
    // Unlike a rename, a link never replaces a file.
    try {
      fs.linkSync(temp, path);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      if (!renameIfAbsent(temp, path)) return false;
    }
    syncFolder(dirname(path));
    return true;
  } catch (error) {
    // ENOENT: another process created the file and removed all temporary ones.
    if (['EEXIST', 'ENOENT'].includes(errnoOf(error) ?? '') && pathExists(path)) return false;
    throw error;
  } finally {
    fs.rmSync(temp, { force: true });
  }
}

const LOCK_POLL_MS = 10;
/** A lock that has not changed for this long belongs to a process that was killed: it is only held for a rename. */
const LOCK_STALE_MS = 2_000;

/**
 * `rename` for file systems without hard links. A folder is the lock: creating one fails if it exists, everywhere. A process
 * that is suspended with the lock for longer than `LOCK_STALE_MS` can still replace the file of another one.
 */
function renameIfAbsent(temp: string, path: string): boolean {
  const lock = `${path}.lock`;
  let seen = identityOf(lock);
  let seen_since_ms = performance.now();
  while (!createFolder(lock)) {
    if (pathExists(path)) return false;
    const found = identityOf(lock);
    if (found !== seen) {
      seen = found;
      seen_since_ms = performance.now();
    } else if (performance.now() - seen_since_ms > LOCK_STALE_MS) removeLock(lock, found);
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  }
  const own = identityOf(lock);
  try {
    if (pathExists(path)) return false;
    fs.renameSync(temp, path);
    return true;
  } finally {
    try {
      removeLock(lock, own);
    } catch {
      // The file has its name by now. The next process takes the lock for a stale one.
    }
  }
}

/** Differs for each lock folder. Not compared with the clock, which a file server can have set differently. */
function identityOf(lock: string): string | undefined {
  const stat = fs.lstatSync(lock, { throwIfNoEntry: false, bigint: true });
  return stat && `${stat.ino} ${stat.mtimeNs}`;
}

/** Removes the lock unless another process has replaced it. Renames it first: of several processes, one can. */
function removeLock(lock: string, identity: string | undefined): void {
  if (identity === undefined || identityOf(lock) !== identity) return;
  const removed = `${lock}.${randomUUID()}`;
  try {
    fs.renameSync(lock, removed);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  fs.rmSync(removed, { recursive: true, force: true });
}

function createFolder(path: string): boolean {
  try {
    fs.mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    return false;
  }
}

/**
 * Replaces the file, or creates it. `beforeRename` is the last chance to throw and leave the old file as it is. An existing
 * file that cannot be replaced, such as one that is mounted into a container, is overwritten; a crash at that time leaves a
 * partial file, so the caller keeps a backup.
 */
export function replaceFile(
  path: string,
  content: string | Uint8Array,
  options: FileOptions,
  beforeRename: () => void,
): void {
  const temp = tempPath(path);
  try {
    writeNewFile(temp, content, options);
    beforeRename();
    try {
      fs.renameSync(temp, path);
    } catch (error) {
      if (!NOT_REPLACEABLE_CODES.includes(errnoOf(error) ?? '') || !pathExists(path)) throw error;
      overwriteFile(path, content);
    }
    syncFolder(dirname(path));
  } finally {
    fs.rmSync(temp, { force: true });
  }
}

function overwriteFile(path: string, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const file = fs.openSync(path, 'r+');
  try {
    for (let written = 0; written < bytes.length; ) {
      written += fs.writeSync(file, bytes, written, bytes.length - written, written);
    }
    fs.ftruncateSync(file, bytes.length);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** Paths of the temporary files that killed processes left beside this file. */
export function tempFilesOf(path: string): string[] {
  const folder = dirname(path);
  const prefix = `${basename(path)}.`;
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(prefix))
    .filter(({ name }) => UUID_PATTERN.test(name.slice(prefix.length)))
    .map(({ name }) => join(folder, name));
}

/** Removes them. Only for a file that exists: another process may still need its own to create the file. */
export function removeTempFiles(path: string): void {
  for (const temp of tempFilesOf(path)) fs.rmSync(temp, { force: true });
}

function tempPath(path: string): string {
  return `${path}.${randomUUID()}`;
}

function pathExists(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Throws EEXIST if the path exists. Leaves no file if writing fails. */
function writeNewFile(path: string, content: string | Uint8Array, { mode, like }: FileOptions): void {
  const file = fs.openSync(path, 'wx', mode);
  let is_written = false;
  try {
    fs.writeFileSync(file, content);
    if (like !== undefined) {
      if (like.uid !== process.getuid?.() || like.gid !== process.getgid?.()) keepOwner(file, like);
      ignoreUnsupported(() => fs.fchmodSync(file, like.mode & 0o777));
    }
    fs.fsyncSync(file);
    is_written = true;
  } finally {
    fs.closeSync(file);
    if (!is_written) fs.rmSync(path, { force: true });
  }
}

function keepOwner(file: number, { uid, gid }: FileOwner): void {
  try {
    fs.fchownSync(file, uid, gid);
  } catch {
    // Only root may change the owner. Without it the current user becomes the owner, as with any editor.
  }
}

/** Makes the names in the folder durable, where the file system can. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = fs.openSync(path, 'r');
  try {
    ignoreUnsupported(() => fs.fsyncSync(folder));
  } finally {
    fs.closeSync(folder);
  }
}

function isUnsupported(error: unknown): boolean {
  return NOT_SUPPORTED_CODES.includes(errnoOf(error) ?? '');
}

function ignoreUnsupported(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isUnsupported(error)) throw error;
  }
}
