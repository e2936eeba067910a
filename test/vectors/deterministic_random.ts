/** Random bytes for vectors: always the same ones for the same label. Never for anything but tests. */
import crypto from 'node:crypto';
import type { RandomBytes } from '../../src/crypto/random.ts';

/** SHA-256 in counter mode over the label. */
export function deterministicRandom(label: string): RandomBytes {
  let blocks = 0;
  return (length) => {
    const taken: Buffer[] = [];
    for (let bytes = 0; bytes < length; bytes += 32) {
      taken.push(crypto.createHash('sha256').update(`${label}\0${blocks++}`).digest());
    }
    return Buffer.concat(taken).subarray(0, length);
  };
}
