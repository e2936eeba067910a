/**
 * Logs the outcomes of uses: all that end within a second share one transaction. Callers do not wait for it, and a failure
 * is not reported to them, since the use itself is logged before it begins. A process that is killed loses what waits.
 */
import type { NewAuditEntry } from '../../contract/audit.ts';
import {
  COMMITS_PER_TRANSACTION_MAX,
  USE_OUTCOME_DELAY_MS,
  USE_OUTCOMES_PENDING_MAX,
} from '../../contract/limits.ts';
import type { AuditLog } from '../audit/log.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

interface Outcome {
  readonly keyring: OrganizationKeyring;
  readonly entry: NewAuditEntry;
}

export class UseOutcomes {
  readonly #store: VaultDependencies['store'];
  readonly #audit_log: AuditLog;
  #pending: Outcome[] = [];
  /** Outcomes of which only the number is logged, by organization; the entry is that of the last one. */
  readonly #dropped = new Map<OrganizationKeyring, { count: number; last: NewAuditEntry }>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor({ store, audit_log }: Pick<VaultDependencies, 'store' | 'audit_log'>) {
    this.#store = store;
    this.#audit_log = audit_log;
  }

  add(keyring: OrganizationKeyring, entry: NewAuditEntry): void {
    if (this.#pending.length < USE_OUTCOMES_PENDING_MAX) this.#pending.push({ keyring, entry });
    else this.#dropped.set(keyring, { count: (this.#dropped.get(keyring)?.count ?? 0) + 1, last: entry });
    this.#timer ??= setTimeout(() => void this.flush(), USE_OUTCOME_DELAY_MS).unref();
  }

  /** Resolves when all outcomes until now are in the log or could not be written. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const outcomes = this.#pending;
    this.#pending = [];
    for (const [keyring, { count, last }] of this.#dropped)
      outcomes.push({ keyring, entry: summaryOf(last, count) });
    this.#dropped.clear();
    // One commit for each organization: a damaged log of one must not lose the outcomes of the others.
    const by_keyring = new Map<OrganizationKeyring, NewAuditEntry[]>();
    for (const { keyring, entry } of outcomes) {
      const entries = by_keyring.get(keyring) ?? [];
      entries.push(entry);
      by_keyring.set(keyring, entries);
    }
    await Promise.all([...by_keyring].map(([keyring, entries]) => this.#append(keyring, entries)));
  }

  async #append(keyring: OrganizationKeyring, entries: NewAuditEntry[]): Promise<void> {
    while (entries.length > 0) {
      const some = entries.splice(0, COMMITS_PER_TRANSACTION_MAX);
      const audit = some.map((entry) => this.#audit_log.append(keyring, entry));
      await this.#store.commit({ writes: [], audit }).catch(() => undefined);
    }
  }
}

/** An entry must not name one credential for outcomes of several. */
function summaryOf(last: NewAuditEntry, count: number): NewAuditEntry {
  const nothing = { credential_id: null, service_id: null, stack_id: null, name: null, use: null };
  return { ...last, ...nothing, count, reason: 'too many outcomes at a time: only their number is logged' };
}
