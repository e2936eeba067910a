/**
 * The root key in a file. Checks owner, type and mode on the descriptor that it reads from, so that no other file can take its
 * name in between. Follows symbolic links, with which Kubernetes and systemd provide secrets, to a folder that others cannot change.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { type ErrorReason, VaultError } from '../../contract/errors.ts';
import { createFile, tempFilesOf } from '../../io/atomic_file.ts';
import { errnoOf } from '../../io/errno.ts';
import { existingFolder, keepsFileModes, pathWritableByOthers } from '../../io/file_access.ts';

/** A key in base64, a line end, and room. */
const FILE_MAX_BYTES = 1024;
const GROUP_AND_OTHERS = 0o077;
const GROUP_READ = 0o040;
const ROOT_USER_ID = 0;
const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants;

export const NO_FILE_MODES =
  'The file system of the root key gives every file the same mode, as exFAT, SMB and Windows drives do, so other users could read the key. Set KEYHOLD_HOME to a folder on a disk that keeps file modes; or keep only the key elsewhere: KEYHOLD_ROOT_KEY=file:PATH on such a disk, env:NAME or passphrase.';

/** What to do with a file whose mode and owner the platform sets. */
const MOUNTED_KEY =
  'For a mounted secret (a Kubernetes secret, `LoadCredential=` of systemd) set its mode to 0400, or copy it to a file of your own with mode 0600: KEYHOLD_ROOT_KEY=file:PATH. A new vault can also take the key from a variable: KEYHOLD_ROOT_KEY=env:NAME.';

/** Throws LOCKED if the folder cannot be read. */
export function keyFileExists(path: string): boolean {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** The text of the file, without white space around it. Throws LOCKED if it is missing or other users could have read or replaced it. */
export function readKeyFile(path: string): string {
  try {
    const real_path = fs.realpathSync(path);
    const file = fs.openSync(real_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      checkFile(real_path, file);
      checkFolders(path);
      const buffer = Buffer.alloc(FILE_MAX_BYTES + 1);
      const size = fs.readSync(file, buffer, 0, buffer.length, 0);
      if (size > FILE_MAX_BYTES)
        throw locked('root_key_invalid', 'The root key file is too large for a key.');
      return buffer.toString('utf8', 0, size).trim();
    } finally {
      fs.closeSync(file);
    }
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    if (errnoOf(cause) !== 'ENOENT') throw unreadable(cause);
    throw locked(
      'root_key_missing',
      'The vault exists but its root key is missing. Restore the key file, or set KEYHOLD_ROOT_KEY to its path. No new key is created: it would not open this vault.',
    );
  }
}

/** Throws LOCKED if the open file is not a regular file that only its owner can read. `path` is its path. */
function checkFile(path: string, file: number): void {
  const found = fs.fstatSync(file);
  if (!found.isFile())
    throw locked(
      'root_key_invalid',
      'The path of the root key is a folder or a device. Set KEYHOLD_ROOT_KEY to the key file.',
    );
  // Windows has no such owners and modes; the access list of the profile folder protects the file.
  const user_id = process.getuid?.();
  if (user_id === undefined) return;
  if (found.uid !== user_id && found.uid !== ROOT_USER_ID) {
    throw locked(
      'root_key_exposed',
      `The root key file belongs to another user of this machine, who can read and replace it. Make the user that runs Keyhold its owner with \`chown\`. ${MOUNTED_KEY} If the other user may not know the key, create a new vault.`,
    );
  }
  // systemd and Kubernetes give a key to a group of which the process is the only member, and stay the owner.
  const allowed = found.uid === ROOT_USER_ID && user_id !== ROOT_USER_ID ? GROUP_READ : 0;
  if ((found.mode & GROUP_AND_OTHERS & ~allowed) !== 0) {
    if (!keepsFileModes(dirname(path))) throw locked('root_key_exposed', NO_FILE_MODES);
    throw locked(
      'root_key_exposed',
      `Others can read the root key file, so the vault does not open. Run \`chmod 600\` on it. ${MOUNTED_KEY} If others may have read it, create a new vault.`,
    );
  }
  if (found.nlink > 1 && hasOtherName(path, file)) {
    throw locked(
      'root_key_exposed',
      'The root key file has a second name (a hard link), which may be in a folder of another user. Copy the file, remove both names, and give the copy the name of the key with mode 600.',
    );
  }
}

/**
 * Whether the file has a name other than `path` and those of temporary files. Another process that creates the file removes
 * its temporary one meanwhile, so the temporary files are listed before the names are counted.
 */
function hasOtherName(path: string, file: number): boolean {
  const known_names = 1 + tempFilesOf(path).length;
  return fs.fstatSync(file).nlink > known_names;
}

function checkFolders(path: string): void {
  const writable = pathWritableByOthers(path);
  if (writable === undefined) return;
  if (!keepsFileModes(writable)) throw locked('root_key_exposed', NO_FILE_MODES);
  throw locked(
    'root_key_exposed',
    'Every user of this machine can replace the root key, because a folder on the path to it is writable for all. Run `chmod o-w` on that folder; `keyhold doctor` names it.',
  );
}

/** Throws LOCKED if a new key could be read or replaced by other users. Creates nothing. */
export function assertKeyFileCanBePrivate(path: string): void {
  if (!keepsFileModes(existingFolder(dirname(path)))) throw locked('root_key_exposed', NO_FILE_MODES);
  try {
    checkFolders(path);
  } catch (cause) {
    throw cause instanceof VaultError ? cause : unreadable(cause);
  }
}

/** Creates the file. If another process has created it meanwhile, its key is the one to use. */
export function createKeyFile(path: string, key: Buffer): void {
  try {
    createFile(path, `${key.toString('base64')}\n`);
  } catch (cause) {
    throw new VaultError(
      'UNAVAILABLE',
      'The root key file cannot be written. Check the disk and the permissions of its folder, then try again.',
      { reason: errnoOf(cause) === 'ENOSPC' ? 'disk_full' : 'unreadable', cause },
    );
  }
}

function unreadable(cause: unknown): VaultError {
  const message = 'The root key file cannot be read. Give your user read permission on it and its folder.';
  return new VaultError('LOCKED', message, { reason: 'root_key_missing', cause });
}

function locked(reason: ErrorReason, message: string): VaultError {
  return new VaultError('LOCKED', message, { reason });
}
