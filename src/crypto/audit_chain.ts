/**
 * Seals audit entries and chains them with a keyed hash. Each link covers the link before it, and the last entry has a
 * seal that says that it is the last: without the key nobody can change, drop, reorder or cut off entries unnoticed.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { OrganizationKeys } from './key_hierarchy.ts';
import type { RandomBytes } from './random.ts';
import { type Cipher, openPart, type SealContext, sealPart } from './record_cipher.ts';
import type { LoadedSodium } from './sodium.ts';

export const LINK_BYTES = 32;
/** The link before the first entry. */
export const GENESIS_LINK: Buffer = Buffer.alloc(LINK_BYTES);

/** Entries are sealed like records: the organization is the id, the place in the chain the revision. */
function entryContext(organization: Buffer, position: number, key_version: number): SealContext {
  return {
    kind: 'audit',
    id: organization,
    scope: organization,
    index: organization,
    revision: position,
    part: 'audit',
    key_version,
  };
}

export function sealEntry(
  sodium: LoadedSodium,
  random: RandomBytes,
  cipher: Cipher,
  keys: OrganizationKeys,
  organization: Buffer,
  position: number,
  key_version: number,
  plaintext: string,
): Buffer {
  return sealPart(
    sodium,
    random,
    cipher,
    keys.audit,
    entryContext(organization, position, key_version),
    plaintext,
  );
}

/** Throws CORRUPT when the entry was changed or stood in another place. */
export function openEntry(
  sodium: LoadedSodium,
  keys: OrganizationKeys,
  organization: Buffer,
  position: number,
  key_version: number,
  sealed: Buffer,
): string {
  return openPart(sodium, keys.audit, entryContext(organization, position, key_version), sealed);
}

export interface Link {
  readonly link: Buffer;
  /** Goes into the row while the entry is the last one, and is overwritten when the next comes. */
  readonly head_mac: Buffer;
}

/**
 * HMAC-SHA512 (RFC 4231) over the place, the link before and the sealed entry. The first half is the link; the second,
 * which does not follow from the first, is the head MAC.
 */
export function nextLink(keys: OrganizationKeys, previous: Buffer, position: number, sealed: Buffer): Link {
  const digest = createHmac('sha512', keys.audit_link)
    .update(`${position}\0`)
    .update(previous)
    .update(sealed)
    .digest('binary');
  // By way of a string: what a digest returns as a buffer has memory of its own, to be allocated and collected apart.
  const both = Buffer.from(digest, 'latin1');
  return { link: both.subarray(0, LINK_BYTES), head_mac: both.subarray(LINK_BYTES) };
}

export function constantTimeEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
