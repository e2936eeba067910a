/**
 * Tracks when API keys and credentials were last used, accurate to one minute. Written in the background, never on the
 * request path, into a separate record without an audit entry.
 */
import { BoundedMap } from '../../io/bounded_map.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { AttachedRecords, type Subject } from './attached_records.ts';

const NOTED_EVERY_MS = 60_000;
const RECORDS_REMEMBERED_MAX = 10_000;

interface UseMeta {
  readonly used_at: string;
}

export class LastUsedTracker {
  readonly #now: () => Date;
  readonly #records: AttachedRecords<UseMeta>;
  readonly #noted_ms = new BoundedMap<string, number>(RECORDS_REMEMBERED_MAX);

  /** `kind`: of the records that this class writes. */
  constructor(
    parts: Pick<VaultDependencies, 'store' | 'records' | 'now'>,
    kind: 'api_key_use' | 'credential_use',
  ) {
    this.#now = parts.now;
    this.#records = new AttachedRecords(parts, kind);
  }

  /** Returns at once. If the write fails, the next one follows a minute later. */
  record(keyring: OrganizationKeyring, used: Subject): void {
    const now = this.#now();
    if (Math.abs(now.getTime() - (this.#noted_ms.get(used.id) ?? 0)) < NOTED_EVERY_MS) return;
    this.#noted_ms.set(used.id, now.getTime());
    void this.#records.put(keyring, used, { used_at: now.toISOString() }).catch(() => undefined);
  }

  async lastUsed(keyring: OrganizationKeyring, id: string): Promise<string | null> {
    return (await this.#records.get(keyring, id))?.used_at ?? null;
  }

  /** See `AttachedRecords.forget`. */
  async forget(keyring: OrganizationKeyring, used_id: string): Promise<void> {
    this.#noted_ms.delete(used_id);
    await this.#records.forget(keyring, used_id);
  }
}
