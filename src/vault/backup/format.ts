/**
 * The unencrypted beginning of a backup: a line with the format, then a line of JSON with facts about the vault and the wrapped
 * key of the backup. A secret stream follows; it authenticates both lines.
 */
import * as z from 'zod';
import { VaultError } from '../../contract/errors.ts';
import { deriveBackupKey, KEY_BYTES, rootKeyId, unwrapKey, wrapKey } from '../../crypto/key_hierarchy.ts';
import { keyFromPassphrase, SALT_BYTES } from '../../crypto/passphrase.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { damagedStream } from '../../crypto/secret_stream.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { StoreHeader } from '../../store/store.ts';
import type { BackupCounts } from './parts.ts';

const FORMAT = 1;
const FIRST_LINE = `keyhold backup ${FORMAT}`;
const FIRST_LINE_PATTERN = /^keyhold backup (\d{1,9})$/;
/** Associated data of the wrapped keys. */
const LABEL: Buffer = Buffer.from('backup');

const Base64 = z.base64().transform((text) => Buffer.from(text, 'base64'));
const Count = z.int().min(0);
const BackupHeader = z.strictObject({
  /** Of the backup. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  created_at: z.string(),
  vault: z.string(),
  vault_created_at: z.string(),
  root_key_id: Base64,
  root_key_source: z.string(),
  root_key_ref: z.string().nullable(),
  root_key_sealed: Base64.nullable(),
  passphrase_salt: Base64.nullable(),
  counts: z.strictObject({ keys: Count, records: Count, entries: Count }),
  /** Wrapped by a key that is derived from the root key. */
  key: Base64,
  /** The key and the root key, wrapped by a key that is derived from the passphrase of the backup. */
  passphrase: z.strictObject({ salt: Base64, key: Base64, root_key: Base64 }).nullable(),
});
export type BackupHeader = z.infer<typeof BackupHeader>;

export interface BackupFacts {
  readonly id: string;
  readonly created_at: string;
  /** See `vaultIdOf`. */
  readonly vault: string;
  readonly header: StoreHeader;
  readonly counts: BackupCounts;
}

interface Sealing {
  readonly sodium: LoadedSodium;
  readonly random: RandomBytes;
}

/** The lines of a new backup with the wrapped `key`. `passphrase`: opens it too, without the root key. */
export async function encodeHeader(
  { sodium, random }: Sealing,
  { header, counts, ...facts }: BackupFacts,
  key: Buffer,
  root_key: Buffer,
  passphrase: string | undefined,
): Promise<Buffer> {
  const wrap = (wrapping: Buffer, wrapped: Buffer) =>
    wrapKey(sodium, random, wrapping, LABEL, wrapped).toString('base64');
  const salt = random(SALT_BYTES);
  const from_passphrase = passphrase && (await keyFromPassphrase(passphrase.trim(), salt));
  const { keys, records, entries } = counts;
  const content: z.input<typeof BackupHeader> = {
    ...facts,
    vault_created_at: header.created_at,
    root_key_id: header.root_key_id.toString('base64'),
    root_key_source: header.root_key_source,
    root_key_ref: header.root_key_ref ?? null,
    root_key_sealed: header.root_key_sealed?.toString('base64') ?? null,
    passphrase_salt: header.passphrase_salt?.toString('base64') ?? null,
    counts: { keys, records, entries },
    key: wrap(deriveBackupKey(root_key), key),
    passphrase: from_passphrase
      ? {
          salt: salt.toString('base64'),
          key: wrap(from_passphrase, key),
          root_key: wrap(from_passphrase, root_key),
        }
      : null,
  };
  return Buffer.from(`${FIRST_LINE}\n${JSON.stringify(content)}\n`);
}

/** Throws INVALID_INPUT for a file that is not a backup, UNAVAILABLE for a newer format, CORRUPT for a damaged header. */
export function parseHeader(first_line: string, second_line: string): BackupHeader {
  const [, format] = FIRST_LINE_PATTERN.exec(first_line) ?? [];
  if (format === undefined) {
    throw new VaultError('INVALID_INPUT', 'The file is not a backup that `keyhold backup` made.', {
      reason: 'backup_damaged',
    });
  }
  if (Number(format) > FORMAT) {
    const message = 'The backup was made by a newer Keyhold. Upgrade Keyhold to restore it.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'newer_format' });
  }
  try {
    return BackupHeader.parse(JSON.parse(second_line));
  } catch {
    throw damagedStream();
  }
}

/** The header of the vault in the backup. */
export function storeHeaderOf(header: BackupHeader): StoreHeader {
  return {
    root_key_id: header.root_key_id,
    root_key_source: header.root_key_source,
    passphrase_salt: header.passphrase_salt ?? undefined,
    root_key_ref: header.root_key_ref ?? undefined,
    root_key_sealed: header.root_key_sealed ?? undefined,
    created_at: header.vault_created_at,
  };
}

export interface BackupKeys {
  readonly key: Buffer;
  readonly root_key: Buffer;
}

/** Throws CORRUPT if the header was changed. `root_key`: the one of the vault. */
export function keysFromRootKey(sodium: LoadedSodium, { key }: BackupHeader, root_key: Buffer): BackupKeys {
  return { key: unwrap(sodium, deriveBackupKey(root_key), key), root_key };
}

/** Rejects with WRONG_KEY for another passphrase. */
export async function keysFromPassphrase(
  sodium: LoadedSodium,
  header: BackupHeader,
  passphrase: string,
): Promise<BackupKeys> {
  const wrapped = header.passphrase;
  if (wrapped === null) throw damagedStream();
  const wrapping = await keyFromPassphrase(passphrase.trim(), wrapped.salt);
  let keys: BackupKeys;
  try {
    keys = {
      key: unwrap(sodium, wrapping, wrapped.key),
      root_key: unwrap(sodium, wrapping, wrapped.root_key),
    };
  } catch (cause) {
    throw new VaultError('WRONG_KEY', 'This passphrase does not open the backup. Nothing was changed.', {
      cause,
    });
  }
  if (!rootKeyId(keys.root_key).equals(header.root_key_id)) throw damagedStream();
  return keys;
}

function unwrap(sodium: LoadedSodium, wrapping: Buffer, wrapped: Buffer): Buffer {
  try {
    const key = unwrapKey(sodium, wrapping, LABEL, wrapped);
    if (key.length === KEY_BYTES) return key;
  } catch {
    // As below.
  }
  throw damagedStream();
}
