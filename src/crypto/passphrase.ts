/** A root key from a passphrase: scrypt (RFC 7914). The salt is stored beside the vault; the passphrase nowhere. */
import { scrypt } from 'node:crypto';
import { KEY_BYTES } from './key_hierarchy.ts';

export const SALT_BYTES = 16;
/** 128 MiB of memory and about half a second: what a guess costs. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 160 * 1024 * 1024 };

/** Derives 32 bytes. The passphrase is taken in Unicode form NFKC, so that the same letters give the same key. */
export function keyFromPassphrase(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, KEY_BYTES, COST, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
