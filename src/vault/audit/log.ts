/**
 * The audit log: encrypts entries into the chain and reads them. Entries are only ever appended, in the same transaction
 * as the operation that they record.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { AuditEntry, type AuditFilter, type AuditPage, type NewAuditEntry } from '../../contract/audit.ts';
import { VaultError } from '../../contract/errors.ts';
import { AUDIT_ENTRIES_READ_MAX } from '../../contract/limits.ts';
import { constantTimeEqual, GENESIS_LINK, nextLink, openEntry, sealEntry } from '../../crypto/audit_chain.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import type { Cipher } from '../../crypto/record_cipher.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { AuditAppend, ChainHead, Store, StoredEntry } from '../../store/store.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { RepeatedDenials } from './repeated_denials.ts';

const READ_AT_ONCE = 500;

export class AuditLog {
  readonly #store: Store;
  readonly #sodium: LoadedSodium;
  readonly #random: RandomBytes;
  readonly #cipher: Cipher;
  readonly denials: RepeatedDenials;

  constructor(store: Store, sodium: LoadedSodium, random: RandomBytes, cipher: Cipher) {
    this.#store = store;
    this.#sodium = sodium;
    this.#random = random;
    this.#cipher = cipher;
    this.denials = new RepeatedDenials((keyring, entry) =>
      store.commit({ writes: [], audit: [this.append(keyring, entry)] }),
    );
  }

  /**
   * The append for one entry. `first` marks the first entry of the organization's chain. An allowed entry also has the
   * denials of its caller written that are counted so far, in a later transaction if this one has begun.
   */
  append(keyring: OrganizationKeyring, entry: NewAuditEntry, first = false): AuditAppend {
    const { id: organization } = keyring;
    if (entry.outcome === 'allowed') this.denials.endGroupsOf(keyring, entry);
    const plaintext = JSON.stringify(entry);
    return {
      organization,
      // Read when the entry is sealed: a batch is committed again after another process has rotated the data key.
      get key_version() {
        return keyring.key_version;
      },
      checkHead: (end) => {
        if (first ? end !== undefined : end === undefined || !isAuthenticHead(keyring, end))
          throw tamperedError();
      },
      sealEntry: (position, previous) => {
        const { key_version, keys } = keyring;
        const sealed = sealEntry(
          this.#sodium,
          this.#random,
          this.#cipher,
          keys,
          organization,
          position,
          key_version,
          plaintext,
        );
        return { sealed, ...nextLink(keys, previous ?? GENESIS_LINK, position, sealed) };
      },
    };
  }

  /** Decrypts an entry. Throws CORRUPT if it was changed or moved. */
  open(keyring: OrganizationKeyring, row: StoredEntry): AuditEntry {
    const plaintext = openEntry(
      this.#sodium,
      keyring.keysOf(row.key_version),
      keyring.id,
      row.position,
      row.key_version,
      row.sealed,
    );
    const parsed = AuditEntry.safeParse({ position: row.position, ...JSON.parse(plaintext) });
    if (parsed.success) return parsed.data;
    // It decrypts, so this vault wrote it, with a term that this version does not know.
    const message = 'The audit log has an entry by a newer Keyhold. Upgrade Keyhold to read it.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'newer_format' });
  }

  /**
   * Newest first, at most `limit` that fit the filter, from below position `before`. Reads a bounded number of entries:
   * a page may have fewer than `limit`, or none, and still a next one.
   */
  async list(
    keyring: OrganizationKeyring,
    filter: AuditFilter,
    limit: number,
    before?: number,
  ): Promise<AuditPage> {
    const found: AuditEntry[] = [];
    let read = 0;
    for await (const entry of this.newestFirst(keyring, before)) {
      if (read++ === AUDIT_ENTRIES_READ_MAX) return { entries: found, next: entry.position + 1 };
      if (!matchesFilter(entry, filter)) continue;
      if (found.length === limit) return { entries: found, next: entry.position + 1 };
      found.push(entry);
    }
    return { entries: found, next: null };
  }

  /** The newest entry that fits, as of now. Reads the whole log if need be. */
  async newest(keyring: OrganizationKeyring, filter: AuditFilter): Promise<AuditEntry | undefined> {
    return this.find(keyring, (entry) => matchesFilter(entry, filter));
  }

  /** As `newest`, for a condition. */
  async find(
    keyring: OrganizationKeyring,
    matches: (entry: AuditEntry) => boolean,
  ): Promise<AuditEntry | undefined> {
    for await (const entry of this.newestFirst(keyring)) if (matches(entry)) return entry;
    return undefined;
  }

  /** All entries from below position `before`, decrypted one at a time. */
  async *newestFirst(
    keyring: OrganizationKeyring,
    before = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<AuditEntry, void> {
    const end = await this.#store.auditHead(keyring.id);
    let upto = Math.min(before, (end?.position ?? 0) + 1);
    while (upto > 1) {
      const from = Math.max(1, upto - READ_AT_ONCE);
      const rows = await this.#store.auditEntries(keyring.id, from, upto - from);
      for (const row of rows.toReversed()) yield this.open(keyring, row);
      upto = from;
      await yieldToEventLoop();
    }
  }
}

/** Returns whether the vault wrote this head of the chain. */
export function isAuthenticHead(keyring: OrganizationKeyring, end: ChainHead): boolean {
  if (end.position > 1 && end.previous_link === undefined) return false;
  const { link, head_mac } = nextLink(
    keyring.keysOf(end.key_version),
    end.previous_link ?? GENESIS_LINK,
    end.position,
    end.sealed,
  );
  return constantTimeEqual(end.link, link) && constantTimeEqual(end.head_mac, head_mac);
}

function matchesFilter(entry: AuditEntry, filter: AuditFilter): boolean {
  return (
    (filter.action === undefined || entry.action === filter.action) &&
    (filter.user === undefined || entry.user === filter.user) &&
    (filter.credential_id === undefined || entry.credential_id === filter.credential_id) &&
    (filter.record_id === undefined || entry.record_id === filter.record_id) &&
    (filter.service_id === undefined || entry.service_id === filter.service_id) &&
    (filter.outcome === undefined || entry.outcome === filter.outcome) &&
    (filter.since === undefined || entry.at >= filter.since) &&
    (filter.until === undefined || entry.at < filter.until)
  );
}

export function tamperedError(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The audit log was tampered with, so nothing is written to this vault any more. Run `keyhold audit verify` to see where, then restore a backup.',
    { reason: 'audit_broken' },
  );
}
