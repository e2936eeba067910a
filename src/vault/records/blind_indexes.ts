/** Blind indexes of the records of an organization, computed once while they are in use: an HMAC costs more than a lookup. */
import { blindIndex } from '../../crypto/blind_index.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

const INDEXES_PER_ORGANIZATION_MAX = 512;

const known_indexes = new WeakMap<OrganizationKeyring, BoundedMap<string, Buffer>>();

/** `purpose` separates the indexes and scopes of each kind of record. */
export function indexOf(keyring: OrganizationKeyring, purpose: string, parts: readonly string[]): Buffer {
  let known = known_indexes.get(keyring);
  if (known === undefined) {
    known = new BoundedMap(INDEXES_PER_ORGANIZATION_MAX);
    known_indexes.set(keyring, known);
  }
  // With lengths, so that no two lists of parts share a key.
  let key = purpose;
  for (const part of parts) key += `\0${part.length}:${part}`;
  const index = known.get(key);
  if (index !== undefined) return index;
  const computed = blindIndex(keyring.keys.index, purpose, parts);
  known.set(key, computed);
  return computed;
}
