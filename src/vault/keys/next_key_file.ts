/**
 * The file of a new root key while the root key is rotated. It is beside the key file before the vault is changed, and gets the
 * name of the key file after that change is durable. Its name has the id of the key, so that no process finishes the rotation of
 * another key. Every open of the vault finishes what a killed process left.
 */
import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { createFile } from '../../io/atomic_file.ts';
import { errnoOf } from '../../io/errno.ts';
import { readKeyFile } from './key_file.ts';

const NEXT = '.next-';
const ID_DIGITS = 16;

/** Creates the file with mode 0600 and syncs it. `path`: that of the key file. Throws UNAVAILABLE if it cannot. */
export function writeNextKeyFile(path: string, key: Buffer, id: Buffer): string {
  const next = `${path}${NEXT}${id.toString('hex').slice(0, ID_DIGITS)}`;
  try {
    if (createFile(next, `${key.toString('base64')}\n`)) return next;
  } catch (cause) {
    throw new VaultError(
      'UNAVAILABLE',
      'The file of the new root key cannot be written, so nothing was changed. Check the disk and the permissions of its folder, then try again.',
      { reason: errnoOf(cause) === 'ENOSPC' ? 'disk_full' : 'unreadable', cause },
    );
  }
  throw new Error('two root keys have one id');
}

/** Those that processes have written beside this key file and not finished. */
export function nextKeyFiles(path: string): string[] {
  const prefix = `${basename(path)}${NEXT}`;
  try {
    const names = fs.readdirSync(dirname(path)).filter((name) => name.startsWith(prefix));
    return names
      .filter((name) => /^[0-9a-f]{16}$/.test(name.slice(prefix.length)))
      .map((name) => join(dirname(path), name));
  } catch {
    return [];
  }
}

/**
 * Gives the next file the name of the key file. Overwrites the former key first by name, then by content. Call only once the
 * header of the vault has the new key. Throws the errors of the system; the next file then still has the key.
 */
export function finishNextKeyFile(path: string, next: string): void {
  const former = openForOverwriting(path);
  try {
    if (former === undefined) {
      if (createFile(path, fs.readFileSync(next))) fs.rmSync(next, { force: true });
      return;
    }
    fs.renameSync(next, path);
    // First: a power failure that undoes the rename must not leave the overwritten file with the name of the key file.
    syncFolderOf(path);
    overwrite(former);
  } finally {
    if (former !== undefined) fs.closeSync(former);
  }
}

/** Overwrites and removes a key file that opens nothing any more. Throws the errors of the system. */
export function destroyKeyFile(path: string): void {
  const file = openForOverwriting(path);
  if (file === undefined) return;
  try {
    overwrite(file);
  } finally {
    fs.closeSync(file);
  }
  fs.rmSync(path, { force: true });
}

/** Throws INVALID_INPUT if the file is provided by another program, which would put the former key back. */
export function assertReplaceable(path: string): void {
  if (!fs.lstatSync(path).isSymbolicLink()) return;
  throw new VaultError(
    'INVALID_INPUT',
    'The root key file is a symbolic link, as mounted secrets are, so Keyhold does not replace it. Write the new key to another file with `--to file:PATH`, then mount that one.',
    { reason: 'root_key_invalid' },
  );
}

/** Throws INVALID_INPUT if the path exists: no file is replaced. */
export function assertNoKeyFile(path: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  throw new VaultError(
    'INVALID_INPUT',
    'There is a file at the path of the new root key, and no file is replaced. Name a path that does not exist.',
    { reason: 'root_key_invalid' },
  );
}

/** The text of the next file whose key opens the vault, and its path. */
export function findNextKey(
  path: string,
  isRight: (text: string) => boolean,
): { readonly next: string; readonly text: string } | undefined {
  for (const next of nextKeyFiles(path)) {
    try {
      const text = readKeyFile(next);
      if (isRight(text)) return { next, text };
    } catch {
      // One that other users can read, or that a killed process left incomplete, is not a key.
    }
  }
  return undefined;
}

function openForOverwriting(path: string): number | undefined {
  try {
    return fs.openSync(path, fs.constants.O_RDWR | (fs.constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function overwrite(file: number): void {
  fs.writeSync(file, Buffer.alloc(fs.fstatSync(file).size), 0);
  fs.fsyncSync(file);
}

function syncFolderOf(path: string): void {
  if (process.platform === 'win32') return;
  const folder = fs.openSync(dirname(path), 'r');
  try {
    fs.fsyncSync(folder);
  } catch {
    // Some file systems cannot sync a folder.
  } finally {
    fs.closeSync(folder);
  }
}
