/**
 * The key hierarchy: the root key wraps the vault key and one data key per organization; purpose keys are derived from
 * those. Knows nothing of the source of the root key.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { VaultError } from '../contract/errors.ts';
import type { RandomBytes } from './random.ts';
import type { LoadedSodium } from './sodium.ts';

export const KEY_BYTES = 32;
const WRAP_VERSION = 1;
const NONCE_BYTES = 24;
const ROOT_KEY_ID_BYTES = 16;

/** An id that reveals nothing of the root key: distinguishes a wrong key from a damaged file. */
export function rootKeyId(root_key: Buffer): Buffer {
  return createHmac('sha256', root_key).update('keyhold root key id').digest().subarray(0, ROOT_KEY_ID_BYTES);
}

/** Wraps a key under the root key with XChaCha20-Poly1305; `label` identifies the key and is authenticated. */
export function wrapKey(
  sodium: LoadedSodium,
  random: RandomBytes,
  root_key: Buffer,
  label: Buffer,
  key: Buffer,
): Buffer {
  const nonce = random(NONCE_BYTES);
  const wrapped = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    key,
    wrapLabel(label),
    null,
    nonce,
    root_key,
  );
  return Buffer.concat([Buffer.of(WRAP_VERSION), nonce, wrapped]);
}

/** Unwraps a key. Throws CORRUPT if it was changed or has another label. */
export function unwrapKey(sodium: LoadedSodium, root_key: Buffer, label: Buffer, wrapped: Buffer): Buffer {
  try {
    if (wrapped[0] !== WRAP_VERSION) throw new Error('unknown version');
    const nonce = wrapped.subarray(1, 1 + NONCE_BYTES);
    return Buffer.from(
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        null,
        wrapped.subarray(1 + NONCE_BYTES),
        wrapLabel(label),
        nonce,
        root_key,
      ),
    );
  } catch (cause) {
    throw new VaultError('CORRUPT', 'A key in the vault file is damaged. Restore the file from a backup.', {
      reason: 'record_damaged',
      cause,
    });
  }
}

function wrapLabel(label: Buffer): Buffer {
  return Buffer.concat([Buffer.from('keyhold wrapped key\0'), label]);
}

/** Keys of one organization, one per purpose. */
export interface OrganizationKeys {
  readonly meta: Buffer;
  readonly values: Buffer;
  readonly index: Buffer;
  /** Encrypts audit entries. */
  readonly audit: Buffer;
  /** Chains audit entries. */
  readonly audit_link: Buffer;
  /** Encrypts credential ids into virtual keys. */
  readonly virtual_key: Buffer;
  /** Seed of the key pair for sealed values. */
  readonly box_seed: Buffer;
}

export function deriveOrganizationKeys(data_key: Buffer): OrganizationKeys {
  return {
    meta: derive(data_key, 'meta'),
    values: derive(data_key, 'values'),
    index: derive(data_key, 'index'),
    audit: derive(data_key, 'audit'),
    audit_link: derive(data_key, 'audit link'),
    virtual_key: derive(data_key, 'virtual key'),
    box_seed: derive(data_key, 'sealed box'),
  };
}

/** Keys that authenticate what the vault reads back from outside its store. */
export interface SigningKeys {
  /** MAC of the anchor file. */
  readonly anchor: Buffer;
  /** Encrypts sign-ins that the browser keeps. */
  readonly sign_in: Buffer;
}

/** Keys of the vault as a whole. */
export interface VaultKeys extends SigningKeys {
  /** Blind indexes of organizations. */
  readonly index: Buffer;
}

export function deriveVaultKeys(vault_key: Buffer): VaultKeys {
  return { index: derive(vault_key, 'organization index'), ...deriveSigningKeys(vault_key) };
}

/** From the vault key, or from a key that replaces it for this purpose. */
export function deriveSigningKeys(key: Buffer): SigningKeys {
  return { anchor: derive(key, 'anchor'), sign_in: derive(key, 'sign-in') };
}

/** Wraps the keys of backups. */
export function deriveBackupKey(root_key: Buffer): Buffer {
  return derive(root_key, 'backup');
}

/** HKDF-SHA256 (RFC 5869) without salt: the input is uniformly random. */
function derive(key: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), `keyhold ${purpose}`, KEY_BYTES));
}
