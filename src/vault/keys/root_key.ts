/**
 * Reads the root key from a file, an environment variable or a passphrase. Creates a key only together with a vault; a
 * vault whose key is missing never gets a new one.
 */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import { KEY_BYTES } from '../../crypto/key_hierarchy.ts';
import { keyFromPassphrase } from '../../crypto/passphrase.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { createFile } from '../../io/atomic_file.ts';
import { errnoOf } from '../../io/errno.ts';

/** The setting KEYHOLD_ROOT_KEY: `file:PATH`, `env:NAME` or `passphrase`. */
export type RootKeySource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string; readonly value: Secret | undefined }
  | { readonly kind: 'passphrase'; readonly prompt: () => Promise<Secret | undefined> };

const GROUP_AND_OTHERS = 0o077;

/** Returns undefined for sources other than a file. Throws LOCKED if the folder cannot be read. */
export function rootKeyFileExists(source: RootKeySource): boolean | undefined {
  if (source.kind !== 'file') return undefined;
  try {
    return lstatSync(source.path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** Throws LOCKED if the variable or the passphrase is missing. Called before anything of a new vault is created. */
export async function assertRootKeyGiven(source: RootKeySource): Promise<void> {
  if (source.kind === 'env') await readRootKey(source, undefined);
  if (source.kind === 'passphrase') await requirePassphrase(source);
}

/**
 * Reads the root key of an existing vault. Throws LOCKED if it is missing, readable by others or not a key. `salt` is the
 * one of a vault with a passphrase.
 */
export async function readRootKey(source: RootKeySource, salt: Buffer | undefined): Promise<Buffer> {
  switch (source.kind) {
    case 'file':
      return readKeyFile(source.path);
    case 'env':
      if (source.value === undefined) {
        throw locked(
          'root_key_missing',
          'The root key is missing: the environment variable that KEYHOLD_ROOT_KEY names is not set. Set it to the key of this vault: 32 bytes in base64 (`openssl rand -base64 32` makes one for a new vault).',
        );
      }
      return decodeKey(source.value.reveal().trim());
    case 'passphrase': {
      const passphrase = await requirePassphrase(source);
      if (salt === undefined)
        throw locked(
          'root_key_source_changed',
          'This vault was not created with a passphrase. Set KEYHOLD_ROOT_KEY back to its old value.',
        );
      return keyFromPassphrase(passphrase.reveal(), salt);
    }
  }
}

async function requirePassphrase(source: Extract<RootKeySource, { kind: 'passphrase' }>): Promise<Secret> {
  const passphrase = await source.prompt();
  if (passphrase !== undefined && passphrase.reveal() !== '') return passphrase;
  throw locked(
    'passphrase_missing',
    'This vault opens with a passphrase. Set KEYHOLD_PASSPHRASE, or run the command in a terminal to enter it.',
  );
}

/** Creates the root key of a new vault. An existing key file is used, never replaced. */
export async function createRootKey(
  source: RootKeySource,
  salt: Buffer | undefined,
  random: RandomBytes,
): Promise<Buffer> {
  if (source.kind === 'file' && rootKeyFileExists(source) === false)
    writeKeyFile(source.path, random(KEY_BYTES));
  return readRootKey(source, salt);
}

function readKeyFile(path: string): Buffer {
  let mode: number;
  let text: string;
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      throw locked(
        'root_key_missing',
        'The vault exists but its root key is missing. Restore the key file, or set KEYHOLD_ROOT_KEY to its path. No new key is created: it would not open this vault.',
      );
    }
    if (!found.isFile())
      throw locked(
        'root_key_invalid',
        'The path of the root key is a folder or a device. Set KEYHOLD_ROOT_KEY to the key file.',
      );
    mode = found.mode;
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw unreadable(cause);
  }
  // Windows has no such mode bits; the access list of the profile folder protects the file.
  if (process.platform !== 'win32' && (mode & GROUP_AND_OTHERS) !== 0) {
    throw locked(
      'root_key_exposed',
      'Others can read the root key file, so the vault does not open. Run `chmod 600` on it; if others may have read it, create a new vault.',
    );
  }
  return decodeKey(text.trim());
}

function unreadable(cause: unknown): VaultError {
  const message = 'The root key file cannot be read. Give your user read permission on it and its folder.';
  return new VaultError('LOCKED', message, { reason: 'root_key_missing', cause });
}

function decodeKey(text: string): Buffer {
  const key = Buffer.from(text, 'base64');
  if (key.length !== KEY_BYTES || key.toString('base64').replace(/=+$/, '') !== text.replace(/=+$/, '')) {
    throw locked(
      'root_key_invalid',
      'The root key is not 32 bytes in base64. Restore the right key; `openssl rand -base64 32` makes one for a new vault.',
    );
  }
  return key;
}

function writeKeyFile(path: string, key: Buffer): void {
  try {
    // If another process has created the file meanwhile, its key is the one to use.
    createFile(path, `${key.toString('base64')}\n`);
  } catch (cause) {
    throw new VaultError(
      'UNAVAILABLE',
      'The root key file cannot be written. Check the disk and the permissions of its folder, then try again.',
      { reason: errnoOf(cause) === 'ENOSPC' ? 'disk_full' : 'unreadable', cause },
    );
  }
}

function locked(
  reason:
    | 'root_key_exposed'
    | 'root_key_invalid'
    | 'root_key_missing'
    | 'root_key_source_changed'
    | 'passphrase_missing',
  message: string,
): VaultError {
  return new VaultError('LOCKED', message, { reason });
}
