/**
 * Wraps and unwraps the keys in the store with the root key. Reads the root key again from its source once another process has
 * rotated it.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { rootKeyId, unwrapKey, wrapKey } from '../../crypto/key_hierarchy.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { Store, WrappedKey } from '../../store/store.ts';

const REWRAP_AT_ONCE = 500;

/** The root key of an open vault, and how to read it again once another process has rotated it. */
export interface RootKeyReader {
  readonly root_key: Buffer;
  /** Rejects with VaultError if this process cannot read the new key. */
  read(): Promise<Buffer>;
}

/** A key that was unwrapped. */
export interface UnwrappedKey {
  readonly version: number;
  readonly key: Buffer;
}

/** Keys for a batch, and the root key that wrapped them. */
export interface NewKeys {
  readonly keys: readonly WrappedKey[];
  readonly root_key_id: Buffer;
}

export class WrappedKeys {
  readonly #store: Store;
  readonly #sodium: LoadedSodium;
  readonly #readRootKey: RootKeyReader['read'];
  #root_key: Buffer;

  constructor(store: Store, sodium: LoadedSodium, { root_key, read }: RootKeyReader) {
    this.#store = store;
    this.#sodium = sodium;
    this.#root_key = root_key;
    this.#readRootKey = read;
  }

  /** For a backup, which wraps it with a passphrase, or its key with one that is derived from it. */
  get root_key(): Buffer {
    return this.#root_key;
  }

  /** Of the root key that this process has. */
  get root_key_id(): Buffer {
    return rootKeyId(this.#root_key);
  }

  wrap(random: RandomBytes, owner: Buffer, version: number, key: Buffer): WrappedKey {
    const named = { owner, version };
    return { ...named, wrapped: wrapKey(this.#sodium, random, this.#root_key, label(named), key) };
  }

  /** Throws CORRUPT if the key was changed, moved, or wrapped by another root key. */
  unwrap(key: WrappedKey): UnwrappedKey {
    return {
      version: key.version,
      key: unwrapKey(this.#sodium, this.#root_key, label(key), key.wrapped),
    };
  }

  /** All versions of a key, the newest last. Throws CORRUPT for a damaged one. */
  async versionsOf(owner: Buffer): Promise<readonly UnwrappedKey[]> {
    const wrapped = await this.#store.keyVersions(owner);
    try {
      return wrapped.map((key) => this.unwrap(key));
    } catch (error) {
      if (!(await this.reloadRootKey())) throw error;
      return (await this.#store.keyVersions(owner)).map((key) => this.unwrap(key));
    }
  }

  /** The next version of a key, which the caller commits. */
  async next(owner: Buffer, random: RandomBytes, keyOf: (version: number) => Buffer): Promise<NewKeys> {
    await this.reloadRootKey();
    const version = (await this.#store.newestKeyVersion()) + 1;
    return { keys: [this.wrap(random, owner, version, keyOf(version))], root_key_id: this.root_key_id };
  }

  /** All keys of the vault, wrapped by a new root key. Reads them in pages. Throws CORRUPT for a damaged key. */
  async rewrap(
    new_root_key: Buffer,
    random: RandomBytes,
    progress: (done: number) => void,
  ): Promise<readonly WrappedKey[]> {
    const rewrapped: WrappedKey[] = [];
    for (;;) {
      const page = await this.#store.wrappedKeys(REWRAP_AT_ONCE, rewrapped.at(-1));
      if (page.length === 0) return rewrapped;
      for (const key of page) {
        const { key: plain } = this.unwrap(key);
        rewrapped.push({ ...key, wrapped: wrapKey(this.#sodium, random, new_root_key, label(key), plain) });
        plain.fill(0);
      }
      progress(rewrapped.length);
      await yieldToEventLoop();
    }
  }

  /** Call once the vault has this root key. */
  useRootKey(root_key: Buffer): void {
    this.#root_key = root_key;
  }

  /** Reads the root key again if the vault has another one than this process. Returns whether it has. */
  async reloadRootKey(): Promise<boolean> {
    const header = await this.#store.header();
    if (header === undefined || header.root_key_id.equals(this.root_key_id)) return false;
    this.#root_key = await this.#readRootKey();
    return true;
  }
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
