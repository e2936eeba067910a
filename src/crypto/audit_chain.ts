/**
 * Encrypts audit entries and chains them with a keyed hash. Each link covers the previous link, and the head has a MAC of
 * its own, so changed, missing, reordered or truncated entries are detected without trusting the file.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { OrganizationKeys } from './key_hierarchy.ts';
import type { RandomBytes } from './random.ts';
import { type Cipher, openPart, type SealContext, sealPart } from './record_cipher.ts';
import type { LoadedSodium } from './sodium.ts';

export const LINK_BYTES = 32;
/** The link before the first entry. */
export const GENESIS_LINK: Buffer = Buffer.alloc(LINK_BYTES);

/** Entries are encrypted like records: the organization is the id, the position in the chain the revision. */
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

/** Throws CORRUPT if the entry was changed or moved to another position. */
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
  /** MAC of the chain's head: stored with the last entry and overwritten when the next one is appended. */
  readonly head_mac: Buffer;
}

/**
 * HMAC-SHA512 (RFC 4231) over the position, the previous link and the encrypted entry. The first half is the link; the
 * second half, which cannot be derived from the first, is the MAC of the head.
 */
export function nextLink(keys: OrganizationKeys, previous: Buffer, position: number, sealed: Buffer): Link {
  const digest = createHmac('sha512', keys.audit_link)
    .update(`${position}\0`)
    .update(previous)
    .update(sealed)
    .digest('binary');
  // Via a string: a digest returned as a buffer has its own allocation, which costs more to collect.
  const both = Buffer.from(digest, 'latin1');
  return { link: both.subarray(0, LINK_BYTES), head_mac: both.subarray(LINK_BYTES) };
}

export function constantTimeEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
