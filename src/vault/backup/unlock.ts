/** Finds the keys of a backup: with the root key of the settings, or with the passphrase of the backup. */
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import { loadSodium } from '../../crypto/sodium.ts';
import type { StoreHeader } from '../../store/store.ts';
import { assertKeyFileCanBePrivate, createKeyFile, keyFileExists } from '../keys/key_file.ts';
import { openRootKey, type RootKeySource } from '../keys/root_key.ts';
import {
  type BackupHeader,
  type BackupKeys,
  keysFromPassphrase,
  keysFromRootKey,
  storeHeaderOf,
} from './format.ts';

/** `promptPassphrase`: called only if the root key of the settings is missing or another one. */
export async function unlockBackup(
  header: BackupHeader,
  source: RootKeySource,
  promptPassphrase: () => Promise<Secret | undefined>,
): Promise<BackupKeys> {
  const sodium = await loadSodium();
  const root_key = await tryRootKey(header, source);
  if (root_key !== undefined) return keysFromRootKey(sodium, header, root_key);
  const passphrase = (await promptPassphrase())?.reveal();
  if (passphrase !== undefined) return keysFromPassphrase(sodium, header, passphrase);
  const message =
    'The backup opens with the root key of its vault, which is not the one of KEYHOLD_ROOT_KEY, or with its passphrase. Set KEYHOLD_BACKUP_PASSPHRASE, or run the command in a terminal to enter it.';
  throw new VaultError('LOCKED', message, { reason: 'passphrase_missing' });
}

/** `undefined` if the root key is missing or another one, and the backup has a passphrase. */
async function tryRootKey(header: BackupHeader, source: RootKeySource): Promise<Buffer | undefined> {
  const has_passphrase = header.passphrase !== null;
  // A prompt for the passphrase of a vault would be mistaken for that of the backup.
  if (has_passphrase && source.kind === 'passphrase' && header.root_key_source !== 'passphrase')
    return undefined;
  try {
    return await openRootKey(source, headerFor(source, storeHeaderOf(header)));
  } catch (error) {
    if (has_passphrase) return undefined;
    if (!(error instanceof VaultError) || error.code !== 'WRONG_KEY') throw error;
    throw new VaultError(
      'WRONG_KEY',
      'The root key of KEYHOLD_ROOT_KEY does not open this backup: it was made with another one. Nothing was changed. Set KEYHOLD_ROOT_KEY to the key that the vault had when the backup was made.',
    );
  }
}

/** A file and a variable have the key itself: a vault can change from one to the other. */
function headerFor(source: RootKeySource, header: StoreHeader): StoreHeader {
  if (source.kind === header.root_key_source || (source.kind !== 'file' && source.kind !== 'env'))
    return header;
  const none = { passphrase_salt: undefined, root_key_ref: undefined, root_key_sealed: undefined };
  return { ...header, ...none, root_key_source: source.kind };
}

/** How the restored vault finds its root key. */
export interface RootKeyPlan {
  /** Absent: as in the backup. */
  readonly header: StoreHeader | undefined;
  /** Call before the restored vault can be opened. */
  readonly writeKeyFile: () => void;
}

/** Throws LOCKED if the settings would not open the restored vault. */
export async function planRootKey(
  backup: BackupHeader,
  { root_key }: BackupKeys,
  source: RootKeySource,
): Promise<RootKeyPlan> {
  const in_backup = storeHeaderOf(backup);
  const header = headerFor(source, in_backup);
  const plan = { header: header === in_backup ? undefined : header, writeKeyFile: () => undefined };
  if (source.kind === 'file' && !keyFileExists(source.path)) {
    const { path } = source;
    assertKeyFileCanBePrivate(path);
    const writeKeyFile = () => {
      if (!keyFileExists(path)) createKeyFile(path, root_key);
    };
    return { ...plan, writeKeyFile };
  }
  // The passphrase was prompted for, or is not needed before the vault is opened.
  if (source.kind === 'passphrase' && header.root_key_source === 'passphrase') return plan;
  try {
    await openRootKey(source, header);
    return plan;
  } catch (cause) {
    if (!(cause instanceof VaultError) || !['LOCKED', 'WRONG_KEY'].includes(cause.code)) throw cause;
    throw new VaultError(
      'LOCKED',
      'With this KEYHOLD_ROOT_KEY the restored vault could not be opened: it selects another root key than the one of the backup. Nothing was changed. Set it to its value for that vault, or to file:PATH with a path that does not exist: the root key of the backup is written there.',
      { reason: 'root_key_source_changed', cause },
    );
  }
}
