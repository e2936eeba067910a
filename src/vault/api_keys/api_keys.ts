/**
 * API keys: `kh_<id>_<secret>`. The secret is returned once and stored as a hash. The id identifies the key's record and
 * its organization, so the key alone determines the caller of a request.
 */
import { type ApiKeyList, CreateKeyInput, type NewApiKey } from '../../contract/api_key.ts';
import { actAs, type Caller, type Edge, isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import type { Batch } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, mayActFor, NO_SINGLE_STACK } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { noSuchUnit, type OrganizationRegistry } from '../organizations/registry.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { EntityRepository } from '../records/entity_repository.ts';
import { LastUsedTracker } from '../records/last_used.ts';
import { ApiKeyAuthentication } from './authentication.ts';
import { BOOTSTRAP_KEY, bootstrapRecord, hasHadKey } from './bootstrap_key.ts';
import type { ApiKeySet } from './key_set.ts';
import {
  assertMayRevoke,
  assertNoLater,
  infoOf,
  intersectAllowList,
  isExpired,
  isVisibleTo,
  type KeyMeta,
  scopesFor,
  stackFor,
  unauthenticatedError,
  usePolicyFor,
} from './policy.ts';
import { assertUsable } from './usable.ts';
import { ApiKeyWriter, type NewRecord } from './writer.ts';

const KEYS_LISTED_MAX = 1_000;

export class ApiKeys {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #registry: OrganizationRegistry;
  readonly #records: EntityRepository<KeyMeta>;
  readonly #use: LastUsedTracker;
  readonly #authentication: ApiKeyAuthentication;
  readonly #writer: ApiKeyWriter;

  constructor(parts: VaultDependencies, guard: Guard, registry: OrganizationRegistry, valid: ApiKeySet) {
    this.#parts = parts;
    this.#guard = guard;
    this.#registry = registry;
    this.#records = new EntityRepository(parts, 'api_key');
    this.#use = new LastUsedTracker(parts, 'api_key_use');
    this.#authentication = new ApiKeyAuthentication(parts, this.#records, valid, this.#use);
    this.#writer = new ApiKeyWriter(parts, this.#records, valid);
  }

  /** Returns the caller of a key. Throws UNAUTHENTICATED, with the same message for every cause. */
  authenticate(text: string, edge: Edge, request_id: string): Promise<Caller> {
    return this.#authentication.authenticate(text, edge, request_id);
  }

  /** For web sessions, which last as long as their key is unchanged. */
  get authentication(): ApiKeyAuthentication {
    return this.#authentication;
  }

  /** Creates a key, and its organization and user if they are new. */
  async create(caller: Caller, raw: CreateKeyInput): Promise<NewApiKey> {
    const id = this.#parts.records.newRandomId();
    // The user may be removed between the lookup and the write.
    return retryOnConflict(() => this.#create(caller, raw, { id, key: [id], revision: 1 }));
  }

  async #create(caller: Caller, raw: CreateKeyInput, record: NewRecord): Promise<NewApiKey> {
    const input = parseInput(CreateKeyInput, raw);
    const home = await this.#guard.authorize(caller, 'keys:write', NO_SINGLE_STACK, 'create_key');
    const granted = await this.#guard.auditDenials(
      caller,
      home,
      'create_key',
      ['FORBIDDEN'],
      NO_SINGLE_STACK,
      () => this.#granted(caller, home, input),
    );
    const actor = actAs(caller, input.organization);
    const { organization } = actor;
    const there = await this.#parts.keys.organization(organization);
    // Checked before anything is created: a rejected call must change nothing.
    const user_name = input.user ?? caller.user;
    const notice = await assertUsable(this.#parts, granted, there, user_name);
    if (input.unit !== undefined && there === undefined) throw noSuchUnit();
    const unit =
      input.unit === undefined ? undefined : there && (await this.#registry.findUnit(there, input.unit));
    const { keyring, id: organization_id } = await this.#registry.organization(caller, organization);
    const user = await this.#registry.user(actor, keyring, user_name, unit?.id);
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
    const own_key_id = actor === caller ? caller.api_key_id : undefined;
    const made = await this.#writer.write(
      actor,
      keyring,
      { ...record, user, own_key_id },
      meta,
      'create_key',
    );
    return notice === undefined ? made : { ...made, notice };
  }

  /** The permissions of the new key. Throws FORBIDDEN for a permission that its creator may not grant. */
  async #granted(caller: Caller, home: OrganizationKeyring, input: CreateKeyInput) {
    const is_own = actAs(caller, input.organization) === caller;
    if (is_own && !mayActFor(caller, input.user ?? caller.user))
      throw new VaultError('FORBIDDEN', 'Keys for other users need the scope org:admin.', {
        required_scope: 'org:admin',
      });
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
      use_policy: usePolicyFor(caller, input.use_policy),
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
    const { keyring } = await this.#guard.authorizeIn(caller, organization, 'keys:write', 'list_keys');
    // Damaged keys are skipped: they authenticate no caller, and the audit verification reports them.
    const found = await this.#records.list(keyring, keyring.id, KEYS_LISTED_MAX + 1, ({ meta }) =>
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
    const home = await this.#guard.authorize(caller, 'keys:write', NO_SINGLE_STACK, 'rotate_key');
    const refusals = ['NOT_FOUND', 'FORBIDDEN'] as const;
    return retryOnConflict(async () => {
      const { keyring, found } = await this.#guard.auditDenials(
        caller,
        home,
        'rotate_key',
        refusals,
        NO_SINGLE_STACK,
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
      const actor = actAs(caller, meta.organization);
      const made = await this.#writer.write(actor, keyring, record, meta, 'rotate_key');
      return { ...made, last_used_at };
    });
  }

  /** Deletes the key; it stops working at once. */
  async revoke(caller: Caller, id: string): Promise<void> {
    const home = await this.#guard.authorize(caller, 'keys:write', NO_SINGLE_STACK, 'revoke_key');
    await retryOnConflict(async () => {
      const { keyring, found } = await this.#guard.auditDenials(
        caller,
        home,
        'revoke_key',
        ['NOT_FOUND', 'FORBIDDEN'],
        NO_SINGLE_STACK,
        async () => {
          const one = await this.#find(caller, home, id);
          assertMayRevoke(caller, one.found);
          return one;
        },
      );
      await this.#writer.delete(actAs(caller, found.meta.organization), keyring, found);
      await this.#use.forget(keyring, found.id);
    });
  }

  /**
   * Deletes all keys of a user who is being removed, in one transaction with `related`. The caller was authorized. Throws
   * CONFLICT, as `Store.commit`.
   */
  async revokeAllOf(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    related: Batch = { writes: [], audit: [] },
  ): Promise<void> {
    const ids = await this.#writer.deleteAllOf(caller, keyring, user, related);
    for (const id of ids) await this.#use.forget(keyring, id);
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
    const keyring = await this.#guard.authorize(caller, 'keys:write', NO_SINGLE_STACK, 'create_key');
    if (await hasHadKey(this.#parts, keyring)) return undefined;
    const record = bootstrapRecord(keyring, (id) => save(this.#writer.newText(id)));
    return retryOnConflict(async () => {
      if (await hasHadKey(this.#parts, keyring)) return undefined;
      // It is for the operator, a person, who alone may read its file.
      return this.#create({ ...caller, is_person: true }, BOOTSTRAP_KEY, record);
    });
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
}
