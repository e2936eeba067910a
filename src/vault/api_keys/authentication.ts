/** Authenticates API keys. A verified key is cached, with the rows that prove that it is still valid. */
import { type Caller, type Edge, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { constantTimeEqual } from '../../crypto/audit_chain.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import { isSameRow, type StoredMeta } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { EntityRepository, Versioned } from '../records/entity_repository.ts';
import type { LastUsedTracker } from '../records/last_used.ts';
import type { ApiKeySet, SetVersion } from './key_set.ts';
import {
  callerOf,
  hashOf,
  holderOf,
  isExpired,
  type KeyHolder,
  type KeyMeta,
  parseKey,
  unauthenticatedError,
} from './policy.ts';

/** A key whose secret was verified. Valid while its row and the set of valid keys are unchanged. */
interface KnownKey {
  readonly row: StoredMeta;
  readonly set: SetVersion;
  readonly keyring: OrganizationKeyring;
  readonly found: Versioned<KeyMeta>;
  readonly holder: KeyHolder;
}

const KEYS_CACHED_MAX = 10_000;
/** Not a valid name of a user. */
const UNKNOWN_USER = '-';

export class ApiKeyAuthentication {
  readonly #parts: VaultDependencies;
  readonly #records: EntityRepository<KeyMeta>;
  readonly #valid: ApiKeySet;
  readonly #use: LastUsedTracker;
  /** Keyed by the hash of the secret, so that a valid id with a wrong secret never matches. */
  readonly #known = new BoundedMap<string, KnownKey>(KEYS_CACHED_MAX);

  constructor(
    parts: VaultDependencies,
    records: EntityRepository<KeyMeta>,
    valid: ApiKeySet,
    use: LastUsedTracker,
  ) {
    this.#parts = parts;
    this.#records = records;
    this.#valid = valid;
    this.#use = use;
  }

  /** Returns the caller of a key. Throws UNAUTHENTICATED, with the same message for every cause. */
  async authenticate(text: string, edge: Edge, request_id: string): Promise<Caller> {
    return callerOf((await this.#authenticate(text, edge, request_id)).holder, edge, request_id);
  }

  /** As `authenticate`, with the revision of the key, which `resume` needs. */
  async authenticateWithRevision(
    text: string,
    edge: Edge,
    request_id: string,
  ): Promise<{ readonly caller: Caller; readonly key_revision: number }> {
    const { holder, found } = await this.#authenticate(text, edge, request_id);
    return { caller: callerOf(holder, edge, request_id), key_revision: found.revision };
  }

  /**
   * The caller of a key that was authenticated before, without its text. `undefined` if it was changed, rotated or revoked
   * since, or has expired.
   */
  async resume(
    keyring: OrganizationKeyring,
    { id, revision }: Pick<Versioned<KeyMeta>, 'id' | 'revision'>,
    edge: Edge,
    request_id: string,
  ): Promise<Caller | undefined> {
    const found = await this.#records.get(keyring, id);
    if (found?.revision !== revision || isExpired(found.meta, this.#parts.now())) return undefined;
    const caller = callerOf(holderOf(found), edge, request_id);
    if ((await this.#valid.versionWith(caller, keyring, found)) === undefined) return undefined;
    this.#use.record(keyring, found);
    return caller;
  }

  async #authenticate(text: string, edge: Edge, request_id: string): Promise<KnownKey> {
    const { id, secret_hash } = parseKey(text);
    const known = this.#known.get(secret_hash);
    const is_current = known !== undefined && known.found.id === id && (await this.#isCurrent(known));
    const key = is_current ? known : await this.#verify(id, secret_hash, edge, request_id);
    if (key === undefined || isExpired(key.found.meta, this.#parts.now())) {
      const keyring = key?.keyring ?? (await this.#parts.keys.organization(LOCAL_ORGANIZATION));
      if (keyring !== undefined) this.#recordFailure(keyring, key?.found.id, edge, request_id);
      throw unauthenticatedError();
    }
    this.#use.record(key.keyring, key.found);
    return key;
  }

  /** `api_key_id`: the expired key. Does not wait: a failure to write must not turn the refusal into another error. */
  #recordFailure(
    keyring: OrganizationKeyring,
    api_key_id: string | undefined,
    edge: Edge,
    request_id: string,
  ): void {
    const { audit_log, now } = this.#parts;
    const caller = { user: UNKNOWN_USER, edge, request_id, api_key_id };
    const facts = { outcome: 'denied', reason: 'no valid API key' } as const;
    const entry = newEntry(caller, 'authenticate', now(), facts);
    void audit_log.denials.record(keyring, entry).catch(() => undefined);
  }

  async #isCurrent({ row, set, keyring }: KnownKey): Promise<boolean> {
    const stored = await this.#parts.store.findById(row.id);
    return stored !== undefined && isSameRow(stored, row) && (await this.#valid.isCurrent(keyring, set));
  }

  /** Returns the key with this id if the hash of its secret matches and the key is in the set of valid ones. */
  async #verify(
    id: string | undefined,
    secret_hash: string,
    edge: Edge,
    request_id: string,
  ): Promise<KnownKey | undefined> {
    const { keys } = this.#parts;
    const row = id === undefined ? undefined : await this.#records.rowOf(id);
    const keyring =
      (row && (await keys.organizationOf(row.scope))) ?? (await keys.organization(LOCAL_ORGANIZATION));
    // Decrypts and compares also for an unknown key, so that the time reveals nothing.
    const found = keyring && this.#records.openOwn(keyring, row);
    const expected = Buffer.from(found?.meta.secret_hash ?? hashOf(''), 'hex');
    const genuine = constantTimeEqual(Buffer.from(secret_hash, 'hex'), expected);
    if (!genuine || row === undefined || keyring === undefined || found === undefined) return undefined;
    const holder = holderOf(found);
    const set = await this.#valid.versionWith(callerOf(holder, edge, request_id), keyring, found);
    if (set === undefined) return undefined;
    const key = { row, set, keyring, found, holder };
    this.#known.set(secret_hash, key);
    return key;
  }
}
