/** Request ids: ULIDs (https://github.com/ulid/spec), unguessable and in the order of time. */
import { ulid } from 'ulid';
import { systemRandom } from './random.ts';

export function newRequestId(): string {
  // The library's own source asks the system for each of 16 characters; ours draws from a pool.
  return ulid(undefined, () => (systemRandom(1)[0] ?? 0) / 256);
}
