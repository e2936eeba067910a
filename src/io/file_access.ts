/** Checks which other users of this machine could change a file, by its mode and the modes of its folders. Changes nothing. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

const GROUP_AND_OTHERS = 0o077;
const OTHERS_WRITE = 0o002;
/** In a folder with this bit only the owner of a file may rename or delete it (POSIX: restricted deletion). */
const STICKY = 0o1000;

/** As Linux allows (path_resolution(7)). */
const LINKS_MAX = 40;

/**
 * The first path that every user may change: the file, or a folder on the way to it, also one that holds a symbolic link on
 * the way. Ends at a path that does not exist. `undefined` if every path is protected. Throws the errors of the file system.
 */
export function pathWritableByOthers(path: string): string | undefined {
  if (process.platform === 'win32') return undefined;
  // Follows the path as the system does. Two names for one folder (`..`) make a folder be checked twice, never skipped.
  const rest = namesOf(isAbsolute(path) ? path : `${process.cwd()}/${path}`);
  let folder = '/';
  for (let links = 0; ; ) {
    const { mode } = fs.statSync(folder);
    const name = rest.pop();
    if (name === undefined) return (mode & OTHERS_WRITE) === 0 ? undefined : folder;
    if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) return folder;
    const found = name === '..' ? dirname(folder) : join(folder, name);
    const next = fs.lstatSync(found, { throwIfNoEntry: false });
    if (next === undefined) return undefined;
    if (!next.isSymbolicLink()) {
      folder = found;
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
    const target = fs.readlinkSync(found);
    if (isAbsolute(target)) folder = '/';
    rest.push(...namesOf(target));
  }
}

/** The names of a path, the last one first. */
function namesOf(path: string): string[] {
  return path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .reverse();
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
