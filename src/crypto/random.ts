/**
 * Where random bytes come from: the operating system, through node:crypto. Passed in wherever bytes are drawn, so
 * that test vectors can be made; nothing outside tests passes anything else.
 */
import { randomFillSync } from 'node:crypto';

/** Returns `length` random bytes that no other caller ever gets. */
export type RandomBytes = (length: number) => Buffer;

const POOL_BYTES = 8192;
let pool = Buffer.alloc(0);
let taken = 0;

/** Random bytes from a pool that is filled at once: one system call serves many nonces. */
export const systemRandom: RandomBytes = (length) => {
  if (length > POOL_BYTES) return randomFillSync(Buffer.alloc(length));
  if (taken + length > pool.length) {
    pool = randomFillSync(Buffer.alloc(POOL_BYTES));
    taken = 0;
  }
  const bytes = Buffer.from(pool.subarray(taken, taken + length));
  pool.fill(0, taken, taken + length);
  taken += length;
  return bytes;
};
