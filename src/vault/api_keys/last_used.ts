/**
 * When each API key was last used. Written now and then and beside the requests, which never wait for it; it is no
 * change of the key, so it has a record of its own and no audit entry.
 */

import type { VaultParts } from '../dependencies.ts';
import type { OrganizationRing } from '../keys/keyring.ts';
import { DirectoryRecords } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';

/** Exact to the minute. */
const NOTED_EVERY_MS = 60_000;
const KEYS_REMEMBERED_MAX = 10_000;

interface UseMeta {
  readonly used_at: string;
}

/** A key as it stands. */
interface UsedKey {
  readonly id: string;
  readonly revision: number;
}

export class KeyUse {
  readonly #parts: VaultParts;
  readonly #records: DirectoryRecords<UseMeta>;
  readonly #noted_ms = new Map<string, number>();

  constructor(parts: VaultParts) {
    this.#parts = parts;
    this.#records = new DirectoryRecords(parts, 'api_key_use');
  }

  /** Returns at once. A note that cannot be written is made up for by the next one, a minute later. */
  note(ring: OrganizationRing, key: UsedKey): void {
    const now = this.#parts.now();
    if (Math.abs(now.getTime() - (this.#noted_ms.get(key.id) ?? 0)) < NOTED_EVERY_MS) return;
    if (this.#noted_ms.size >= KEYS_REMEMBERED_MAX) this.#noted_ms.clear();
    this.#noted_ms.set(key.id, now.getTime());
    void this.#write(ring, key, now).catch(() => undefined);
  }

  async lastUsed(ring: OrganizationRing, key_id: string): Promise<string | null> {
    const row = await this.#records.rowAt(ring, [key_id]);
    return this.#records.openOwn(ring, row)?.meta.used_at ?? null;
  }

  /** For a key that is gone, so that no note can come any more. What cannot be removed harms nobody. */
  async forget(ring: OrganizationRing, key_id: string): Promise<void> {
    this.#noted_ms.delete(key_id);
    const row = await this.#records.rowAt(ring, [key_id]).catch(() => undefined);
    if (row === undefined) return;
    const gone = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [gone], audit: [] }).catch(() => undefined);
  }

  async #write(ring: OrganizationRing, key: UsedKey, now: Date): Promise<void> {
    // Not opened: a damaged note is written over.
    const row = await this.#records.rowAt(ring, [key.id]);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const place = { key: [key.id], scope: this.#records.scope(ring, []) };
    const meta = { used_at: now.toISOString() };
    const write = this.#records.put(ring, place, id, (row?.revision ?? 0) + 1, meta);
    // A key that was revoked at this moment leaves no note behind.
    const is_there = { do: 'check', expected_revision: key.revision, id: idBytes(key.id) } as const;
    await this.#parts.store.commit({ writes: [is_there, write], audit: [] });
  }
}
