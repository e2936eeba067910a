/** Request ids: ULIDs (https://github.com/ulid/spec), random and sortable by time. */
import { encodeTime } from 'ulid';
import { systemRandom } from './random.ts';

const RANDOM_CHARACTERS = 16;
const TIME_CHARACTERS = 10;
/** Crockford's base 32, as bytes. */
const ALPHABET = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ');

let encoded_ms = -1;
let encoded_time = '';

/** Reads random bytes once per id. The library's `ulid` calls its random source 16 times per id. */
export function newRequestId(): string {
  const now = Date.now();
  if (now !== encoded_ms) {
    encoded_time = encodeTime(now, TIME_CHARACTERS);
    encoded_ms = now;
  }
  const random = systemRandom(RANDOM_CHARACTERS);
  for (let at = 0; at < RANDOM_CHARACTERS; at++)
    random[at] = ALPHABET[(random[at] ?? 0) % ALPHABET.length] ?? 0;
  return encoded_time + random.toString('latin1');
}
