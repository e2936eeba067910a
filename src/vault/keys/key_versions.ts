/** All versions of the data key of one organization, so that records and audit entries are opened with the version that sealed them. */
import { deriveOrganizationKeys, type OrganizationKeys } from '../../crypto/key_hierarchy.ts';

/** An `OrganizationKeyring` that gets later versions. */
export class KeyVersions {
  readonly id: Buffer;
  readonly #first: OrganizationKeys;
  readonly #keys = new Map<number, OrganizationKeys>();
  key_version: number;
  keys: OrganizationKeys;

  /** `version` and `data_key`: the first one. */
  constructor(id: Buffer, version: number, data_key: Buffer) {
    this.id = id;
    this.#first = deriveOrganizationKeys(data_key);
    this.#keys.set(version, this.#first);
    this.key_version = version;
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
    const { id, keysOf } = this;
    const keys = this.#derive(data_key);
    return {
      id,
      key_version,
      keys,
      keysOf: (version: number) => (version === key_version ? keys : keysOf(version)),
    };
  }

  #derive(data_key: Buffer): OrganizationKeys {
    const { meta, values, audit, audit_link } = deriveOrganizationKeys(data_key);
    return { ...this.#first, meta, values, audit, audit_link };
  }

  readonly keysOf = (version: number): OrganizationKeys => {
    if (version === this.key_version) return this.keys;
    return this.#keys.get(version) ?? this.keys;
  };
}
