/** Blind indexes: keyed hashes that the store uses instead of names. Without the key they reveal only equality. */
import { createHmac } from 'node:crypto';

export const BLIND_INDEX_BYTES = 16;

/** HMAC-SHA256 over `label` and `parts`, truncated to 128 bits. Each part has its length: ('ab','c') and ('a','bc') differ. */
export function blindIndex(index_key: Buffer, label: string, parts: readonly string[]): Buffer {
  let message = `${label}\0`;
  for (const part of parts) message += `${part.length}:${part}`;
  // Via a string: a digest returned as a buffer has its own allocation, which costs more to collect.
  const bytes = createHmac('sha256', index_key).update(message).digest('binary');
  return Buffer.from(bytes.slice(0, BLIND_INDEX_BYTES), 'latin1');
}
