/** The code that an agent's result and a page both show, so that a person recognizes the request. Not a secret. */
import type { RandomBytes } from '../../crypto/random.ts';

const CHARACTERS = 6;
/** Crockford base32: without letters that look like another one or like a digit. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Such as `7K4-Q2M`. */
export function newConfirmationCode(random: RandomBytes): string {
  const text = [...random(CHARACTERS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return `${text.slice(0, CHARACTERS / 2)}-${text.slice(CHARACTERS / 2)}`;
}
