/**
 * When each API key was last used. Written now and then and beside the requests, which never wait for it; it is no
 * change of the key, so it has a record of its own and no audit entry.
 */
import { BoundedMap } from '../../io/bounded_map.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository } from '../records/entity_repository.ts';
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

export class LastUsedTracker {
  readonly #parts: VaultDependencies;
  readonly #records: EntityRepository<UseMeta>;
  readonly #noted_ms = new BoundedMap<string, number>(KEYS_REMEMBERED_MAX);

  constructor(parts: VaultDependencies) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'api_key_use');
  }

  /** Returns at once. A note that cannot be written is made up for by the next one, a minute later. */
  record(keyring: OrganizationKeyring, key: UsedKey): void {
    const now = this.#parts.now();
    if (Math.abs(now.getTime() - (this.#noted_ms.get(key.id) ?? 0)) < NOTED_EVERY_MS) return;
    this.#noted_ms.set(key.id, now.getTime());
    void this.#write(keyring, key, now).catch(() => undefined);
  }

  async lastUsed(keyring: OrganizationKeyring, key_id: string): Promise<string | null> {
    const row = await this.#records.rowAt(keyring, [key_id]);
    return this.#records.openOwn(keyring, row)?.meta.used_at ?? null;
  }

  /** For a key that is gone, so that no note can come any more. What cannot be removed harms nobody. */
  async forget(keyring: OrganizationKeyring, key_id: string): Promise<void> {
    this.#noted_ms.delete(key_id);
    const row = await this.#records.rowAt(keyring, [key_id]).catch(() => undefined);
    if (row === undefined) return;
    const gone = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [gone], audit: [] }).catch(() => undefined);
  }

  async #write(keyring: OrganizationKeyring, key: UsedKey, now: Date): Promise<void> {
    // Not opened: a damaged note is written over.
    const row = await this.#records.rowAt(keyring, [key.id]);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const place = { key: [key.id], scope: this.#records.scope(keyring, []) };
    const meta = { used_at: now.toISOString() };
    const write = this.#records.put(keyring, place, id, (row?.revision ?? 0) + 1, meta);
    // A key that was revoked at this moment leaves no note behind.
    const is_there = { do: 'check', expected_revision: key.revision, id: idBytes(key.id) } as const;
    await this.#parts.store.commit({ writes: [is_there, write], audit: [] });
  }
}
