/**
 * Tracks when API keys and credentials were last used, accurate to one minute. Written in the background, never on the
 * request path, into a separate record without an audit entry.
 */
import { BoundedMap } from '../../io/bounded_map.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository } from './entity_repository.ts';
import { idBytes, idText } from './record_codec.ts';

const NOTED_EVERY_MS = 60_000;
const RECORDS_REMEMBERED_MAX = 10_000;

interface UseMeta {
  readonly used_at: string;
}

/** The id and present revision of what is used. */
interface UsedRecord {
  readonly id: string;
  readonly revision: number;
}

export class LastUsedTracker {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records' | 'now'>;
  readonly #records: EntityRepository<UseMeta>;
  readonly #noted_ms = new BoundedMap<string, number>(RECORDS_REMEMBERED_MAX);

  /** `kind`: of the records that this class writes. */
  constructor(
    parts: Pick<VaultDependencies, 'store' | 'records' | 'now'>,
    kind: 'api_key_use' | 'credential_use',
  ) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, kind);
  }

  /** Returns at once. If the write fails, the next one follows a minute later. */
  record(keyring: OrganizationKeyring, used: UsedRecord): void {
    const now = this.#parts.now();
    if (Math.abs(now.getTime() - (this.#noted_ms.get(used.id) ?? 0)) < NOTED_EVERY_MS) return;
    this.#noted_ms.set(used.id, now.getTime());
    void this.#write(keyring, used, now).catch(() => undefined);
  }

  async lastUsed(keyring: OrganizationKeyring, id: string): Promise<string | null> {
    const row = await this.#records.rowAt(keyring, [id]);
    return this.#records.openOwn(keyring, row)?.meta.used_at ?? null;
  }

  /** Deletes the record of a deleted key or credential. A failure is ignored: the record is then unused. */
  async forget(keyring: OrganizationKeyring, used_id: string): Promise<void> {
    this.#noted_ms.delete(used_id);
    const row = await this.#records.rowAt(keyring, [used_id]).catch(() => undefined);
    if (row === undefined) return;
    const deletion = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [deletion], audit: [] }).catch(() => undefined);
  }

  async #write(keyring: OrganizationKeyring, used: UsedRecord, now: Date): Promise<void> {
    // Not decrypted, so that a damaged record is overwritten.
    const row = await this.#records.rowAt(keyring, [used.id]);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const ref = { key: [used.id], scope: this.#records.scope(keyring, []) };
    const meta = { used_at: now.toISOString() };
    const write = this.#records.put(keyring, ref, id, (row?.revision ?? 0) + 1, meta);
    // Writes nothing if the key or credential was changed or deleted at the same time.
    const check = { do: 'check', expected_revision: used.revision, id: idBytes(used.id) } as const;
    await this.#parts.store.commit({ writes: [check, write], audit: [] });
  }
}
