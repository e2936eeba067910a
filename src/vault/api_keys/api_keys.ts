/**
 * API keys: `kh_<id>_<secret>`. The secret is returned once and stored as a hash. The id identifies the key's record and
 * its organization, so the key alone determines the caller of a request.
 */
import { type ApiKeyList, CreateKeyInput, type NewApiKey } from '../../contract/api_key.ts';
import { actingIn, type Caller, type Edge, isOperator, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import { constantTimeEqual } from '../../crypto/audit_chain.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import { isSameRow, type StoredMeta } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, mayActFor } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Organizations } from '../organizations/organizations.ts';
import { noSuchUnit, type OrganizationRegistry } from '../organizations/registry.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { BOOTSTRAP_KEY, bootstrapRecord, hasHadKey } from './bootstrap_key.ts';
import { LastUsedTracker } from './last_used.ts';
import {
  assertNoLater,
  callerOf,
  hashOf,
  holderOf,
  infoOf,
  intersectAllowList,
  isExpired,
  isVisibleTo,
  type KeyHolder,
  type KeyMeta,
  parseKey,
  scopesFor,
  stackFor,
  unauthenticatedError,
} from './policy.ts';

/** A key whose secret was verified. Valid while its row is unchanged. */
interface KnownKey {
  readonly row: StoredMeta;
  readonly keyring: OrganizationKeyring;
  readonly found: Versioned<KeyMeta>;
  readonly holder: KeyHolder;
}

/** A key record to write. A missing text means a new secret. */
type NewRecord = { id: string; key: readonly string[]; revision: number; text?: string };

const SECRET_BYTES = 32;
const KEYS_LISTED_MAX = 1_000;
const KEYS_CACHED_MAX = 10_000;

export class ApiKeys {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #registry: OrganizationRegistry;
  readonly #organizations: Organizations;
  readonly #records: EntityRepository<KeyMeta>;
  readonly #use: LastUsedTracker;
  /** Keyed by the hash of the secret, so that a valid id with a wrong secret never matches. */
  readonly #known = new BoundedMap<string, KnownKey>(KEYS_CACHED_MAX);

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    registry: OrganizationRegistry,
    organizations: Organizations,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#registry = registry;
    this.#organizations = organizations;
    this.#records = new EntityRepository(parts, 'api_key');
    this.#use = new LastUsedTracker(parts);
  }

  /** Returns the caller of a key. Throws UNAUTHENTICATED, with the same message for every cause. */
  async authenticate(text: string, edge: Edge, request_id: string): Promise<Caller> {
    const { id, secret_hash } = parseKey(text);
    const verified = this.#known.get(secret_hash);
    const known = verified?.found.id === id ? verified : undefined;
    const row = known && (await this.#parts.store.findById(known.row.id));
    const key = known && row && isSameRow(known.row, row) ? known : await this.#verify(id, secret_hash);
    if (key === undefined || isExpired(key.found.meta, this.#parts.now())) throw unauthenticatedError();
    this.#use.record(key.keyring, key.found);
    return callerOf(key.holder, edge, request_id);
  }

  /** Returns the key with this id if the hash of its secret matches. */
  async #verify(id: string | undefined, secret_hash: string): Promise<KnownKey | undefined> {
    const { keys } = this.#parts;
    const row = id === undefined ? undefined : await this.#records.rowOf(id);
    const keyring =
      (row && (await keys.organizationOf(row.scope))) ?? (await keys.organization(LOCAL_ORGANIZATION));
    // Decrypts and compares also for an unknown key, so that the time reveals nothing.
    const found = keyring && this.#records.openOwn(keyring, row);
    const expected = Buffer.from(found?.meta.secret_hash ?? hashOf(''), 'hex');
    const genuine = constantTimeEqual(Buffer.from(secret_hash, 'hex'), expected);
    if (!genuine || row === undefined || keyring === undefined || found === undefined) return undefined;
    const key = { row, keyring, found, holder: holderOf(found) };
    this.#known.set(secret_hash, key);
    return key;
  }

  /** Creates a key, and its organization and user if they are new. */
  async create(caller: Caller, raw: CreateKeyInput): Promise<NewApiKey> {
    const id = this.#parts.records.newRandomId();
    return this.#create(caller, raw, { id, key: [id], revision: 1 });
  }

  async #create(caller: Caller, raw: CreateKeyInput, record: NewRecord): Promise<NewApiKey> {
    const input = parseInput(CreateKeyInput, raw);
    const home = await this.#guard.authorize(caller, 'keys:write', 'create_key');
    const granted = await this.#guard.auditDenials(caller, home, 'create_key', ['FORBIDDEN'], () =>
      this.#granted(caller, home, input),
    );
    const actor = actingIn(caller, input.organization);
    const { organization } = actor;
    const there = await this.#parts.keys.organization(organization);
    // Checked before anything is created: a rejected call must change nothing.
    if (input.unit !== undefined && there === undefined) throw noSuchUnit();
    const unit =
      input.unit === undefined ? undefined : there && (await this.#registry.findUnit(there, input.unit));
    const { keyring, id: organization_id } = await this.#registry.organization(caller, organization);
    const user = await this.#registry.user(actor, keyring, input.user ?? caller.user, unit?.id);
    if (unit !== undefined && user.unit_id !== unit.id)
      throw new VaultError('INVALID_INPUT', 'The user is in another unit already. Leave the unit out.');
    const meta = {
      name: input.name ?? null,
      organization,
      organization_id,
      user: user.name,
      user_id: user.id,
      unit_id: user.unit_id,
      created_at: this.#parts.now().toISOString(),
      ...granted,
    };
    return this.#write(actor, keyring, record, meta, 'create_key');
  }

  /** The permissions of the new key. Throws FORBIDDEN for a permission that its creator may not grant. */
  async #granted(caller: Caller, home: OrganizationKeyring, input: CreateKeyInput) {
    const is_own = actingIn(caller, input.organization) === caller;
    if (is_own && !mayActFor(caller, input.user ?? caller.user))
      throw new VaultError('FORBIDDEN', 'Keys for other users need the scope org:admin.');
    if (!is_own && input.user === undefined)
      throw new VaultError('INVALID_INPUT', 'Name the user of that organization.');
    if (input.expires_at !== undefined && Date.parse(input.expires_at) <= this.#parts.now().getTime())
      throw new VaultError('INVALID_INPUT', 'expires_at must be in the future.');
    const end = await this.#expiryOf(caller, home);
    const expires_at = input.expires_at === undefined ? end : new Date(input.expires_at).toISOString();
    assertNoLater(end, expires_at);
    return {
      scopes: scopesFor(caller, input.scopes),
      stack_id: stackFor(caller, input.stack_id),
      allowed_services: this.#services(caller, input.allowed_services),
      allowed_tools: intersectAllowList(caller.tools, input.allowed_tools),
      expires_at,
    };
  }

  /** When the caller's own key expires; `null` if never, or if it needs no key. */
  async #expiryOf(caller: Caller, home: OrganizationKeyring): Promise<string | null> {
    if (caller.api_key_id === undefined) return null;
    const own = await this.#records.get(home, caller.api_key_id);
    // Revoked since authentication: the limit for the new key's expiry is unknown.
    if (own === undefined || isExpired(own.meta, this.#parts.now())) throw unauthenticatedError();
    return own.meta.expires_at;
  }

  /** The caller's keys, newest first; for an administrator, all keys of the organization. */
  async list(caller: Caller, organization?: string): Promise<ApiKeyList> {
    await this.#guard.authorize(caller, 'keys:write');
    const keyring = await this.#organizations.keyringFor(caller, organization);
    // Damaged keys are skipped: they authenticate no caller, and the audit verification reports them.
    const found = await this.#records.listIntact(keyring, keyring.id, KEYS_LISTED_MAX + 1, ({ meta }) =>
      isVisibleTo(caller, meta),
    );
    const seen = found.slice(0, KEYS_LISTED_MAX);
    const keys = await Promise.all(
      seen.map(async (one) => infoOf(one, await this.#use.lastUsed(keyring, one.id))),
    );
    return { keys, more: found.length > KEYS_LISTED_MAX };
  }

  /**
   * Creates a new secret for the same id; the old one stops working at once. Throws FORBIDDEN for a key that the caller
   * could not create: its secret would grant more than the caller has.
   */
  async rotate(caller: Caller, id: string): Promise<NewApiKey> {
    const home = await this.#guard.authorize(caller, 'keys:write', 'rotate_key');
    const refusals = ['NOT_FOUND', 'FORBIDDEN'] as const;
    return retryOnConflict(async () => {
      const { keyring, found } = await this.#guard.auditDenials(
        caller,
        home,
        'rotate_key',
        refusals,
        async () => {
          const one = await this.#find(caller, home, id);
          if (one.found.id !== caller.api_key_id) {
            scopesFor(caller, one.found.meta.scopes);
            assertNoLater(await this.#expiryOf(caller, home), one.found.meta.expires_at);
          }
          return one;
        },
      );
      const { secret_hash: _, ...meta } = found.meta;
      if (isExpired(found.meta, this.#parts.now()))
        throw new VaultError('EXPIRED', 'This API key has expired. Create a new one.');
      const record = { id: found.id, key: [found.id], revision: found.revision + 1 };
      // Read before the write: after it, no failure may withhold the new secret from the caller.
      const last_used_at = await this.#use.lastUsed(keyring, found.id);
      const actor = actingIn(caller, meta.organization);
      const made = await this.#write(actor, keyring, record, meta, 'rotate_key');
      return { ...made, last_used_at };
    });
  }

  /** Deletes the key; it stops working at once. */
  async revoke(caller: Caller, id: string): Promise<void> {
    const home = await this.#guard.authorize(caller, 'keys:write', 'revoke_key');
    await retryOnConflict(async () => {
      const { keyring, found } = await this.#guard.auditDenials(
        caller,
        home,
        'revoke_key',
        ['NOT_FOUND'],
        () => this.#find(caller, home, id),
      );
      const { audit_log, store, now } = this.#parts;
      const facts = { record_id: found.id, revision: found.revision, owner: found.meta.user };
      const entry = newEntry(actingIn(caller, found.meta.organization), 'revoke_key', now(), facts);
      await store.commit({ writes: [removal(found)], audit: [audit_log.append(keyring, entry)] });
      await this.#use.forget(keyring, found.id);
    });
  }

  /**
   * Creates the first API key of a vault that never had one, with every scope but `values:reveal`. Returns undefined if
   * there is or was a key; of concurrent calls, in any process, one creates it. `save` gets a new key before the commit
   * and returns the key to commit, which may be an older one that it has kept; if it throws, no key is created.
   */
  async createBootstrapKey(
    caller: Caller,
    save: (new_key: string) => string = (new_key) => new_key,
  ): Promise<NewApiKey | undefined> {
    const keyring = await this.#guard.authorize(caller, 'keys:write', 'create_key');
    if (await hasHadKey(this.#parts, keyring)) return undefined;
    const record = bootstrapRecord(keyring, (id) => save(this.#newText(id)));
    return retryOnConflict(async () => {
      if (await hasHadKey(this.#parts, keyring)) return undefined;
      return this.#create(caller, BOOTSTRAP_KEY, record);
    });
  }

  #newText(id: string): string {
    return `kh_${id.replaceAll('-', '')}_${this.#parts.random(SECRET_BYTES).toString('base64url')}`;
  }

  #services(caller: Caller, wanted: readonly string[] | undefined): string[] | null {
    const slugs = wanted?.map((id) => this.#parts.services.get(id).slug);
    return intersectAllowList(caller.services, slugs);
  }

  async #find(caller: Caller, home: OrganizationKeyring, id: string) {
    const row = await this.#records.rowOf(id);
    const other = row && isOperator(caller) ? await this.#parts.keys.organizationOf(row.scope) : undefined;
    const keyring = other ?? home;
    const found = this.#records.openOwn(keyring, row);
    if (found === undefined || !isVisibleTo(caller, found.meta))
      throw new VaultError('NOT_FOUND', 'No such API key.');
    return { keyring, found };
  }

  async #write(
    caller: Caller,
    keyring: OrganizationKeyring,
    { id, key, revision, text = this.#newText(id) }: NewRecord,
    given: Omit<KeyMeta, 'secret_hash'>,
    action: 'create_key' | 'rotate_key',
  ): Promise<NewApiKey> {
    const meta = { ...given, secret_hash: parseKey(text).secret_hash };
    const { audit_log, store, now } = this.#parts;
    const facts = { record_id: id, revision, owner: meta.user, fields: meta.scopes };
    const entry = newEntry(caller, action, now(), facts);
    const write = this.#records.put(keyring, { key, scope: keyring.id }, id, revision, meta);
    await store.commit({ writes: [write], audit: [audit_log.append(keyring, entry)] });
    return { ...infoOf({ id, revision, meta }, null), key: text };
  }
}
