/**
 * Virtual keys: public placeholders for credentials. A virtual key is the credential's id encrypted as one block, so it
 * reveals nothing about the id and needs no record.
 */
import { createCipheriv } from 'node:crypto';

/** `vk_` and 22 characters of base64url. `id` is the 16 bytes of a UUID, which is one block of AES-256 (FIPS 197). */
export function virtualKey(key: Buffer, id: Buffer): string {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return `vk_${Buffer.concat([cipher.update(id), cipher.final()]).toString('base64url')}`;
}
