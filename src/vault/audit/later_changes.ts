/** The changes of records that other processes log while a verification reads the chain. */
import { type AuditEntry, READING_ACTIONS } from '../../contract/audit.ts';
import type { StoredEntry } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

/** How many rows are verified at once, and what the verification waits for before the next ones. */
export interface Pace {
  readonly rows: number;
  readonly pause: () => Promise<unknown>;
}

export class LaterChanges {
  readonly #parts: Pick<VaultDependencies, 'store' | 'audit_log'>;
  readonly #keyring: OrganizationKeyring;
  readonly #pace: Pace;
  /** By the ids of the records. */
  readonly #changes = new Map<string, AuditEntry>();
  /** The last position that was read. */
  #read_to = 0;

  constructor(
    parts: Pick<VaultDependencies, 'store' | 'audit_log'>,
    keyring: OrganizationKeyring,
    pace: Pace,
  ) {
    this.#parts = parts;
    this.#keyring = keyring;
    this.#pace = pace;
  }

  /** Sets the last position that the verification read. */
  readAfter(position: number): void {
    this.#read_to = position;
  }

  /** The newest change of a record since then, as of now. */
  async of(id: string): Promise<AuditEntry | undefined> {
    for (;;) {
      const rows = await this.#parts.store.auditEntries(this.#keyring.id, this.#read_to + 1, this.#pace.rows);
      if (rows.length === 0) return this.#changes.get(id);
      for (const row of rows) this.#add(row);
      await this.#pace.pause();
    }
  }

  #add(row: StoredEntry): void {
    this.#read_to = row.position;
    try {
      const entry = this.#parts.audit_log.open(this.#keyring, row);
      const id = entry.credential_id ?? entry.record_id;
      if (id !== null && entry.outcome === 'allowed' && !READING_ACTIONS.has(entry.action))
        this.#changes.set(id, entry);
    } catch {
      // The next verification reports it.
    }
  }
}
