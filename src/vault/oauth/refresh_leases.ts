/**
 * The leases of credentials whose access token is refreshed, each in a record of its own: which process sends the request, or
 * when the next one may be sent after a failure. Decides and seals; `CredentialTokens` commits.
 */
import { TOKEN_LEASE_MS, TOKEN_RETRY_MAX_MS, TOKEN_RETRY_MIN_MS } from '../../contract/limits.ts';
import { formatTimestamp, msUntil, timestampAfter } from '../../contract/timestamp.ts';
import type { LoadedRow, RecordWrite } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { RelatedWrites } from '../protection/pending_values.ts';
import { EntityRepository, removal } from '../records/entity_repository.ts';

/** The process that refreshes a credential, or the pause after a failure. */
interface LeaseMeta {
  /** A random id of the attempt; `null`: none runs. */
  readonly owner: string | null;
  readonly until: string;
  readonly failures: number;
  /** Of the credential that the request failed with: other values end the pause. */
  readonly credential_revision?: number | undefined;
}

/** Another process sends the request, or failed to a short time ago. */
export interface RefreshWait {
  readonly state: 'waiting';
  readonly for: 'refresh' | 'retry';
  readonly remaining_ms: number;
}

export interface TakenLease {
  readonly owner: string;
  /** The process that sent the last request ended before it stored the response. */
  readonly follows_interrupted: boolean;
  readonly write: RecordWrite;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'now'>;

export class RefreshLeases {
  readonly #parts: Parts;
  readonly #records: EntityRepository<LeaseMeta>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'token_refresh');
  }

  read(keyring: OrganizationKeyring, credential_id: string): { readonly index: Buffer } {
    return { index: this.#records.indexOf(keyring, [credential_id]) };
  }

  /** `undefined`: the lease can be taken. */
  waitOf(
    keyring: OrganizationKeyring,
    row: LoadedRow | undefined,
    credential_revision: number,
  ): RefreshWait | undefined {
    const lease = this.#open(keyring, row);
    if (lease === undefined) return undefined;
    const remaining_ms = msUntil(lease.until, this.#parts.now());
    // A time far ahead was written before the clock was set back.
    if (remaining_ms <= 0 || remaining_ms > TOKEN_RETRY_MAX_MS) return undefined;
    if (lease.owner !== null) return { state: 'waiting', for: 'refresh', remaining_ms };
    return lease.credential_revision === credential_revision
      ? { state: 'waiting', for: 'retry', remaining_ms }
      : undefined;
  }

  take(keyring: OrganizationKeyring, credential_id: string, row: LoadedRow | undefined): TakenLease {
    const lease = this.#open(keyring, row);
    const owner = this.#parts.records.newId();
    const taken = { owner, until: this.#after(TOKEN_LEASE_MS), failures: lease?.failures ?? 0 };
    const write = this.#put(keyring, credential_id, row, taken);
    return { owner, follows_interrupted: (lease?.owner ?? null) !== null, write };
  }

  /** The pause after a failure of its owner. No write if another process has taken the lease over. */
  pause(
    keyring: OrganizationKeyring,
    credential: { readonly credential_id: string; readonly revision: number },
    owner: string,
    row: LoadedRow | undefined,
    retry_after_ms: number,
  ): { readonly pause_ms: number; readonly writes: readonly RecordWrite[] } {
    const lease = this.#open(keyring, row);
    const failures = (lease?.failures ?? 0) + 1;
    const growing_ms = TOKEN_RETRY_MIN_MS * 2 ** Math.min(failures - 1, 20);
    const pause_ms = Math.min(TOKEN_RETRY_MAX_MS, Math.max(growing_ms, retry_after_ms));
    if (lease?.owner !== owner) return { pause_ms, writes: [] };
    const until = this.#after(pause_ms);
    const { credential_id, revision: credential_revision } = credential;
    const meta = { owner: null, until, failures, credential_revision };
    return { pause_ms, writes: [this.#put(keyring, credential_id, row, meta)] };
  }

  /** The deletion of the lease, unless another process has taken it over. */
  end(keyring: OrganizationKeyring, credential_id: string, owner: string): RelatedWrites {
    return {
      reads: [this.read(keyring, credential_id)],
      writes: ([row]) => {
        const lease = this.#records.openOwn(keyring, row?.row);
        return lease?.meta.owner === owner ? [removal(lease)] : [];
      },
    };
  }

  #open(keyring: OrganizationKeyring, row: LoadedRow | undefined): LeaseMeta | undefined {
    return this.#records.openOwn(keyring, row?.row)?.meta;
  }

  #after(ms: number): string {
    const now = this.#parts.now();
    return timestampAfter(now, ms) ?? formatTimestamp(now);
  }

  #put(
    keyring: OrganizationKeyring,
    credential_id: string,
    present: LoadedRow | undefined,
    meta: LeaseMeta,
  ): RecordWrite {
    const id = this.#records.openOwn(keyring, present?.row)?.id ?? this.#parts.records.newId();
    const ref = { key: [credential_id], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, (present?.row.revision ?? 0) + 1, meta);
  }
}
