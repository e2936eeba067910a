/**
 * Virtual keys: public stand-ins for credentials. One is the credential's id, enciphered as a single block, so that
 * whoever sees it learns nothing of the id, and the vault gets the id back without looking anything up.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';

const PREFIX = 'vk_';
const ID_BYTES = 16;
/** 16 bytes in base64url, without padding. */
const PATTERN = /^vk_[A-Za-z0-9_-]{22}$/;

/** `vk_` and 22 characters. `id`: the 16 bytes of a UUID, which is one block of AES-256 (FIPS 197). */
export function virtualKey(key: Buffer, id: Buffer): string {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return PREFIX + Buffer.concat([cipher.update(id), cipher.final()]).toString('base64url');
}

/** The 16 bytes it stands for, which may be nobody's id; `undefined` for what has another form. */
export function idOfVirtualKey(key: Buffer, virtual_key: string): Buffer | undefined {
  if (!PATTERN.test(virtual_key)) return undefined;
  const block = Buffer.from(virtual_key.slice(PREFIX.length), 'base64url');
  if (block.length !== ID_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return Buffer.concat([decipher.update(block), decipher.final()]);
}
