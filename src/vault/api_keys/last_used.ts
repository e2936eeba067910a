/**
 * Tracks when each API key was last used, accurate to one minute. Written in the background, never on the request path,
 * into a separate record without an audit entry.
 */
import { BoundedMap } from '../../io/bounded_map.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';

const NOTED_EVERY_MS = 60_000;
const KEYS_REMEMBERED_MAX = 10_000;

interface UseMeta {
  readonly used_at: string;
}

/** The id and present revision of a key. */
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

  /** Returns at once. If the write fails, the next one follows a minute later. */
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

  /** Deletes the record of a revoked key. A failure is ignored: the record is then unused. */
  async forget(keyring: OrganizationKeyring, key_id: string): Promise<void> {
    this.#noted_ms.delete(key_id);
    const row = await this.#records.rowAt(keyring, [key_id]).catch(() => undefined);
    if (row === undefined) return;
    const deletion = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [deletion], audit: [] }).catch(() => undefined);
  }

  async #write(keyring: OrganizationKeyring, key: UsedKey, now: Date): Promise<void> {
    // Not decrypted, so that a damaged record is overwritten.
    const row = await this.#records.rowAt(keyring, [key.id]);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const ref = { key: [key.id], scope: this.#records.scope(keyring, []) };
    const meta = { used_at: now.toISOString() };
    const write = this.#records.put(keyring, ref, id, (row?.revision ?? 0) + 1, meta);
    // Writes nothing if the key was revoked at the same time.
    const key_check = { do: 'check', expected_revision: key.revision, id: idBytes(key.id) } as const;
    await this.#parts.store.commit({ writes: [key_check, write], audit: [] });
  }
}
