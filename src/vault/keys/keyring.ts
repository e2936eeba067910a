/**
 * The keys of an open vault, unwrapped on first use: the vault's own and each organization's. Only blind indexes,
 * ciphers and sealed boxes get key bytes. Other processes may rotate keys at any time: see docs/keys.md.
 */
import { VaultError } from '../../contract/errors.ts';
import { blindIndex } from '../../crypto/blind_index.ts';
import {
  deriveSigningKeys,
  deriveVaultKeys,
  KEY_BYTES,
  type OrganizationKeys,
  type SigningKeys,
  type VaultKeys,
} from '../../crypto/key_hierarchy.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { type BoxKeyPair, boxKeyPair } from '../../crypto/sealed_box.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { Store, StoredMeta, WrappedKey } from '../../store/store.ts';
import { KeyVersions } from './key_versions.ts';
import type { RootKeyLease } from './root_key_lease.ts';
import { keyMissing, type NewKeys, type RootKeyReader, WrappedKeys } from './wrapped_keys.ts';

/** The owner of the vault key in the table of wrapped keys. */
const VAULT_OWNER: Buffer = Buffer.alloc(16);
/** The owner of the signing keys that replace those of the vault key. */
const SIGNING_OWNER: Buffer = Buffer.from('00000000000000000000000000000001', 'hex');
const FIRST_VERSION = 1;
const VERSION_BYTES = 4;
const KEYRINGS_CACHED_MAX = 10_000;

/** The keys that encrypt and decrypt the records of one organization. */
export interface OrganizationKeyring {
  /** The blind index of the organization. */
  readonly id: Buffer;
  /** The newest version of the data key that this process knows. New writes use it. */
  readonly key_version: number;
  /** Of that version. The keys for blind indexes and virtual keys are always those of the first version. */
  readonly keys: OrganizationKeys;
  /** The keys of a version; of the newest for an unknown one, which then decrypt nothing. */
  readonly keysOf: (version: number) => OrganizationKeys;
  /** As `keysOf`, for a record: after a rotation, earlier versions decrypt no record that permits something. */
  readonly keysOfRecord: (row: Pick<StoredMeta, 'kind' | 'key_version'>) => OrganizationKeys;
}

/** The oldest version that records of an organization may have. */
type FindOldest = (keyring: KeyVersions) => Promise<number>;

/** A data key for a new organization, and its keyring. */
interface NewOrganizationKey {
  readonly wrapped: WrappedKey;
  readonly root_key_id: Buffer;
  readonly keyring: OrganizationKeyring;
}

export class Keyring {
  readonly #store: Store;
  readonly #sodium: LoadedSodium;
  readonly #vault: VaultKeys;
  readonly #by_name = new BoundedMap<string, KeyVersions>(KEYRINGS_CACHED_MAX);
  readonly #by_id = new BoundedMap<string, KeyVersions>(KEYRINGS_CACHED_MAX);
  #known_version = FIRST_VERSION;
  /** How many loads of newer versions have begun. */
  #refreshes = 0;
  readonly wrapped: WrappedKeys;

  #lease: RootKeyLease | undefined;
  #findOldest: FindOldest | undefined;

  private constructor(store: Store, sodium: LoadedSodium, wrapped: WrappedKeys, vault: VaultKeys) {
    this.#store = store;
    this.#sodium = sodium;
    this.wrapped = wrapped;
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
    const wrapped = new WrappedKeys(store, sodium, { root_key, read: async () => root_key });
    const vault_key = random(KEY_BYTES);
    const vault = wrapped.wrap(random, VAULT_OWNER, FIRST_VERSION, vault_key);
    const keys = new Keyring(store, sodium, wrapped, deriveVaultKeys(vault_key));
    const first = keys.#newOrganizationKey(organization, random);
    return { wrapped: [vault, first.wrapped], keyring: first.keyring };
  }

  /** Throws CORRUPT if the vault key is missing or damaged. */
  static async open(store: Store, sodium: LoadedSodium, root: RootKeyReader): Promise<Keyring> {
    const wrapped = new WrappedKeys(store, sodium, root);
    const [vault] = await wrapped.versionsOf(VAULT_OWNER);
    if (vault === undefined) throw keyMissing();
    return new Keyring(store, sodium, wrapped, deriveVaultKeys(vault.key));
  }

