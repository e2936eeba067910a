/**
 * The set of valid API keys: one record per organization with the id, revision and user of each key, written in the same
 * transaction as every change of a key. A replayed row of a revoked key, or of a rotated one with its old secret, is not
 * in it. Without the set, no key is accepted. A set that was rolled back is older than the one that this process saw, or
 * than the revision in the newest audit entry of a key.
 *
 * Not protected: the rows of a key and of the set, both rolled back while no process has the vault open, when
 * AUDIT_ENTRIES_READ_MAX entries follow the change, or its entry is damaged too. `audit verify` finds both.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { AUDIT_ENTRIES_READ_MAX } from '../../contract/limits.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import {
  type Batch,
  isSameRow,
  type LoadedRow,
  type RecordPut,
  type RowRead,
  type StoredEntry,
  type StoredMeta,
} from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { indexOf } from '../records/blind_indexes.ts';
import { EntityRepository, type Versioned } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import { type KeyMeta, unauthenticatedError } from './policy.ts';

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
 * Changes the set, and returns the writes of the keys. Gets the new revision of the set, and the rows of the reads. Called inside the transaction, perhaps
 * more than once; an exception undoes the write.
 */
export type SetPlan = (
  keys: Map<string, ValidKey>,
  set_revision: number,
  rows: readonly (LoadedRow | undefined)[],
) => Batch;

const SET_KIND = 'api_key_set';
const SET_KEY = ['all'];
const ORGANIZATIONS_REMEMBERED_MAX = 10_000;
const ENTRIES_READ_AT_ONCE = 500;

/** The blind index of the set. */
export function keySetIndex(keyring: OrganizationKeyring): Buffer {
  return indexOf(keyring, SET_KIND, SET_KEY);
}

export class ApiKeySet {
  readonly #parts: VaultDependencies;
  readonly #records: EntityRepository<SetMeta>;
  readonly #keys: EntityRepository<KeyMeta>;
  /** The newest set of each organization that this process has seen: an older one was rolled back. */
  readonly #newest = new BoundedMap<string, KnownSet>(ORGANIZATIONS_REMEMBERED_MAX);
  readonly #logged = new BoundedMap<string, Promise<number>>(ORGANIZATIONS_REMEMBERED_MAX);

