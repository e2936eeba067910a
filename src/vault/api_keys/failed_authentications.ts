/**
 * Records failed authentications in the audit log: the first one at once, then one entry a minute with the number of the
 * others. An entry for each would let anybody without a key fill the log.
 */
import type { Edge } from '../../contract/caller.ts';
import { AUTH_FAILURES_LOGGED_EVERY_MS } from '../../contract/limits.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

interface Attempt {
  /** The expired key; absent if the attempt had no valid one. */
  readonly api_key_id: string | undefined;
  readonly edge: Edge;
  readonly request_id: string;
}

/** The failures of one organization since its last entry. */
interface Pending {
  readonly keyring: OrganizationKeyring;
  count: number;
  last: Attempt;
}

/** Not a valid name of a user. */
const UNKNOWN_USER = '-';

export class FailedAuthentications {
  readonly #parts: Pick<VaultDependencies, 'store' | 'audit_log' | 'now'>;
  /** By organization, while its entries are less than a minute old. */
  readonly #pending = new Map<string, Pending>();
  readonly #writes = new Set<Promise<void>>();

  constructor(parts: Pick<VaultDependencies, 'store' | 'audit_log' | 'now'>) {
    this.#parts = parts;
  }

  /** Returns at once. */
  count(keyring: OrganizationKeyring | undefined, attempt: Attempt): void {
    if (keyring === undefined) return;
    const organization = keyring.id.toString('latin1');
    const pending = this.#pending.get(organization);
    if (pending !== undefined) {
      pending.count += 1;
      pending.last = attempt;
      return;
    }
    this.#pending.set(organization, { keyring, count: 0, last: attempt });
    this.#write(keyring, attempt, 1);
    this.#scheduleEntry(organization);
  }

  /** Writes what is pending. Resolves when it is in the log or could not be written. */
  async flush(): Promise<void> {
    for (const { keyring, last, count } of this.#pending.values())
      if (count > 0) this.#write(keyring, last, count);
    this.#pending.clear();
    await Promise.all(this.#writes);
  }

  #scheduleEntry(organization: string): void {
    setTimeout(() => {
      const pending = this.#pending.get(organization);
      if (pending === undefined) return;
      const { keyring, last, count } = pending;
      if (count === 0) {
        this.#pending.delete(organization);
        return;
      }
      pending.count = 0;
      this.#write(keyring, last, count);
      this.#scheduleEntry(organization);
    }, AUTH_FAILURES_LOGGED_EVERY_MS).unref();
  }

  /** A failure to write must not turn a refused request into another error. */
  #write(keyring: OrganizationKeyring, { api_key_id, edge, request_id }: Attempt, count: number): void {
    const { store, audit_log, now } = this.#parts;
    const caller = { user: UNKNOWN_USER, edge, request_id, api_key_id };
    const entry = newEntry(caller, 'authenticate', now(), {
      outcome: 'denied',
      reason: 'no valid API key',
      count,
    });
    const write = store
      .commit({ writes: [], audit: [audit_log.append(keyring, entry)] })
      .catch(() => undefined)
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }
}
