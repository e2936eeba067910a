/**
 * Connections with a device code (RFC 8628) that wait for a person, as records, so that every node knows their states. One node
 * polls the provider and renews its lease. If it ends, its lease ends, and the next node that gets a request for the state
 * takes over.
 */
import type { Caller } from '../../contract/caller.ts';
import type { DeviceState } from '../../contract/connection.ts';
import { VaultError } from '../../contract/errors.ts';
import { CONNECTION_KEPT_MS, CONNECTIONS_PENDING_PER_USER_MAX } from '../../contract/limits.ts';
import { msUntil, timestampAfter } from '../../contract/timestamp.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';
import { type StartedTarget, tooManyConnections } from './connection_records.ts';

export interface DeviceMeta extends StartedTarget {
  readonly device_id: string;
  /** The user who started it. */
  readonly user: string;
  /** Of the caller that started it; the only one that may see the state. */
  readonly api_key_id: string | null;
  readonly scopes: readonly string[];
  /** `null` after the end. */
  readonly device_code: string | null;
  readonly state: DeviceState;
  /** When the code expires. */
  readonly expires_at: string;
  /** The lease of the node that polls. */
  readonly polled_until: string;
}
export type FoundDevice = Versioned<DeviceMeta>;

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'now'>;

const DEVICE_ID = /^[0-9a-f-]{36}$/;
/** After the next poll. Longer than an outage of the database during a failover. */
const LEASE_MS = 60_000;
/** Of a lease that is renewed. */
const LEASE_LEFT_MS = 15_000;
const DELETED_AT_ONCE_MAX = 500;

export class DeviceRecords {
  readonly #parts: Parts;
  readonly #records: EntityRepository<DeviceMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'device');
  }

  /** Throws RATE_LIMITED if too many of the user wait. */
  async assertBelowLimit(keyring: OrganizationKeyring, user: string): Promise<void> {
    const scope = this.#records.scope(keyring, []);
    const isWaiting = (found: FoundDevice) =>
      found.meta.user === user && this.stateOf(found).state === 'pending';
    const waiting = await this.#records.list(keyring, scope, CONNECTIONS_PENDING_PER_USER_MAX, isWaiting);
    if (waiting.length >= CONNECTIONS_PENDING_PER_USER_MAX) throw tooManyConnections();
  }

  /** Stores it, with the lease of this node. `pause_ms`: until the first poll. */
  async create(
    keyring: OrganizationKeyring,
    started: Omit<DeviceMeta, 'polled_until'>,
    pause_ms: number,
  ): Promise<FoundDevice> {
    this.#sweep.run(keyring, () => this.#deleteEnded(keyring));
    const meta = { ...started, polled_until: this.#leaseEnd(pause_ms) };
    return this.#write(keyring, { id: this.#parts.records.newRandomId(), revision: 0, meta }, meta);
  }

  /** `undefined` for an unknown one, and one that another user or API key has started. */
  async find(
    keyring: OrganizationKeyring,
    { user, api_key_id }: Caller,
    device_id: string,
  ): Promise<FoundDevice | undefined> {
    if (!DEVICE_ID.test(device_id)) return undefined;
    const found = await this.#records.find(keyring, [device_id]);
    const is_own = found?.meta.user === user && found.meta.api_key_id === (api_key_id ?? null);
    return is_own ? found : undefined;
  }

  stateOf({ meta }: FoundDevice): DeviceState {
    const is_over = msUntil(meta.expires_at, this.#parts.now()) <= 0;
    return meta.state.state === 'pending' && is_over ? { state: 'expired' } : meta.state;
  }

  /** Takes the lease if the node that had it has ended. `undefined` if it has not, or another node was faster. */
  async takeOver(keyring: OrganizationKeyring, found: FoundDevice): Promise<FoundDevice | undefined> {
    const is_polled = msUntil(found.meta.polled_until, this.#parts.now()) > 0;
    return is_polled || this.stateOf(found).state !== 'pending'
      ? undefined
      : this.#takeLease(keyring, found, 0);
  }

  /**
   * Renews the lease if little of it is left. `pause_ms`: until the next poll. `undefined` if another node has taken it. If the
   * store is not available, the lease is unchanged.
   */
  async renew(
    keyring: OrganizationKeyring,
    found: FoundDevice,
    pause_ms: number,
  ): Promise<FoundDevice | undefined> {
    const left_ms = msUntil(found.meta.polled_until, this.#parts.now());
    return left_ms > pause_ms + LEASE_LEFT_MS ? found : this.#takeLease(keyring, found, pause_ms);
  }

  /** Ends it with this state, unless another node has taken the lease. */
  async end(keyring: OrganizationKeyring, found: FoundDevice, state: DeviceState): Promise<void> {
    await this.#write(keyring, found, { ...found.meta, state, device_code: null });
  }

  async #takeLease(
    keyring: OrganizationKeyring,
    found: FoundDevice,
    pause_ms: number,
  ): Promise<FoundDevice | undefined> {
    try {
      return await this.#write(keyring, found, { ...found.meta, polled_until: this.#leaseEnd(pause_ms) });
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return error.code === 'CONFLICT' ? undefined : found;
    }
  }

  /** Rejects with CONFLICT if the record has changed since it was read. */
  async #write(keyring: OrganizationKeyring, found: FoundDevice, meta: DeviceMeta): Promise<FoundDevice> {
    const written = { id: found.id, revision: found.revision + 1, meta };
    const ref = { key: [meta.device_id], scope: this.#records.scope(keyring, []) };
    const write = this.#records.put(keyring, ref, written.id, written.revision, meta);
    await this.#parts.store.commit({ writes: [write], audit: [] });
    return written;
  }

  async #deleteEnded(keyring: OrganizationKeyring): Promise<void> {
    const at = this.#parts.now();
    const isEnded = ({ meta }: FoundDevice) => msUntil(meta.expires_at, at) <= -CONNECTION_KEPT_MS;
    const scope = this.#records.scope(keyring, []);
    const ended = await this.#records.list(keyring, scope, DELETED_AT_ONCE_MAX, isEnded);
    if (ended.length > 0) await this.#parts.store.commit({ writes: ended.map(removal), audit: [] });
  }

  #leaseEnd(pause_ms: number): string {
    return timestampAfter(this.#parts.now(), pause_ms + LEASE_MS) ?? '';
  }
}
