/**
 * Values sealed to the vault's public key (libsodium sealed boxes, X25519 and XSalsa20-Poly1305). The public key suffices
 * to seal; only the vault can decrypt. Encoded as `sealed:` and base64.
 */
import { VaultError } from '../contract/errors.ts';
import type { LoadedSodium } from './sodium.ts';

export const SEALED_PREFIX = 'sealed:';
const PUBLIC_KEY_BYTES = 32;

export interface BoxKeyPair {
  readonly public_key: Buffer;
  readonly private_key: Buffer;
}

export function boxKeyPair(sodium: LoadedSodium, seed: Buffer): BoxKeyPair {
  const pair = sodium.crypto_box_seed_keypair(seed);
  return { public_key: Buffer.from(pair.publicKey), private_key: Buffer.from(pair.privateKey) };
}

export function isSealedValue(text: string): boolean {
  return text.startsWith(SEALED_PREFIX);
}

/** Seals text to `public_key_base64`, as `keyhold status --json` prints it. Throws INVALID_INPUT for an invalid key or text. */
export function sealValue(sodium: LoadedSodium, public_key_base64: string, value: string): string {
  const public_key = Buffer.from(public_key_base64, 'base64');
  if (public_key.length !== PUBLIC_KEY_BYTES || public_key.toString('base64') !== public_key_base64) {
    throw new VaultError(
      'INVALID_INPUT',
      'The public key must be 32 bytes in base64, as `keyhold status --json` prints it.',
    );
  }
  // UTF-8 cannot encode half of a surrogate pair and would silently replace it.
  if (!value.isWellFormed()) {
    const message =
      'The value is not well-formed text: it has half of a surrogate pair. Encode it, for example in base64.';
    throw new VaultError('INVALID_INPUT', message);
  }
  try {
    const sealed = sodium.crypto_box_seal(Buffer.from(value), public_key);
    return SEALED_PREFIX + Buffer.from(sealed).toString('base64');
  } catch {
    // Some 32-byte strings, such as all zeros, are invalid public keys (RFC 7748, section 6.1).
    throw new VaultError('INVALID_INPUT', 'The public key is invalid.');
  }
}

/** Decrypts a sealed value. Throws INVALID_INPUT if it was sealed to another key or is truncated. */
export function openSealedValue(sodium: LoadedSodium, pair: BoxKeyPair, text: string): string {
  const encoded = text.slice(SEALED_PREFIX.length);
  const sealed = Buffer.from(encoded, 'base64');
  try {
    if (sealed.toString('base64') !== encoded) throw new Error('not base64');
    const opened = Buffer.from(sodium.crypto_box_seal_open(sealed, pair.public_key, pair.private_key));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(opened);
  } catch {
    throw new VaultError(
      'INVALID_INPUT',
      'The sealed value does not decrypt: it was sealed to the key of another vault, or is truncated. Seal it again with `keyhold seal`.',
      { reason: 'sealed_value_unreadable' },
    );
  }
}
