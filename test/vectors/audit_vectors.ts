/** Generates audit-v1.json: a chain of entries with links and head MACs, and invalid ones that must be rejected. */
import { GENESIS_LINK, nextLink, sealEntry } from '../../src/crypto/audit_chain.ts';
import { deriveOrganizationKeys } from '../../src/crypto/key_hierarchy.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { deterministicRandom } from './deterministic_random.ts';
import type { AuditEntryVector, AuditVectors, CipherName, ExpectedError } from './vector_files.ts';

const DAMAGED: ExpectedError = { code: 'CORRUPT', reason: 'record_damaged' };
const KEY_VERSION = 1;
/** The cipher may change in the middle of a chain. */
const ENTRIES: readonly (readonly [CipherName, action: string])[] = [
  ['aes-256-gcm', 'init'],
  ['aes-256-gcm', 'store'],
  ['xchacha20-poly1305', 'update'],
  ['aes-256-gcm', 'delete'],
];

interface MadeEntry {
  readonly vector: AuditEntryVector;
  readonly sealed: Buffer;
  readonly link: Buffer;
  readonly end_seal: Buffer;
  readonly previous: Buffer;
}

export async function makeAuditVectors(): Promise<AuditVectors> {
  const sodium = await loadSodium();
  const random = deterministicRandom('audit-v1');
  const keys = deriveOrganizationKeys(random(32));
  const organization = random(16);
  const entries: MadeEntry[] = [];
  for (const [cipher, action] of ENTRIES) {
    const position = entries.length + 1;
    const nonce = random(cipher === 'aes-256-gcm' ? 12 : 24);
    const plaintext = JSON.stringify({
      at: `2026-01-0${position}T00:00:00.000Z`,
      user: 'me',
      action,
      name: 'é 🔑',
    });
    const sealed = sealEntry(
      sodium,
      () => nonce,
      cipher,
      keys,
      organization,
      position,
      KEY_VERSION,
      plaintext,
    );
    const previous = entries.at(-1)?.link ?? GENESIS_LINK;
    const { link, head_mac: end_seal } = nextLink(keys, previous, position, sealed);
    const vector = {
      position,
      cipher,
      nonce: nonce.toString('hex'),
      plaintext: Buffer.from(plaintext).toString('hex'),
      sealed_base64: sealed.toString('base64'),
      link: link.toString('hex'),
      end_seal: end_seal.toString('hex'),
    };
    entries.push({ vector, sealed, link, end_seal, previous });
  }
  return {
    format:
      'The audit chain of an organization, format version 1. Byte strings are hex, or base64 where the name says so. An entry is a sealed part of kind "audit" whose id, scope and index are the organization and whose revision is the position.',
    audit_key: keys.audit.toString('hex'),
    audit_link_key: keys.audit_link.toString('hex'),
    organization: organization.toString('hex'),
    key_version: KEY_VERSION,
    first_link: GENESIS_LINK.toString('hex'),
    entries: entries.map(({ vector }) => vector),
    failing_entries: failingEntries(entries, organization),
    wrong_links: wrongLinks(entries),
  };
}

function failingEntries(
  entries: readonly MadeEntry[],
  organization: Buffer,
): AuditVectors['failing_entries'] {
  const { sealed } = entryAt(entries, 1);
  const right = { organization, position: 2, key_version: KEY_VERSION, sealed };
  const wrong: [string, Partial<typeof right>][] = [
    ['at the position before', { position: 1 }],
    ['at the position after', { position: 3 }],
    ['in the chain of another organization', { organization: flipped(organization) }],
    ['under another key version', { key_version: KEY_VERSION + 1 }],
    ['a bit flipped', { sealed: flipped(sealed) }],
    ['the entry before in its place', { sealed: entryAt(entries, 0).sealed }],
  ];
  return wrong.map(([name, change]) => {
    const { organization: whose, sealed: bytes, position, key_version } = { ...right, ...change };
    return {
      name,
      organization: whose.toString('hex'),
      position,
      key_version,
      sealed_base64: bytes.toString('base64'),
      error: DAMAGED,
    };
  });
}

function wrongLinks(entries: readonly MadeEntry[]): AuditVectors['wrong_links'] {
  const third = entryAt(entries, 2);
  const { previous, sealed, link, end_seal } = third;
  const right = { previous, position: 3, sealed, link, end_seal };
  const wrong: [string, Partial<typeof right>][] = [
    ['a bit of the link flipped', { link: flipped(link) }],
    ['a bit of the seal of the end flipped', { end_seal: flipped(end_seal) }],
    ['a bit of the entry flipped', { sealed: flipped(sealed) }],
    ['a bit of the link before flipped', { previous: flipped(previous) }],
    ['link and seal of the end exchanged', { link: end_seal, end_seal: link }],
    ['the link in place of the seal of the end', { end_seal: link }],
    ['no seal of the end', { end_seal: Buffer.alloc(32) }],
    ['the seal of the end of the entry after', { end_seal: entryAt(entries, 3).end_seal }],
    ['at the position after', { position: 4 }],
    ['the entry before left out', { previous: entryAt(entries, 1).previous }],
  ];
  return wrong.map(([name, change]) => {
    const one = { ...right, ...change };
    return {
      name,
      previous_link: one.previous.toString('hex'),
      position: one.position,
      sealed_base64: one.sealed.toString('base64'),
      link: one.link.toString('hex'),
      end_seal: one.end_seal.toString('hex'),
    };
  });
}

function entryAt(entries: readonly MadeEntry[], at: number): MadeEntry {
  const entry = entries[at];
  if (entry === undefined) throw new Error(`no entry ${at}`);
  return entry;
}

/** With the lowest bit of the last byte flipped. */
function flipped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
  return changed;
}
