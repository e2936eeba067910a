/**
 * The set of valid API keys: one record per organization with the id, revision and user of each key, written in the same
 * transaction as every change of a key. A row of a revoked key, or of a rotated one with its old secret, that somebody
 * puts back into the file is not in it. Without the set, no key is accepted.
 *
 * Not protected: the rows of a key and of the set, both put back while no process has the vault open. `audit verify`
 * finds the row of the key.
 */
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import {
  type Batch,
  isSameRow,
  type LoadedRow,
  type RecordWrite,
  type RowRead,
  type StoredMeta,
} from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, type Versioned } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import type { KeyMeta } from './policy.ts';

interface ValidKey {
  readonly revision: number;
  readonly user: string;
}

interface SetMeta {
  /** By the ids of the keys. */
  readonly keys: Readonly<Record<string, ValidKey>>;
}

interface KnownSet {
  readonly row: StoredMeta;
  readonly meta: SetMeta;
}

/** The same object for as long as no key of the organization changes. */
export type SetVersion = object;

/**
 * Changes the set, and returns the writes of the keys. Gets the rows of the reads. Called inside the transaction, perhaps
 * more than once; an exception undoes the write.
 */
export type SetPlan = (keys: Map<string, ValidKey>, rows: readonly (LoadedRow | undefined)[]) => Batch;

const SET_KEY = ['all'];
const ORGANIZATIONS_REMEMBERED_MAX = 10_000;

export class ApiKeySet {
  readonly #parts: VaultDependencies;
  readonly #records: EntityRepository<SetMeta>;
  readonly #keys: EntityRepository<KeyMeta>;
  /** The newest set of each organization that this process has seen: an older one was rolled back. */
  readonly #newest = new BoundedMap<string, KnownSet>(ORGANIZATIONS_REMEMBERED_MAX);

  constructor(parts: VaultDependencies, keys: EntityRepository<KeyMeta>) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'api_key_set');
    this.#keys = keys;
  }

  /** The present version of the set, if the key is in it. Creates the set of a vault of an earlier version. */
  async versionWith(
    caller: Caller,
    keyring: OrganizationKeyring,
    { id, revision }: Pick<Versioned<KeyMeta>, 'id' | 'revision'>,
  ): Promise<SetVersion | undefined> {
    await this.#upgrade(caller, keyring);
    const found = await this.#find(keyring);
    return found?.keys[id]?.revision === revision ? found : undefined;
  }

  /** Whether no key of the organization has changed since. */
  async isCurrent(keyring: OrganizationKeyring, version: SetVersion): Promise<boolean> {
    return (await this.#find(keyring)) === version;
  }

  /** The ids of the valid keys of a user, as far as the set is intact: `commit` validates it. */
  async idsOf(keyring: OrganizationKeyring, user: string): Promise<readonly string[]> {
    const set = this.#records.openOwn(keyring, await this.#records.rowAt(keyring, SET_KEY));
    const keys = Object.entries(set?.meta.keys ?? {});
    return keys.filter(([, key]) => key.user === user).map(([id]) => id);
  }

  /** Commits the writes of keys together with the changed set. */
  async commit(
    caller: Caller,
    keyring: OrganizationKeyring,
    plan: SetPlan,
    reads: readonly RowRead[] = [],
  ): Promise<void> {
    await this.#upgrade(caller, keyring);
    const index = this.#records.indexOf(keyring, SET_KEY);
    await this.#parts.store.change([{ index }, ...reads], ([loaded, ...rows]) => {
      const keys = this.#presentKeys(caller, keyring, loaded);
      const batch = plan(keys, rows);
      // An organization without keys has no set.
      if (loaded === undefined && keys.size === 0) return { batch, result: undefined };
      const put = this.#put(keyring, loaded, keys);
      return { batch: { ...batch, writes: [...batch.writes, put] }, result: undefined };
    });
  }

  #presentKeys(
    caller: Caller,
    keyring: OrganizationKeyring,
    loaded: LoadedRow | undefined,
  ): Map<string, ValidKey> {
    if (loaded === undefined) return new Map();
    const meta = this.#records.openOwn(keyring, loaded.row)?.meta;
    if (meta !== undefined) return new Map(Object.entries(meta.keys));
    if (isLocalCommandLine(caller)) return new Map();
    throw setUnusable();
  }

  #put(
    keyring: OrganizationKeyring,
    loaded: LoadedRow | undefined,
    keys: ReadonlyMap<string, ValidKey>,
  ): RecordWrite {
    const id = loaded === undefined ? this.#parts.records.newId() : idText(loaded.row.id);
    const ref = { key: SET_KEY, scope: this.#records.scope(keyring, []) };
    const revision = (loaded?.row.revision ?? 0) + 1;
    return this.#records.put(keyring, ref, id, revision, { keys: Object.fromEntries(keys) });
  }

  /** Decrypts the set once per change. Returns the same object while the row is unchanged. */
  async #find(keyring: OrganizationKeyring): Promise<SetMeta | undefined> {
    const row = await this.#records.rowAt(keyring, SET_KEY);
    if (row === undefined) return undefined;
    const organization = keyring.id.toString('latin1');
    const newest = this.#newest.get(organization);
    if (newest !== undefined && isSameRow(newest.row, row)) return newest.meta;
    const meta = this.#records.openOwn(keyring, row)?.meta;
    if (meta === undefined || row.revision < (newest?.row.revision ?? 0)) throw setUnusable();
    this.#newest.set(organization, { row, meta });
    return meta;
  }

  /**
   * Creates the set of an organization whose keys were all written by an earlier version. Throws CORRUPT if the set was
   * deleted, unless the person at the machine is about to make a key valid again.
   */
  async #upgrade(caller: Caller, keyring: OrganizationKeyring): Promise<void> {
    if ((await this.#records.rowAt(keyring, SET_KEY)) !== undefined) return;
    const { audit_log, store, now } = this.#parts;
    const has_existed = await audit_log.find(
      keyring,
      ({ action, limits }) => action === 'create_key_set' || (action === 'create_key' && limits !== null),
    );
    if (has_existed !== undefined) {
      if (isLocalCommandLine(caller)) return;
      throw setUnusable();
    }
    const keys = new Map<string, ValidKey>();
    for await (const row of scanRows(store, keyring.id)) {
      const key = row.kind === 'api_key' ? this.#keys.openOwn(keyring, row) : undefined;
      if (key !== undefined) keys.set(key.id, { revision: key.revision, user: key.meta.user });
    }
    // The first key of an organization creates the set.
    if (keys.size === 0) return;
    const index = this.#records.indexOf(keyring, SET_KEY);
    await store.change([{ index }], ([loaded]) => {
      if (loaded !== undefined) return { batch: { writes: [], audit: [] }, result: undefined };
      const entry = newEntry(caller, 'create_key_set', now(), {});
      const audit = [audit_log.append(keyring, entry)];
      return { batch: { writes: [this.#put(keyring, loaded, keys)], audit }, result: undefined };
    });
  }
}

function setUnusable(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The list of valid API keys is missing, damaged or rolled back, so no API key is accepted. Restore a backup. Or, on the command line at the machine of the vault, rotate each key with `keyhold keys rotate ID`, then restart the server.',
    { reason: 'record_damaged' },
  );
}
