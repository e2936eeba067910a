/**
 * The keys of an open vault, unwrapped on first use: the vault's own and each organization's. Only blind indexes,
 * ciphers and sealed boxes get key bytes.
 */
import { VaultError } from '../../contract/errors.ts';
import { blindIndex } from '../../crypto/blind_index.ts';
import {
  deriveOrganizationKeys,
  deriveVaultKeys,
  KEY_BYTES,
  type OrganizationKeys,
  unwrapKey,
  type VaultKeys,
  wrapKey,
} from '../../crypto/key_hierarchy.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { type BoxKeyPair, boxKeyPair } from '../../crypto/sealed_box.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { Store, WrappedKey } from '../../store/store.ts';
import type { RootKeyLease } from './root_key_lease.ts';

/** The owner of the vault key in the table of wrapped keys. */
const VAULT_OWNER: Buffer = Buffer.alloc(16);
const FIRST_VERSION = 1;
const KEYRINGS_CACHED_MAX = 10_000;

/** The keys that encrypt and decrypt the records of one organization. */
export interface OrganizationKeyring {
  /** The blind index of the organization. */
  readonly id: Buffer;
  readonly key_version: number;
  readonly keys: OrganizationKeys;
  /** The key pair for sealed values. Each organization has its own, so it cannot decrypt another one's values. */
  box(): BoxKeyPair;
}

export class Keyring {
  readonly #store: Store;
  readonly #sodium: LoadedSodium;
  readonly #root_key: Buffer;
  readonly #vault: VaultKeys;
  readonly #by_name = new BoundedMap<string, OrganizationKeyring>(KEYRINGS_CACHED_MAX);
  readonly #by_id = new BoundedMap<string, OrganizationKeyring>(KEYRINGS_CACHED_MAX);

  #lease: RootKeyLease | undefined;

  private constructor(store: Store, sodium: LoadedSodium, root_key: Buffer, vault: VaultKeys) {
    this.#store = store;
    this.#sodium = sodium;
    this.#root_key = root_key;
    this.#vault = vault;
  }

  /** The wrapped keys of a new vault and of its first organization. */
  static createVaultKeys(
    sodium: LoadedSodium,
    random: RandomBytes,
    root_key: Buffer,
    store: Store,
    organization: string,
  ) {
    const vault = createWrappedKey(sodium, random, root_key, VAULT_OWNER);
    const vault_key = unwrapKey(sodium, root_key, label(vault), vault.wrapped);
    const keys = new Keyring(store, sodium, root_key, deriveVaultKeys(vault_key));
    const first = createWrappedKey(sodium, random, root_key, keys.#blindIndex(organization));
    return { wrapped: [vault, first], keyring: keys.#unwrap(first) };
  }

  /** Throws CORRUPT if the vault key is missing or damaged. */
  static async open(store: Store, sodium: LoadedSodium, root_key: Buffer): Promise<Keyring> {
    const wrapped = await store.wrappedKey(VAULT_OWNER);
    if (wrapped === undefined) throw keyMissing();
    const vault_key = unwrapKey(sodium, root_key, label(wrapped), wrapped.wrapped);
    return new Keyring(store, sodium, root_key, deriveVaultKeys(vault_key));
  }

  /** Limits how long the keys are used without the source of the root key. */
  limitBy(lease: RootKeyLease): void {
    this.#lease = lease;
  }

  get anchor_key(): Buffer {
    return this.#vault.anchor;
  }

  get sign_in_key(): Buffer {
    return this.#vault.sign_in;
  }

  /** The keys of an organization; `undefined` for an unknown one. */
  async organization(name: string): Promise<OrganizationKeyring | undefined> {
    const known = this.#by_name.get(name);
    if (this.#lease !== undefined) await this.#lease.checkCached();
    if (known !== undefined) return known;
    const keyring = await this.organizationOf(this.#blindIndex(name));
    if (keyring !== undefined) this.#by_name.set(name, keyring);
    return keyring;
  }

  /** The keys of the organization with this blind index, which is in its records; `undefined` for an unknown one. */
  async organizationOf(id: Buffer): Promise<OrganizationKeyring | undefined> {
    const key = id.toString('latin1');
    const known = this.#by_id.get(key);
    if (this.#lease !== undefined) await this.#lease.checkCached();
    if (known !== undefined) return known;
    await this.#lease?.checkUncached();
    const wrapped = id.equals(VAULT_OWNER) ? undefined : await this.#store.wrappedKey(id);
    if (wrapped === undefined) return undefined;
    const keyring = this.#unwrap(wrapped);
    this.#by_id.set(key, keyring);
    return keyring;
  }

  /** A data key for a new organization, to be committed by the caller, and its keyring. */
  createOrganizationKey(
    name: string,
    random: RandomBytes,
  ): { readonly wrapped: WrappedKey; readonly keyring: OrganizationKeyring } {
    const wrapped = createWrappedKey(this.#sodium, random, this.#root_key, this.#blindIndex(name));
    return { wrapped, keyring: this.#unwrap(wrapped) };
  }

  #unwrap(wrapped: WrappedKey): OrganizationKeyring {
    const data_key = unwrapKey(this.#sodium, this.#root_key, label(wrapped), wrapped.wrapped);
    const keys = deriveOrganizationKeys(data_key);
    let box: BoxKeyPair | undefined;
    return {
      id: wrapped.owner,
      key_version: wrapped.version,
      keys,
      box: () => {
        box ??= boxKeyPair(this.#sodium, keys.box_seed);
        return box;
      },
    };
  }

  #blindIndex(name: string): Buffer {
    return blindIndex(this.#vault.index, 'organization', [name]);
  }
}

function createWrappedKey(
  sodium: LoadedSodium,
  random: RandomBytes,
  root_key: Buffer,
  owner: Buffer,
): WrappedKey {
  const fresh = { owner, version: FIRST_VERSION };
  return { ...fresh, wrapped: wrapKey(sodium, random, root_key, label(fresh), random(KEY_BYTES)) };
}

/** Associated data of a wrapped key: moved to another owner or version it does not unwrap. */
function label(key: Pick<WrappedKey, 'owner' | 'version'>): Buffer {
  if (!Number.isInteger(key.version) || key.version < 0 || key.version >= 2 ** 32) throw keyMissing();
  const version = Buffer.alloc(4);
  version.writeUInt32BE(key.version);
  return Buffer.concat([key.owner, version]);
}

export function keyMissing(): VaultError {
  return new VaultError(
    'CORRUPT',
    'A key in the vault file is missing or damaged. Restore the file from a backup.',
    {
      reason: 'record_damaged',
    },
  );
}
