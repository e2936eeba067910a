/**
 * Reads the root key from a file, an environment variable or a passphrase. Creates a key only together with a vault; a
 * vault whose key is missing never gets a new one.
 */
import { type ErrorReason, VaultError } from '../../contract/errors.ts';
import { PASSPHRASE_MIN_CHARACTERS } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import { KEY_BYTES } from '../../crypto/key_hierarchy.ts';
import { keyFromPassphrase } from '../../crypto/passphrase.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { assertKeyFileCanBePrivate, createKeyFile, keyFileExists, readKeyFile } from './key_file.ts';

/** The setting KEYHOLD_ROOT_KEY: `file:PATH`, `env:NAME` or `passphrase`. */
export type RootKeySource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string; readonly value: Secret | undefined }
  | { readonly kind: 'passphrase'; readonly prompt: () => Promise<Secret | undefined> };

/** 32 random bytes have about 30 distinct ones, and fewer than this only once in 10^20 keys. */
const DISTINCT_BYTES_MIN = 16;

/** Returns undefined for sources other than a file. Throws LOCKED if the folder cannot be read. */
export function rootKeyFileExists(source: RootKeySource): boolean | undefined {
  return source.kind === 'file' ? keyFileExists(source.path) : undefined;
}

/**
 * Throws LOCKED if the variable or the passphrase is missing or a new key file could not be protected, and INVALID_INPUT for a
 * weak key. Called before anything of a new vault is created.
 */
export async function assertRootKeyUsable(source: RootKeySource): Promise<void> {
  switch (source.kind) {
    case 'file':
      if (keyFileExists(source.path)) assertRandom(decodeKey(readKeyFile(source.path)));
      else assertKeyFileCanBePrivate(source.path);
      return;
    case 'env':
      assertRandom(await readRootKey(source, undefined, () => true));
      return;
    case 'passphrase':
      assertLong(await requirePassphrase(source));
  }
}

/**
 * Reads the root key of an existing vault. Throws LOCKED if it is missing, readable by others or not a key. `salt` is the
 * one of a vault with a passphrase. `isRight`: whether a key opens the vault.
 */
export async function readRootKey(
  source: RootKeySource,
  salt: Buffer | undefined,
  isRight: (key: Buffer) => boolean,
): Promise<Buffer> {
  switch (source.kind) {
    case 'file':
      return decodeKey(readKeyFile(source.path));
    case 'env':
      if (source.value === undefined) {
        throw locked(
          'root_key_missing',
          'The root key is missing: the environment variable that KEYHOLD_ROOT_KEY names is not set. Set it to the key of this vault: 32 bytes in base64 (`openssl rand -base64 32` makes one for a new vault).',
        );
      }
      return decodeKey(source.value.reveal().trim());
    case 'passphrase': {
      const text = (await requirePassphrase(source)).reveal();
      if (salt === undefined)
        throw locked(
          'root_key_source_changed',
          'This vault was not created with a passphrase. Set KEYHOLD_ROOT_KEY back to its old value.',
        );
      // A line end or a blank at the end comes from a file or an editor. Earlier versions used it as a part.
      const key = await keyFromPassphrase(text.trim(), salt);
      return text === text.trim() || isRight(key) ? key : keyFromPassphrase(text, salt);
    }
  }
}

async function requirePassphrase(source: Extract<RootKeySource, { kind: 'passphrase' }>): Promise<Secret> {
  const passphrase = await source.prompt();
  if (passphrase !== undefined && passphrase.reveal().trim() !== '') return passphrase;
  throw locked(
    'passphrase_missing',
    'This vault opens with a passphrase. Set KEYHOLD_PASSPHRASE, or run the command in a terminal to enter it.',
  );
}

/** Creates the root key of a new vault. An existing key file is used, never replaced. Throws as `assertRootKeyUsable`. */
export async function createRootKey(
  source: RootKeySource,
  salt: Buffer | undefined,
  random: RandomBytes,
): Promise<Buffer> {
  await assertRootKeyUsable(source);
  if (source.kind === 'file' && !keyFileExists(source.path)) createKeyFile(source.path, random(KEY_BYTES));
  return readRootKey(source, salt, () => true);
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

function assertRandom(key: Buffer): void {
  if (new Set(key).size >= DISTINCT_BYTES_MIN) return;
  throw new VaultError(
    'INVALID_INPUT',
    'The root key is not random, so no vault was created with it. Make one with `openssl rand -base64 32`.',
    { reason: 'root_key_weak' },
  );
}

function assertLong(passphrase: Secret): void {
  const characters = [...passphrase.reveal().trim().normalize('NFKC')];
  if (characters.length >= PASSPHRASE_MIN_CHARACTERS && new Set(characters).size > 1) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The passphrase is too easy to guess, so no vault was created with it. Choose one with at least ${PASSPHRASE_MIN_CHARACTERS} characters, for example a random one from a password manager.`,
    { reason: 'root_key_weak' },
  );
}

function locked(reason: ErrorReason, message: string): VaultError {
  return new VaultError('LOCKED', message, { reason });
}
