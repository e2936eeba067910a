/** Checks which other users of this machine could change a file, by its mode and the modes of its folders. Changes nothing. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join } from 'node:path';

const GROUP_AND_OTHERS = 0o077;
const OTHERS_WRITE = 0o002;
/** In a folder with this bit only the owner of a file may rename or delete it (POSIX: restricted deletion). */
const STICKY = 0o1000;

/**
 * The first path that every user may change: the file, or a folder on the way to it, also behind symbolic links.
 * `undefined` if every path is protected. Throws the errors of the file system.
 */
export function pathWritableByOthers(path: string): string | undefined {
  if (process.platform === 'win32') return undefined;
  const file = fs.realpathSync(path);
  if ((fs.statSync(file).mode & OTHERS_WRITE) !== 0) return file;
  return folderWritableByOthers(dirname(file)) ?? folderWritableByOthers(fs.realpathSync(dirname(path)));
}

function folderWritableByOthers(folder: string): string | undefined {
  const { mode } = fs.statSync(folder);
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) return folder;
  const parent = dirname(folder);
  return parent === folder ? undefined : folderWritableByOthers(parent);
}

/**
 * Whether files in the folder keep the mode that they are created with. File systems without modes (exFAT, SMB, Windows
 * drives) give every file the same one. True if it cannot be found out. Creates and removes a temporary file.
 */
export function keepsFileModes(folder: string): boolean {
  if (process.platform === 'win32') return true;
  const path = join(folder, `.keyhold-${randomUUID()}`);
  try {
    const file = fs.openSync(path, 'wx', 0o600);
    try {
      return (fs.fstatSync(file).mode & GROUP_AND_OTHERS) === 0;
    } finally {
      fs.closeSync(file);
      fs.rmSync(path, { force: true });
    }
  } catch {
    return true;
  }
}

/** The folder, or its nearest parent that exists. */
export function existingFolder(folder: string): string {
  const parent = dirname(folder);
  return parent === folder || fs.existsSync(folder) ? folder : existingFolder(parent);
}
