/**
 * The keys of an open vault, unwrapped when first needed: the vault's own, and each organization's. Key bytes never
 * leave this folder.
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

/** The owner under which the vault key itself is kept. */
const VAULT_OWNER: Buffer = Buffer.alloc(16);
const FIRST_VERSION = 1;
const RINGS_REMEMBERED_MAX = 10_000;

/** An organization, as far as sealing and opening its records goes. */
export interface OrganizationKeyring {
  /** Its blind index. */
  readonly id: Buffer;
  readonly key_version: number;
  readonly keys: OrganizationKeys;
  /** What values are sealed to: each organization's own, so that nobody can have another's values opened. */
  box(): BoxKeyPair;
}

export class Keyring {
  readonly #store: Store;
  readonly #sodium: LoadedSodium;
  readonly #root_key: Buffer;
  readonly #vault: VaultKeys;
  readonly #by_name = new BoundedMap<string, OrganizationKeyring>(RINGS_REMEMBERED_MAX);
  readonly #by_id = new BoundedMap<string, OrganizationKeyring>(RINGS_REMEMBERED_MAX);

  private constructor(store: Store, sodium: LoadedSodium, root_key: Buffer, vault: VaultKeys) {
    this.#store = store;
    this.#sodium = sodium;
    this.#root_key = root_key;
    this.#vault = vault;
  }

  /** The keys of a new vault with its first organization, for the store to begin with. */
  static begin(
    sodium: LoadedSodium,
    random: RandomBytes,
    root_key: Buffer,
    store: Store,
    organization: string,
  ) {
    const vault = newWrappedKey(sodium, random, root_key, VAULT_OWNER);
    const vault_key = unwrapKey(sodium, root_key, label(vault), vault.wrapped);
    const keys = new Keyring(store, sodium, root_key, deriveVaultKeys(vault_key));
    const first = newWrappedKey(sodium, random, root_key, keys.#blind(organization));
    return { wrapped: [vault, first], keyring: keys.#unwrap(first) };
  }

  /** Throws CORRUPT when the vault key is missing or damaged. */
  static async open(store: Store, sodium: LoadedSodium, root_key: Buffer): Promise<Keyring> {
    const wrapped = await store.wrappedKey(VAULT_OWNER);
    if (wrapped === undefined) throw keyMissing();
    const vault_key = unwrapKey(sodium, root_key, label(wrapped), wrapped.wrapped);
    return new Keyring(store, sodium, root_key, deriveVaultKeys(vault_key));
  }

  /** The keys of an organization, or `undefined` when there is no such organization. */
  async organization(name: string): Promise<OrganizationKeyring | undefined> {
    const known = this.#by_name.get(name);
    if (known !== undefined) return known;
    const keyring = await this.organizationOf(this.#blind(name));
    if (keyring !== undefined) this.#by_name.set(name, keyring);
    return keyring;
  }

  /** The organization with this blind index, as records carry it; `undefined` when there is none. */
  async organizationOf(id: Buffer): Promise<OrganizationKeyring | undefined> {
    const key = id.toString('latin1');
    const known = this.#by_id.get(key);
    if (known !== undefined) return known;
    const wrapped = id.equals(VAULT_OWNER) ? undefined : await this.#store.wrappedKey(id);
    if (wrapped === undefined) return undefined;
    const keyring = this.#unwrap(wrapped);
    this.#by_id.set(key, keyring);
    return keyring;
  }

  /** A data key for an organization that is new, to be committed, and the keyring that it will have. */
  found(
    name: string,
    random: RandomBytes,
  ): { readonly wrapped: WrappedKey; readonly keyring: OrganizationKeyring } {
    const wrapped = newWrappedKey(this.#sodium, random, this.#root_key, this.#blind(name));
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

  #blind(name: string): Buffer {
    return blindIndex(this.#vault.index, 'organization', [name]);
  }
}

function newWrappedKey(
  sodium: LoadedSodium,
  random: RandomBytes,
  root_key: Buffer,
  owner: Buffer,
): WrappedKey {
  const fresh = { owner, version: FIRST_VERSION };
  return { ...fresh, wrapped: wrapKey(sodium, random, root_key, label(fresh), random(KEY_BYTES)) };
}

/** Bound into the wrapping: a wrapped key that is moved to another owner or version does not open. */
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
