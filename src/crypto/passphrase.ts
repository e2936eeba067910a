/** Derives a root key from a passphrase with scrypt (RFC 7914). The vault stores the salt, never the passphrase. */
import { scrypt } from 'node:crypto';
import { PASSPHRASE_MIN_CHARACTERS } from '../contract/limits.ts';
import { KEY_BYTES } from './key_hierarchy.ts';

export const SALT_BYTES = 16;
/** Each guess costs 128 MiB of memory and about half a second. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 160 * 1024 * 1024 };

/** Derives 32 bytes. Normalizes the passphrase to NFKC, so that equivalent spellings give the same key. */
export function keyFromPassphrase(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, KEY_BYTES, COST, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** Too short, or one character repeated. White space around it does not count. */
export function isEasyToGuess(passphrase: string): boolean {
  const characters = [...passphrase.trim().normalize('NFKC')];
  return characters.length < PASSPHRASE_MIN_CHARACTERS || new Set(characters).size === 1;
}
