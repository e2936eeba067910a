/**
 * Text encrypted to a public key (libsodium sealed boxes, X25519 and XSalsa20-Poly1305). The public key suffices to seal;
 * only the holder of the private key can decrypt. `sealed_value.ts` defines what is sealed and how it is encoded.
 */
import { hash } from 'node:crypto';
import { VaultError } from '../contract/errors.ts';
import type { LoadedSodium } from './sodium.ts';

const PUBLIC_KEY_BYTES = 32;

export interface BoxKeyPair {
  readonly public_key: Buffer;
  readonly private_key: Buffer;
}

export function boxKeyPair(sodium: LoadedSodium, seed: Buffer): BoxKeyPair {
  const pair = sodium.crypto_box_seed_keypair(seed);
  return { public_key: Buffer.from(pair.publicKey), private_key: Buffer.from(pair.privateKey) };
}

/** A short text for people to compare: `SHA256:` and the base64 of the hash without padding, as OpenSSH shows keys. */
export function fingerprintOf(public_key_base64: string): string {
  const digest = hash('sha256', Buffer.from(public_key_base64, 'base64'), 'base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

/** The box in base64. Throws INVALID_INPUT for a text that is not a public key. */
export function sealBox(sodium: LoadedSodium, public_key_base64: string, text: string): string {
  const public_key = Buffer.from(public_key_base64, 'base64');
  if (public_key.length !== PUBLIC_KEY_BYTES || public_key.toString('base64') !== public_key_base64) {
    throw new VaultError(
      'INVALID_INPUT',
      'The public key must be 32 bytes in base64, as `keyhold status --json` prints it.',
    );
  }
  try {
    return Buffer.from(sodium.crypto_box_seal(Buffer.from(text), public_key)).toString('base64');
  } catch {
    // Some 32-byte strings, such as all zeros, are invalid public keys (RFC 7748, section 6.1).
    throw new VaultError('INVALID_INPUT', 'The public key is invalid.');
  }
}

/** The text of a box in base64; `undefined` if it was sealed to another key, was changed, or is not canonical base64. */
export function openBox(sodium: LoadedSodium, pair: BoxKeyPair, encoded: string): string | undefined {
  const sealed = Buffer.from(encoded, 'base64');
  if (sealed.toString('base64') !== encoded) return undefined;
  try {
    const opened = Buffer.from(sodium.crypto_box_seal_open(sealed, pair.public_key, pair.private_key));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(opened);
  } catch {
    return undefined;
  }
}
