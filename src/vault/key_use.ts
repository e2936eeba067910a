/**
 * When each API key was last used. Written now and then and beside the requests, which never wait for it; it is no
 * change of the key, so it has a record of its own and no audit entry.
 */
import { DirectoryRecords } from './directory_records.ts';
import type { OrganizationRing } from './key_ring.ts';
import type { VaultParts } from './vault_parts.ts';

/** Exact to the minute. */
const NOTED_EVERY_MS = 60_000;
const KEYS_REMEMBERED_MAX = 10_000;

interface UseMeta {
  readonly used_at: string;
}

export class KeyUse {
  readonly #parts: VaultParts;
  readonly #records: DirectoryRecords<UseMeta>;
  readonly #noted_ms = new Map<string, number>();

  constructor(parts: VaultParts) {
    this.#parts = parts;
    this.#records = new DirectoryRecords(parts, 'api_key_use');
  }

  /** Returns at once. A note that cannot be written is made up for by the next one. */
  note(ring: OrganizationRing, key_id: string): void {
    const now = this.#parts.now();
    if (now.getTime() - (this.#noted_ms.get(key_id) ?? 0) < NOTED_EVERY_MS) return;
    if (this.#noted_ms.size >= KEYS_REMEMBERED_MAX) this.#noted_ms.clear();
    this.#noted_ms.set(key_id, now.getTime());
    void this.#write(ring, key_id, now).catch(() => this.#noted_ms.delete(key_id));
  }

  async lastUsed(ring: OrganizationRing, key_id: string): Promise<string | null> {
    return (await this.#records.find(ring, [key_id]))?.meta.used_at ?? null;
  }

  async #write(ring: OrganizationRing, key_id: string, now: Date): Promise<void> {
    const found = await this.#records.find(ring, [key_id]);
    const id = found?.id ?? this.#parts.records.newId();
    const place = { key: [key_id], scope: this.#records.scope(ring, []) };
    const meta = { used_at: now.toISOString() };
    const write = this.#records.put(ring, place, id, (found?.revision ?? 0) + 1, meta);
    await this.#parts.store.commit({ writes: [write], audit: [] });
  }
}
