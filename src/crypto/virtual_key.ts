/**
 * Virtual keys: public placeholders for credentials. A virtual key is the credential's id encrypted as one block, so it
 * reveals nothing about the id and needs no record.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';

const PREFIX = 'vk_';
/** 22 characters hold 132 bits, of which the last four are zero in the canonical text. */
const PATTERN = /^vk_[A-Za-z0-9_-]{21}[AQgw]$/;

/** `vk_` and 22 characters of base64url. `id` is the 16 bytes of a UUID, which is one block of AES-256 (FIPS 197). */
export function virtualKey(key: Buffer, id: Buffer): string {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return `${PREFIX}${Buffer.concat([cipher.update(id), cipher.final()]).toString('base64url')}`;
}

/** The id of the credential; `undefined` for any text but the one that `virtualKey` returns for it. */
export function openVirtualKey(key: Buffer, text: string): Buffer | undefined {
  if (!PATTERN.test(text)) return undefined;
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  const block = Buffer.from(text.slice(PREFIX.length), 'base64url');
  return Buffer.concat([decipher.update(block), decipher.final()]);
}
