/**
 * Reads the root key from its source: a file, an environment variable, a passphrase, a keychain or a key service. Creates a key
 * only together with a vault; a vault whose key is missing never gets a new one, and the source is never switched silently.
 */
import { type ErrorReason, VaultError } from '../../contract/errors.ts';
import { PASSPHRASE_MIN_CHARACTERS } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import { constantTimeEqual } from '../../crypto/audit_chain.ts';
import { KEY_BYTES, rootKeyId } from '../../crypto/key_hierarchy.ts';
import { isEasyToGuess, keyFromPassphrase, SALT_BYTES } from '../../crypto/passphrase.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import type { StoreHeader } from '../../store/store.ts';
import { assertKeyFileCanBePrivate, createKeyFile, keyFileExists, readKeyFile } from './key_file.ts';
import { findNextKey, finishNextKeyFile } from './next_key_file.ts';

/** The setting KEYHOLD_ROOT_KEY. */
export type RootKeySource =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** Leaves the files of a rotation that was stopped as they are. */
      readonly is_read_only?: boolean;
    }
  | { readonly kind: 'env'; readonly name: string; readonly value: Secret | undefined }
  | { readonly kind: 'passphrase'; readonly prompt: () => Promise<Secret | undefined> }
  | ExternalRootKey;

/** The columns of the header that are about the root key. */
export type RootKeyHeader = Omit<StoreHeader, 'created_at'>;

/** A root key in a keychain, or encrypted by a key service. Keyhold makes the key itself: 32 random bytes. */
export interface ExternalRootKey {
  readonly kind: 'keychain' | 'transit' | 'aws-kms';
  /** Whether the setting selects the key that the header names. */
  selects(ref: string): boolean;
  /** Throws as `seal` if no key can be stored or encrypted now. */
  check(): Promise<void>;
  /**
   * Stores or encrypts a root key. `root_key_id` is authenticated with it. Throws LOCKED, reason `kms_denied` or
   * `keychain_unavailable`, and UNAVAILABLE, reason `kms_unreachable`.
   */
  seal(root_key: Buffer, root_key_id: Buffer): Promise<SealedRootKey>;
  /** The key that `seal` stored or encrypted. Throws as `seal`, and LOCKED, reason `root_key_missing`. */
  open(sealed: SealedRootKey, root_key_id: Buffer): Promise<Buffer>;
  /** Deletes a key that no vault uses. A key service keeps none. */
  discard(sealed: SealedRootKey): Promise<void>;
}

export interface SealedRootKey {
  /** Which key, without the address of the service. Never a secret. */
  readonly ref: string;
  /** Undefined in a keychain, which keeps the key itself. */
  readonly sealed: Buffer | undefined;
}

export function isExternal(source: RootKeySource): source is ExternalRootKey {
  return 'seal' in source;
}

/** 32 random bytes have about 30 distinct ones, and fewer than this only once in 10^20 keys. */
const DISTINCT_BYTES_MIN = 16;

/** Returns undefined for sources other than a file. Throws LOCKED if the folder cannot be read. */
export function rootKeyFileExists(source: RootKeySource): boolean | undefined {
  return source.kind === 'file' ? keyFileExists(source.path) : undefined;
}

/**
 * Throws LOCKED if the variable or the passphrase is missing or a new key file could not be protected, INVALID_INPUT for a
 * weak key. Throws as `ExternalRootKey.seal`. Called before anything of a new vault is created.
 */
export async function assertRootKeyUsable(source: RootKeySource): Promise<void> {
  if (isExternal(source)) return source.check();
  switch (source.kind) {
    case 'file':
      if (keyFileExists(source.path)) assertRandom(decodeKey(readKeyFile(source.path)));
      else assertKeyFileCanBePrivate(source.path);
      return;
    case 'env':
      assertRandom(await readLocalKey(source, undefined, () => true));
      return;
    case 'passphrase':
      assertHardToGuess(await requirePassphrase(source));
  }
}

/**
 * Reads the root key of an existing vault. Throws LOCKED if the settings select another source or key than the header has, or
 * if the key is missing, readable by others or not a key; WRONG_KEY if it does not open this vault. Throws
 * as `ExternalRootKey.open`.
 */
export async function openRootKey(source: RootKeySource, header: RootKeyHeader): Promise<Buffer> {
  if (header.root_key_source !== source.kind) {
    throw sourceChanged(
      `This vault has a root key from "${header.root_key_source}", but the settings select "${source.kind}".`,
    );
  }
  const isRight = (key: Buffer) => constantTimeEqual(rootKeyId(key), header.root_key_id);
  const root_key = isExternal(source)
    ? await openExternal(source, header)
    : await readLocalKey(source, header.passphrase_salt, isRight);
  if (isRight(root_key)) return root_key;
  const what = source.kind === 'passphrase' ? 'passphrase' : 'root key';
  throw new VaultError(
    'WRONG_KEY',
    `This ${what} does not belong to this vault. Nothing was changed. Use the one it was made with, or that of its last rotation.`,
  );
}

async function openExternal(source: ExternalRootKey, header: RootKeyHeader): Promise<Buffer> {
  const { root_key_ref: ref, root_key_sealed: sealed, root_key_id } = header;
  if (ref === undefined) throw damagedHeader();
  if (!source.selects(ref))
    throw sourceChanged(
      `This vault has the root key "${source.kind}:${ref}", but the settings select another one.`,
    );
  return source.open({ ref, sealed }, root_key_id);
}

