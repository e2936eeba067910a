/**
 * The source of random bytes: the operating system, through node:crypto. It is a parameter of every user, so that test
 * vectors can be generated; only tests pass another source.
 */
import { randomFillSync } from 'node:crypto';

/** Returns `length` random bytes, never the same bytes twice. */
export type RandomBytes = (length: number) => Buffer;

const POOL_BYTES = 8192;
let pool = Buffer.alloc(0);
let taken = 0;

/** Random bytes from a pool, so that one system call serves many nonces. */
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
