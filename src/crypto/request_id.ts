/** Request ids: ULIDs (https://github.com/ulid/spec), unguessable and in the order of time. */
import { ulid } from 'ulid';
import { systemRandom } from './random.ts';

const RANDOM_CHARACTERS = 16;

export function newRequestId(): string {
  // The library's own source asks the system for each of 16 characters; ours asks a pool once.
  const random = systemRandom(RANDOM_CHARACTERS);
  let taken = 0;
  return ulid(undefined, () => (random[taken++] ?? 0) / 256);
}