function sourceChanged(problem: string): VaultError {
  return locked(
    'root_key_source_changed',
    `${problem} Set KEYHOLD_ROOT_KEY to its former value: the source is never switched silently. To switch it, run \`keyhold rotate root --to\` with the former value; once that has replaced the key, use the value of --to.`,
  );
}

function damagedHeader(): VaultError {
  const message =
    'The sealed root key in the header of the vault is missing or damaged. Restore the vault from a backup.';
  return new VaultError('CORRUPT', message, { reason: 'record_damaged' });
}

/** `isRight`: whether a key opens the vault. */
async function readLocalKey(
  source: Exclude<RootKeySource, ExternalRootKey>,
  salt: Buffer | undefined,
  isRight: (key: Buffer) => boolean,
): Promise<Buffer> {
  switch (source.kind) {
    case 'file':
      return readFileKey(source, isRight);
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
          'This vault was not created with a passphrase. Set KEYHOLD_ROOT_KEY to its former value.',
        );
      // A line end or a blank at the end comes from a file or an editor. Earlier versions used it as a part.
      const key = await keyFromPassphrase(text.trim(), salt);
      return text === text.trim() || isRight(key) ? key : keyFromPassphrase(text, salt);
    }
  }
}

/** Finishes a rotation that was stopped after the vault got its new key, if the folder can be written. */
function readFileKey(
  { path, is_read_only }: Extract<RootKeySource, { kind: 'file' }>,
  isRight: (key: Buffer) => boolean,
): Buffer {
  const present = keyFileExists(path) ? readKeyFile(path) : undefined;
  // A rotation may have overwritten the file before a power failure undid the rename of the next one.
  if (present !== undefined && isRight(bytesOf(present))) return decodeKey(present);
  const found = findNextKey(path, (text) => isRight(decodeKey(text)));
  if (found === undefined) return decodeKey(present ?? readKeyFile(path));
  if (is_read_only === true) return decodeKey(found.text);
  try {
    finishNextKeyFile(path, found.next);
  } catch {
    // Another process has finished it, or the next open does. The vault opens with the file as it is.
  }
  return decodeKey(found.text);
}

async function requirePassphrase(source: Extract<RootKeySource, { kind: 'passphrase' }>): Promise<Secret> {
  const passphrase = await source.prompt();
  if (passphrase !== undefined && passphrase.reveal().trim() !== '') return passphrase;
  throw locked(
    'passphrase_missing',
    'This vault opens with a passphrase. Set KEYHOLD_PASSPHRASE, or run the command in a terminal to enter it.',
  );
}

/** A root key, and the columns of the header that belong to it. */
export interface NewRootKey {
  readonly root_key: Buffer;
  readonly header: RootKeyHeader;
}

/**
 * Creates the root key of a new vault. An existing key file is used, never replaced. Throws as `assertRootKeyUsable`. A key in a
 * keychain or of a key service was opened again before this resolves.
 */
export async function createRootKey(source: RootKeySource, random: RandomBytes): Promise<NewRootKey> {
  if (isExternal(source)) return createExternal(source, random(KEY_BYTES));
  await assertRootKeyUsable(source);
  if (source.kind === 'file' && !keyFileExists(source.path)) createKeyFile(source.path, random(KEY_BYTES));
  const passphrase_salt = source.kind === 'passphrase' ? random(SALT_BYTES) : undefined;
  const root_key = await readLocalKey(source, passphrase_salt, () => true);
  const root_key_id = rootKeyId(root_key);
  const header = { root_key_id, root_key_source: source.kind, passphrase_salt };
  return { root_key, header: { ...header, root_key_ref: undefined, root_key_sealed: undefined } };
}

async function createExternal(source: ExternalRootKey, root_key: Buffer): Promise<NewRootKey> {
  const root_key_id = rootKeyId(root_key);
  const sealed = await source.seal(root_key, root_key_id);
  await assertOpens(source, root_key, sealed);
  const { ref: root_key_ref, sealed: root_key_sealed } = sealed;
  const named = { root_key_source: source.kind, root_key_ref, root_key_sealed };
  return { root_key, header: { root_key_id, passphrase_salt: undefined, ...named } };
}

/** Throws LOCKED unless the source opens the key that it sealed, such as for a token that may only encrypt. */
export async function assertOpens(
  source: ExternalRootKey,
  root_key: Buffer,
  sealed: SealedRootKey,
): Promise<void> {
  const opened = await source.open(sealed, rootKeyId(root_key));
  if (constantTimeEqual(opened, root_key)) return;
  throw locked(
    'root_key_invalid',
    'The source of the root key returned another key than it got, so nothing was changed. Check the service that KEYHOLD_ROOT_KEY names.',
  );
}

/** Removes a root key that was created for a vault that another process created first. */
export async function discardRootKey(source: RootKeySource, { header }: NewRootKey): Promise<void> {
  const { root_key_ref: ref, root_key_sealed: sealed } = header;
  if (isExternal(source) && ref !== undefined) await source.discard({ ref, sealed });
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

function decodeKey(text: string): Buffer {
  const key = bytesOf(text);
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
    'The root key is not random, so nothing was changed. Make one with `openssl rand -base64 32`.',
    { reason: 'root_key_weak' },
  );
}

function assertHardToGuess(passphrase: Secret): void {
  if (!isEasyToGuess(passphrase.reveal())) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The passphrase is too easy to guess, so nothing was changed. Choose one with at least ${PASSPHRASE_MIN_CHARACTERS} characters, for example a random one from a password manager.`,
    { reason: 'root_key_weak' },
  );
}

function locked(reason: ErrorReason, message: string): VaultError {
  return new VaultError('LOCKED', message, { reason });
}
