/** All versions of the data key of one organization, so that records and audit entries are opened with the version that sealed them. */
import { deriveOrganizationKeys, type OrganizationKeys } from '../../crypto/key_hierarchy.ts';
import type { StoredMeta } from '../../store/store.ts';

/**
 * Records that permit something. Each is written together with an audit entry, or after a read of a record, so that a process
 * knows the newest version by then. Others, such as the time of a last use, may be written once with the version before.
 */
const GUARDED_KINDS: ReadonlySet<string> = new Set([
  'credential',
  'api_key',
  'api_key_set',
  'organization',
  'unit',
  'user',
  'stack',
  'stack_grant',
  'service_definition',
  'handle',
  'connection',
  'device',
  'web_session',
  'sign_in_ticket',
  'use_approval',
  'access_request',
  'pending_values',
  'key_rotation',
]);

const CHECK_EVERY_MS = 5_000;

/** The columns that select the key of a record. */
type Sealed = Pick<StoredMeta, 'kind' | 'key_version'>;

/** An `OrganizationKeyring` that gets later versions. */
export class KeyVersions {
  readonly id: Buffer;
  readonly #first: OrganizationKeys;
  #checked_ms = Number.NEGATIVE_INFINITY;
  readonly #keys = new Map<number, OrganizationKeys>();
  key_version: number;
  keys: OrganizationKeys;
  /** Of records. Audit entries of earlier versions stay. */
  oldest_record_version: number;

  /** `version` and `data_key`: the first one. */
  constructor(id: Buffer, version: number, data_key: Buffer) {
    this.id = id;
    this.#first = deriveOrganizationKeys(data_key);
    this.#keys.set(version, this.#first);
    this.key_version = version;
    this.oldest_record_version = version;
    this.keys = this.#first;
  }

  /** A version that is known already changes nothing. */
  add(version: number, data_key: Buffer): void {
    if (this.#keys.has(version)) return;
    const keys = this.#derive(data_key);
    this.#keys.set(version, keys);
    if (version < this.key_version) return;
    this.key_version = version;
    this.keys = keys;
  }

  /** These keys and a further version, which this object does not get. */
  with(key_version: number, data_key: Buffer) {
    const { id, keysOf, keysOfRecord } = this;
    const keys = this.#derive(data_key);
    return {
      id,
      key_version,
      keys,
      keysOf: (version: number) => (version === key_version ? keys : keysOf(version)),
      keysOfRecord: (row: Sealed) => (row.key_version === key_version ? keys : keysOfRecord(row)),
    };
  }

  /** Whether records of earlier versions are accepted still. */
  get is_rotating(): boolean {
    return this.oldest_record_version < this.key_version;
  }

  /** Whether it is time to find out if the rotation is done: at first, and then every few seconds. */
  isCheckDue(): boolean {
    const now = performance.now();
    if (now - this.#checked_ms < CHECK_EVERY_MS) return false;
    this.#checked_ms = now;
    return true;
  }

  /** The version before this one, or the first. */
  versionBefore(version: number): number {
    return Math.max(...[...this.#keys.keys()].filter((one) => one < version));
  }

  #derive(data_key: Buffer): OrganizationKeys {
    const { meta, values, audit, audit_link } = deriveOrganizationKeys(data_key);
    return { ...this.#first, meta, values, audit, audit_link };
  }

  readonly keysOf = (version: number): OrganizationKeys => {
    if (version === this.key_version) return this.keys;
    return this.#keys.get(version) ?? this.keys;
  };

  readonly keysOfRecord = (row: Sealed): OrganizationKeys => {
    const is_former = row.key_version < this.oldest_record_version && GUARDED_KINDS.has(row.kind);
    return is_former ? this.keys : this.keysOf(row.key_version);
  };
}
