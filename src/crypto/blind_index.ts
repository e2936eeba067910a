/** Keyed hashes that stand in the store where names would: equal names meet, and nobody without the key can tell them. */
import { createHmac } from 'node:crypto';

export const BLIND_INDEX_BYTES = 16;

/**
 * HMAC-SHA256 over `label` and `parts`, cut to 128 bits. Every part goes in with its length, so that ('ab','c') and
 * ('a','bc') differ.
 */
export function blindIndex(index_key: Buffer, label: string, parts: readonly string[]): Buffer {
  let message = `${label}\0`;
  for (const part of parts) message += `${part.length}:${part}`;
  // By way of a string: what a digest returns as a buffer has memory of its own, to be allocated and collected apart.
  const bytes = createHmac('sha256', index_key).update(message).digest('binary');
  return Buffer.from(bytes.slice(0, BLIND_INDEX_BYTES), 'latin1');
}
