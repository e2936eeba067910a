/**
 * Encrypts a short text that leaves the vault and comes back, such as a cookie, with AES-256-GCM (NIST SP 800-38D). The label
 * is authenticated: a text for one purpose does not decrypt for another one.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { RandomBytes } from './random.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Nonce, ciphertext and tag as base64url. `key`: 32 bytes. */
export function sealText(key: Buffer, random: RandomBytes, label: string, text: string): string {
  const nonce = random(NONCE_BYTES);
  const gcm = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(label));
  const ciphertext = Buffer.concat([gcm.update(text, 'utf8'), gcm.final()]);
  return Buffer.concat([nonce, ciphertext, gcm.getAuthTag()]).toString('base64url');
}

/** `undefined` for a text that `sealText` has not made with this key and label. */
export function openText(key: Buffer, label: string, sealed: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const options = { authTagLength: TAG_BYTES };
  const gcm = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), options)
    .setAAD(Buffer.from(label))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([gcm.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), gcm.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}