  /** Limits how long the keys are used without the source of the root key. */
  limitBy(lease: RootKeyLease): void {
    this.#lease = lease;
  }

  /** After a rotation of a data key, records of versions before the one that `findOldest` returns do not decrypt. */
  refuseFormerKeys(findOldest: FindOldest): void {
    this.#findOldest = findOldest;
  }

  /** Whether the keys may be used now. Does not wait for the source of the root key. */
  areUsable(): boolean {
    return this.#lease?.isCurrent() ?? true;
  }

  /** Keys of all versions up to this one are known for every cached organization. */
  get known_version(): number {
    return this.#known_version;
  }

  /** Loads the newer versions of the keys in use. */
  async refresh(): Promise<void> {
    const newest = await this.#store.newestKeyVersion();
    if (newest <= this.#known_version) return;
    this.#refreshes++;
    for (const keyring of new Set([...this.#by_id.values(), ...this.#by_name.values()]))
      for (const { version, key } of await this.wrapped.versionsOf(keyring.id)) keyring.add(version, key);
    this.#known_version = Math.max(this.#known_version, newest);
  }

  /** The keys of an organization; `undefined` for an unknown one. */
  async organization(name: string): Promise<KeyVersions | undefined> {
    const known = this.#by_name.get(name);
    if (this.#lease !== undefined) await this.#lease.checkCached();
    if (known !== undefined) return known.is_rotating ? this.#rotated(known) : known;
    const keyring = await this.organizationOf(this.#blindIndex(name));
    if (keyring !== undefined) this.#by_name.set(name, keyring);
    return keyring;
  }

  /** The keys of the organization with this blind index, which is in its records; `undefined` for an unknown one. */
  async organizationOf(id: Buffer): Promise<KeyVersions | undefined> {
    const cache_key = id.toString('latin1');
    const known = this.#by_id.get(cache_key);
    if (this.#lease !== undefined) await this.#lease.checkCached();
    if (known !== undefined) return known.is_rotating ? this.#rotated(known) : known;
    await this.#lease?.checkUncached();
    if (id.equals(VAULT_OWNER) || id.equals(SIGNING_OWNER)) return undefined;
    return this.#load(id, cache_key);
  }

  /** Again if newer versions were loaded meanwhile: `refresh` adds them to the cached keys only. */
  async #load(id: Buffer, cache_key: string): Promise<KeyVersions | undefined> {
    for (;;) {
      const refreshes = this.#refreshes;
      const [first, ...later] = await this.wrapped.versionsOf(id);
      if (first === undefined) return undefined;
      const loaded = new KeyVersions(id, first.version, first.key);
      for (const { version, key } of later) loaded.add(version, key);
      if (loaded.is_rotating) await this.#rotated(loaded);
      if (this.#refreshes !== refreshes) continue;
      // Another caller may have loaded it meanwhile: there is one object, so that all see a rotation.
      const present = this.#by_id.get(cache_key) ?? loaded;
      this.#by_id.set(cache_key, present);
      return present;
    }
  }

  /** The keys of the organization with this blind index if they are cached. */
  loaded(id: Buffer): KeyVersions | undefined {
    return this.#by_id.get(id.toString('latin1'));
  }

  /** Refuses former keys once the rotation is done, which another process may do. */
  async #rotated(keyring: KeyVersions): Promise<KeyVersions> {
    if (this.#findOldest !== undefined && keyring.isCheckDue())
      keyring.oldest_record_version = await this.#findOldest(keyring);
    return keyring;
  }

  /** A data key for a new organization, to be committed by the caller, and its keyring. */
  async createOrganizationKey(name: string, random: RandomBytes): Promise<NewOrganizationKey> {
    await this.wrapped.reloadRootKey();
    return this.#newOrganizationKey(name, random);
  }

  #newOrganizationKey(name: string, random: RandomBytes): NewOrganizationKey {
    const key = random(KEY_BYTES);
    const wrapped = this.wrapped.wrap(random, this.#blindIndex(name), FIRST_VERSION, key);
    const keyring = new KeyVersions(wrapped.owner, FIRST_VERSION, key);
    return { wrapped, root_key_id: this.wrapped.root_key_id, keyring };
  }

  /** A new version of the data key, to be committed by the caller, and the keyring as it is with it. */
  async nextDataKey(
    keyring: KeyVersions,
    random: RandomBytes,
  ): Promise<NewKeys & { readonly next: OrganizationKeyring }> {
    const key = random(KEY_BYTES);
    const made = await this.wrapped.next(keyring.id, random, () => key);
    return { ...made, next: keyring.with(made.keys[0]?.version ?? FIRST_VERSION, key) };
  }

  /**
   * Key pairs of an organization for sealed values, the newest first. Each organization has its own, so it cannot decrypt
   * another one's values. Reads the store: another process may have rotated them.
   */
  async boxes(keyring: OrganizationKeyring): Promise<readonly [BoxKeyPair, ...BoxKeyPair[]]> {
    await this.#lease?.checkCached();
    const first = { version: FIRST_VERSION, seed: keyring.keys.box_seed, oldest: FIRST_VERSION };
    const later = await this.#laterBoxes(keyring);
    const { oldest } = later.at(-1) ?? first;
    const readable = [first, ...later].filter(({ version }) => version >= oldest).toReversed();
    const [newest, ...older] = readable.map(({ seed }) => boxKeyPair(this.#sodium, seed));
    if (newest === undefined) throw keyMissing();
    return [newest, ...older];
  }

  /** The key that new values are sealed to, in base64. */
  async publicKey(keyring: OrganizationKeyring): Promise<string> {
    const [newest] = await this.boxes(keyring);
    return newest.public_key.toString('base64');
  }

  /**
   * A new version of the key pair for sealed values, to be committed by the caller. `retire`: the same pair, after which only it
   * opens values.
   */
  async nextBox(keyring: OrganizationKeyring, random: RandomBytes, retire: boolean): Promise<NewKeys> {
    const newest = (await this.#laterBoxes(keyring)).at(-1);
    return this.wrapped.next(this.#boxOwner(keyring), random, (version) => {
      const seed = retire ? (newest?.seed ?? keyring.keys.box_seed) : random(KEY_BYTES);
      const oldest = Buffer.alloc(VERSION_BYTES);
      oldest.writeUInt32BE(retire ? version : (newest?.oldest ?? FIRST_VERSION));
      return Buffer.concat([seed, oldest]);
    });
  }

  /** The key pairs that replace that of the data key: the seed of each, and the oldest version that may open values. */
  async #laterBoxes(keyring: OrganizationKeyring) {
    const later = await this.wrapped.versionsOf(this.#boxOwner(keyring));
    return later.map(({ version, key }) => ({
      version,
      seed: key.subarray(0, KEY_BYTES),
      oldest: key.readUInt32BE(KEY_BYTES),
    }));
  }

  #boxOwner({ id }: OrganizationKeyring): Buffer {
    return blindIndex(this.#vault.index, 'sealed box', [id.toString('hex')]);
  }

  /** Keys that sign for the vault as a whole, the newest first. Reads the store, as `boxes`. */
  async signingKeys(): Promise<readonly [SigningKeys, ...SigningKeys[]]> {
    await this.#lease?.checkCached();
    const later = await this.wrapped.versionsOf(SIGNING_OWNER);
    const [newest, ...older] = later.toReversed().map(({ key }) => deriveSigningKeys(key));
    return newest === undefined ? [this.#vault] : [newest, ...older, this.#vault];
  }

  /** A new version of the keys that sign, to be committed by the caller. */
  nextSigningKey(random: RandomBytes): Promise<NewKeys> {
    return this.wrapped.next(SIGNING_OWNER, random, () => random(KEY_BYTES));
  }

  /** See `AuditAnchor`. Throws UNAVAILABLE after the limit, at once: the anchor is also written while the vault is closed. */
  readonly anchorKeys = async (): Promise<readonly [Buffer, ...Buffer[]]> => {
    if (!this.areUsable()) throw keysExpired();
    const [newest, ...older] = await this.signingKeys();
    return [newest.anchor, ...older.map(({ anchor }) => anchor)];
  };

  #blindIndex(name: string): Buffer {
    return blindIndex(this.#vault.index, 'organization', [name]);
  }
}

function keysExpired(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The key service has not opened the root key within KEYHOLD_KEY_CACHE_MINUTES. Check it, then try again.',
    { reason: 'kms_unreachable' },
  );
}
