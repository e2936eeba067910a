/**
 * Creates and replaces files so that neither a crash nor a full disk nor another process leaves a partial one: the
 * content is written to a temporary file beside the target and synced before it gets the target's name. Throws the
 * errors of the system.
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
  readonly like?: fs.Stats | undefined;
}

const OWNER_ONLY: FileOptions = { mode: 0o600 };
/** Codes of `link` on a file system without hard links. */
const NO_HARD_LINK_CODES = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

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
      if (!NO_HARD_LINK_CODES.includes(errnoOf(error) ?? '')) throw error;
      writeNewFile(path, content, options);
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

/** Replaces the file, or creates it. `beforeRename` is the last chance to throw and leave the old file as it is. */
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
    fs.renameSync(temp, path);
  } finally {
    fs.rmSync(temp, { force: true });
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
      fs.fchmodSync(file, like.mode & 0o777);
    }
    fs.fsyncSync(file);
    is_written = true;
  } finally {
    fs.closeSync(file);
    if (!is_written) fs.rmSync(path, { force: true });
  }
}

function keepOwner(file: number, { uid, gid }: fs.Stats): void {
  try {
    fs.fchownSync(file, uid, gid);
  } catch {
    // Only root may change the owner. Without it the current user becomes the owner, as with any editor.
  }
}

/** Makes the names in the folder durable. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}
