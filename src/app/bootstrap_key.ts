/**
 * Creates the bootstrap API key on the first start of a new vault. The key is in `keys/admin.key`, mode 0600, before it
 * is committed, and each start commits the key of that file, so neither a crash nor a second process can lose it. Never
 * writes the file for a vault that has or had an API key.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { API_KEY_PATTERN } from '../contract/patterns.ts';
import { createFile, removeTempFiles } from '../io/atomic_file.ts';
import { existingFolder, keepsFileModes } from '../io/file_access.ts';
import type { Vault } from '../vault/vault.ts';

/** A key, a line end, and room. */
const FILE_MAX_BYTES = 1024;
const GROUP_AND_OTHERS = 0o077;

/** Returns the path of the key file if this start created the key, otherwise undefined. */
export async function createBootstrapKey(
  vault: Vault,
  caller: Caller,
  home: string,
): Promise<string | undefined> {
  const path = join(home, 'keys', 'admin.key');
  const key = await vault.api_keys.createBootstrapKey(caller, (new_key) => saveKey(path, new_key));
  return key && path;
}

/** Creates the file with the new key, unless the file exists, and returns the key in it. */
function saveKey(path: string, new_key: string): string {
  if (!keepsFileModes(existingFolder(dirname(path)))) {
    throw new VaultError(
      'CONFLICT',
      'The vault has no API key, and the file system of KEYHOLD_HOME gives every file the same mode, so other users could read the file of the bootstrap API key. Make a key with `keyhold keys create`, then start again; or set KEYHOLD_HOME to a folder on a disk that keeps file modes.',
    );
  }
  let key: string | undefined;
  try {
    createFile(path, `${new_key}\n`);
    removeTempFiles(path);
    key = readKey(path);
  } catch (cause) {
    throw new VaultError(
      'UNAVAILABLE',
      'The file of the bootstrap API key, keys/admin.key, cannot be written or read. Check the disk and the permissions of its folder, then start again.',
      { reason: 'unreadable', cause },
    );
  }
  if (key !== undefined) return key;
  throw new VaultError(
    'CONFLICT',
    'The vault has no API key, and the file keys/admin.key holds none that only its owner can read. Move the file away, then start again: a new key is created.',
  );
}

function readKey(path: string): string | undefined {
  const found = statSync(path);
  // Windows has no such mode bits.
  const is_exposed = process.platform !== 'win32' && (found.mode & GROUP_AND_OTHERS) !== 0;
  if (is_exposed || !found.isFile() || found.size > FILE_MAX_BYTES) return undefined;
  const key = readFileSync(path, 'utf8').trim();
  return API_KEY_PATTERN.test(key) ? key : undefined;
}