  constructor(parts: VaultDependencies) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, SET_KIND);
    this.#keys = new EntityRepository(parts, 'api_key');
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
    const index = keySetIndex(keyring);
    const logged = await this.#leastRevision(keyring);
    const written = await this.#parts.store.change([{ index }, ...reads], ([loaded, ...rows]) => {
      const before = this.#presentKeys(caller, keyring, loaded, logged);
      const keys = new Map(Object.entries(before?.keys ?? {}));
      const batch = plan(keys, (loaded?.row.revision ?? 0) + 1, rows);
      // An organization without keys has no set.
      if (loaded === undefined && keys.size === 0) return { batch, result: undefined };
      const put = this.#put(keyring, loaded, keys);
      const { row } = put;
      const result = { row, meta: { keys: Object.fromEntries(keys) }, is_new: before === undefined };
      return { batch: { ...batch, writes: [...batch.writes, put] }, result };
    });
    if (written?.is_new) this.#newest.set(organizationKey(keyring), written);
    else if (written !== undefined) this.#remember(keyring, written);
  }

  /** The read that `assertNotRevoked` needs. None for a caller without an API key. */
  reads({ api_key_id }: Caller, keyring: OrganizationKeyring): readonly RowRead[] {
    return api_key_id === undefined ? [] : [{ index: keySetIndex(keyring) }];
  }

  /**
   * Throws UNAUTHENTICATED if the caller's key was revoked after it was authenticated. Call inside the transaction: a
   * request in flight writes nothing once its user is removed.
   */
  assertNotRevoked(caller: Caller, keyring: OrganizationKeyring, loaded: LoadedRow | undefined): void {
    if (caller.api_key_id === undefined) return;
    // The authentication has compared the set with the audit log.
    const set = this.#presentKeys(caller, keyring, loaded, 0);
    if (set === undefined) throw setUnusable();
    if (set.keys[caller.api_key_id] === undefined) throw unauthenticatedError();
  }

  /** The set in the transaction; `undefined` for a new one. `least_revision`: an older set was rolled back. */
  #presentKeys(
    caller: Caller,
    keyring: OrganizationKeyring,
    loaded: LoadedRow | undefined,
    least_revision: number,
  ): SetMeta | undefined {
    if (loaded === undefined) return undefined;
    const meta = this.#openGenuine(
      keyring,
      loaded.row,
      this.#newest.get(organizationKey(keyring)),
      least_revision,
    );
    if (meta === undefined && !isLocalCommandLine(caller)) throw setUnusable();
    return meta;
  }

  #put(
    keyring: OrganizationKeyring,
    loaded: LoadedRow | undefined,
    keys: ReadonlyMap<string, ValidKey>,
  ): RecordPut {
    const id = loaded === undefined ? this.#parts.records.newId() : idText(loaded.row.id);
    const ref = { key: SET_KEY, scope: this.#records.scope(keyring, []) };
    const revision = (loaded?.row.revision ?? 0) + 1;
    return this.#records.put(keyring, ref, id, revision, { keys: Object.fromEntries(keys) });
  }

  /** Decrypts the set once per change. Returns the same object while the row is unchanged. */
  async #find(keyring: OrganizationKeyring): Promise<SetMeta | undefined> {
    const newest = this.#newest.get(organizationKey(keyring));
    const least_revision = await this.#leastRevision(keyring);
    // Read after both, so that the row is not older than they are unless it was rolled back.
    const row = await this.#records.rowAt(keyring, SET_KEY);
    if (row === undefined) return undefined;
    const meta = this.#openGenuine(keyring, row, newest, least_revision);
    if (meta === undefined) throw setUnusable();
    return meta === newest?.meta ? meta : this.#remember(keyring, { row, meta });
  }

  /** `undefined` for a damaged set and for an older one than the newest known. */
  #openGenuine(
    keyring: OrganizationKeyring,
    row: StoredMeta,
    newest: KnownSet | undefined,
    least_revision: number,
  ): SetMeta | undefined {
    if (newest !== undefined && isSameRow(newest.row, row)) return newest.meta;
    if (row.revision < least_revision || row.revision <= (newest?.row.revision ?? 0)) return undefined;
    return this.#records.openOwn(keyring, row)?.meta;
  }

  #remember(keyring: OrganizationKeyring, set: KnownSet): SetMeta {
    const organization = organizationKey(keyring);
    const known = this.#newest.get(organization);
    if (known !== undefined && isSameRow(known.row, set.row)) return known.meta;
    if (known === undefined || known.row.revision < set.row.revision) this.#newest.set(organization, set);
    return set.meta;
  }

  /** The revision of the set by the audit log, read once: later sets are compared with the newest known one. */
  async #leastRevision(keyring: OrganizationKeyring): Promise<number> {
    const organization = organizationKey(keyring);
    if (this.#newest.get(organization) !== undefined) return 0;
    const known = this.#logged.get(organization);
    if (known !== undefined) return known;
    const reading = this.#loggedRevision(keyring);
    this.#logged.set(organization, reading);
    reading.catch(() => this.#logged.delete(organization));
    return reading;
  }

  async #loggedRevision(keyring: OrganizationKeyring): Promise<number> {
    const { store } = this.#parts;
    const end = (await store.auditHead(keyring.id))?.position ?? 0;
    const first = Math.max(1, end - AUDIT_ENTRIES_READ_MAX + 1);
    for (let upto = end; upto >= first; upto -= ENTRIES_READ_AT_ONCE) {
      const from = Math.max(first, upto - ENTRIES_READ_AT_ONCE + 1);
      const rows = await store.auditEntries(keyring.id, from, upto - from + 1);
      for (const row of rows.toReversed()) {
        const revision = this.#setRevisionIn(keyring, row);
        if (revision !== null) return revision;
      }
      await yieldToEventLoop();
    }
    return 0;
  }

  /** One damaged entry must not keep every user out: the audit verification reports it. */
  #setRevisionIn(keyring: OrganizationKeyring, row: StoredEntry): number | null {
    try {
      return this.#parts.audit_log.open(keyring, row).key_set_revision;
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return null;
      throw error;
    }
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
      // Another process can have made the first key since the row was read.
      const exists = (await this.#records.rowAt(keyring, SET_KEY)) !== undefined;
      if (exists || isLocalCommandLine(caller)) return;
      throw setUnusable();
    }
    const keys = new Map<string, ValidKey>();
    for await (const row of scanRows(store, keyring.id)) {
      const key = row.kind === 'api_key' ? this.#keys.openOwn(keyring, row) : undefined;
      if (key !== undefined) keys.set(key.id, { revision: key.revision, user: key.meta.user });
    }
    // The first key of an organization creates the set.
    if (keys.size === 0) return;
    const index = keySetIndex(keyring);
    await store.change([{ index }], ([loaded]) => {
      if (loaded !== undefined) return { batch: { writes: [], audit: [] }, result: undefined };
      const entry = newEntry(caller, 'create_key_set', now(), { key_set_revision: 1 });
      const audit = [audit_log.append(keyring, entry)];
      return { batch: { writes: [this.#put(keyring, loaded, keys)], audit }, result: undefined };
    });
  }
}

function organizationKey({ id }: OrganizationKeyring): string {
  return id.toString('latin1');
}

function setUnusable(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The list of valid API keys is missing, damaged or rolled back, so no API key is accepted. Run `keyhold audit verify` to see which records were changed, then restore a backup. Or, on the command line at the machine of the vault, rotate each key with `keyhold keys rotate ID`, then restart the server.',
    { reason: 'record_damaged' },
  );
}
