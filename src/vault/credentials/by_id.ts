/**
 * Operations on credentials by id: create, get, list, replace, change, delete, reveal. An id that is unknown, of another
 * organization or of another user whose stack is not shared, or outside the restrictions of the API key is NOT_FOUND.
 */
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, DEFAULT_STACK, type Scope } from '../../contract/caller.ts';
import { ChangeInput, CreateInput, type CredentialInfo, ReplaceInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { CREDENTIALS_READ_MAX, LIST_PAGE_MAX, USERS_LISTED_MAX } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import { ORGANIZATION_OWNER } from '../../contract/stack.ts';
import { parseInput } from '../../contract/validation.ts';
import { KeyedMutex } from '../../io/keyed_mutex.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, mayActFor, NO_SINGLE_STACK } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { CredentialOwners } from '../organizations/owners.ts';
import type { KnownUser, OrganizationRegistry } from '../organizations/registry.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import { uuidBytes } from '../records/record_codec.ts';
import { SealedValueReader } from '../sealed_values/reader.ts';
import type { StackRecords } from '../stacks/repository.ts';
import type { Mutation } from './changes.ts';
import { CREDENTIAL_KIND, type CredentialMeta, refOf } from './codec.ts';
import {
  type CredentialFilter,
  type CredentialPage,
  isCoveredByKey,
  isIdOfService,
  isListed,
} from './filter.ts';
import { newestOf, stacksOf } from './listing.ts';
import { nameAfterChange, nameTaken, storedName } from './name.ts';
import { credentialInfo } from './status.ts';
import { checkValues, customFieldValues } from './value_validation.ts';
import {
  CredentialMovedError,
  type CredentialWriter,
  noSuchCredential,
  type WriteRequest,
} from './writer.ts';

const MOVES_FOLLOWED_MAX = 100;

type PlannedWrite<Owner> = Pick<WriteRequest, 'fields' | 'nonces' | 'needs_values' | 'change' | 'target'> & {
  readonly owner: Owner;
};

interface Written<Owner> {
  readonly keyring: OrganizationKeyring;
  readonly meta: CredentialMeta;
  readonly owner: Owner;
}

export class CredentialsById {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;
  readonly #stacks: StackRecords;
  readonly #directory: OrganizationRegistry;
  readonly #activity: CredentialActivity;
  readonly #owners: CredentialOwners;
  readonly #one_at_a_time = new KeyedMutex();

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    writer: CredentialWriter,
    stacks: StackRecords,
    directory: OrganizationRegistry,
    activity: CredentialActivity,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#writer = writer;
    this.#stacks = stacks;
    this.#directory = directory;
    this.#activity = activity;
    this.#owners = new CredentialOwners(guard, directory);
  }

  /** Creates a credential. CONFLICT, reason `credential_exists`, if the service has one of that name. */
  async create(caller: Caller, raw: CreateInput): Promise<CredentialInfo> {
    const input = parseInput(CreateInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const base = {
      ...(await this.#guard.requestedStack(caller, input.stack_id)),
      service: service.slug,
    };
    const name = storedName(service, input.name);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', { ...base, name }, 'store');
    const other =
      input.user_id === undefined ? undefined : await this.#owners.owner(caller, keyring, input.user_id);
    const ref = { ...base, user: other?.name ?? base.user, name };
    const texts = customFieldValues(input.credentials);
    const of = { ...ref, user: other?.name ?? caller.user };
    const sealed = await sealedValues(this.#parts, caller, keyring, of, texts);
    const values = checkValues(service, texts, sealed.open, 'keep', this.#parts.references);
    await this.#owners.unit(keyring, input.unit_id);
    // After the checks of the input: the caller may be a user without a record, which this creates.
    const user = other ?? (await this.#directory.user(caller, keyring, ref.user));
    const unit = await this.#owners.unitFor(caller, keyring, input.unit_id, user.unit_id, 'store');
    const change: Mutation = (current) => {
      if (current !== undefined) throw nameTaken();
      return { type: input.credential_type, values, unit: unit ?? user.unit_id, inactive: input.inactive };
    };
    const fields = [...values.keys()];
    const meta = await this.#writer.write({
      caller,
      keyring,
      action: 'store',
      ref,
      fields,
      nonces: sealed.nonces,
      change,
    });
    return credentialInfo(keyring, meta, user);
  }

  async get(caller: Caller, id: string): Promise<CredentialInfo> {
    const { keyring, meta } = await this.#find(caller, id, 'credentials:read');
    return this.#info(caller, keyring, meta);
  }

  /**
   * The caller's credentials and those in stacks that are shared with it, newest first, 100 at most. With a unit, those of
   * all users that the caller may see.
   */
  async list(caller: Caller, filter: CredentialFilter = {}): Promise<readonly CredentialInfo[]> {
    return (await this.page(caller, filter, LIST_PAGE_MAX)).credentials;
  }

  /** As `list`, with `limit`, and whether there are more. */
  async page(caller: Caller, filter: CredentialFilter, limit: number): Promise<CredentialPage> {
    const keyring = await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    const { services } = this.#parts;
    const slug = filter.service_id === undefined ? undefined : services.get(filter.service_id).slug;
    const unit = await this.#owners.unit(keyring, filter.unit_id);
    const owners = await this.#owners.list(caller, keyring, unit);
    const unit_of = new Map(owners.slice(0, USERS_LISTED_MAX));
    const stack_budget = { remaining: CREDENTIALS_READ_MAX };
    const own = await stacksOf(this.#stacks, keyring, unit_of.keys(), stack_budget);
    const shared = (await this.#guard.access.sharedWith(keyring, caller)).filter(
      ({ user }) => !unit_of.has(user),
    );
    const stacks = [...own, ...shared.map(({ user, stack_id: stack }) => ({ user, stack }))];
    const budget = { remaining: CREDENTIALS_READ_MAX };
    const units =
      unit === undefined ? unit_of : await this.#owners.withUnits(caller, keyring, unit_of, shared);
    const resolved = { slug, includesService: filter.includesService, unit, unit_of: units };
    const matches = (meta: CredentialMeta) => isListed(caller, meta, resolved);
    const found = await newestOf(this.#parts, keyring, stacks, matches, limit + 1, budget);
    const shown = found.slice(0, limit).map((meta) => this.#info(caller, keyring, meta));
    const is_cut = budget.remaining < 0 || stack_budget.remaining < 0 || owners.length > unit_of.size;
    const more = found.length > limit || is_cut;
    return { credentials: await Promise.all(shown), more };
  }

  /** Replaces all values. Keeps the id. */
  async replace(caller: Caller, id: string, raw: ReplaceInput): Promise<CredentialInfo> {
    const input = parseInput(ReplaceInput, raw);
    const { keyring, meta, owner } = await this.#write(caller, id, async (keyring, before) => {
      const service = this.#parts.services.get(before.service);
      const texts = customFieldValues(input.credentials);
      const sealed = await sealedValues(this.#parts, caller, keyring, before, texts);
      const values = checkValues(service, texts, sealed.open, 'keep', this.#parts.references);
      const name = nameAfterChange(before, service, input.name);
      const target = name === before.name ? {} : { target: { ...refOf(before), name } };
      const change: Mutation = () => ({ type: input.credential_type, values });
      const owner = await this.#directory.user(caller, keyring, before.user);
      const fields = [...values.keys()];
      return { owner, fields, nonces: sealed.nonces, needs_values: true, change, ...target };
    });
    return credentialInfo(keyring, meta, owner);
  }

  /** Renames, moves, deactivates or activates. Keeps the values. */
  async change(caller: Caller, id: string, raw: ChangeInput): Promise<CredentialInfo> {
    const input = parseInput(ChangeInput, raw);
    const { keyring, meta, owner } = await this.#write(caller, id, async (keyring, before) => {
      if (input.service_id !== undefined && !isIdOfService(this.#parts.services, before, input.service_id)) {
        const message = 'A credential stays with its service. Make a new one for another service.';
        throw new VaultError('INVALID_INPUT', message);
      }
      const present = await this.#directory.user(caller, keyring, before.user);
      // The present owner may be another user, who shares the stack.
      const stays = input.user_id === undefined || input.user_id === present.id;
      const owner = stays ? present : await this.#owners.owner(caller, keyring, input.user_id);
      if (owner.name !== before.user) await this.#owners.assertMayMove(caller, keyring, before);
      const user = owner.name;
      // A credential whose service is no longer defined can still be deactivated.
      const service = this.#parts.services.find(before.service);
      const name = nameAfterChange(before, service, input.name);
      const own_unit = before.unit ?? present.unit_id;
      const unit = await this.#owners.unitFor(caller, keyring, input.unit_id, own_unit, 'update');
      // The other user has other stacks, but every user has the default one.
      const stack = user === before.user ? before.stack : DEFAULT_STACK;
      const moved_to = { user, stack, service: before.service, name };
      await this.#guard.authorize(caller, 'credentials:write', moved_to, 'update');
      const moves = user !== before.user || name !== before.name;
      const target = moves ? { target: moved_to } : {};
      const change: Mutation = (current) => ({
        type: current?.meta.type ?? before.type,
        values: current?.values() ?? new Map(),
        unit,
        inactive: input.inactive,
      });
      return { owner, fields: [], needs_values: true, change, ...target };
    });
    return credentialInfo(keyring, meta, owner);
  }

  /** Deletes the credential and destroys its values. */
  async delete(caller: Caller, id: string): Promise<void> {
    const { change, revoke } = this.#parts.revocations.deletion(caller);
    const plan = async () => ({ owner: undefined, fields: [], needs_values: true, change });
    const { keyring, meta } = await this.#write(caller, id, plan, 'delete');
    revoke(keyring);
    await this.#activity.forget(keyring, meta.id);
  }

  /** Returns the values to a caller with the scope `values:reveal`. The audit entry is written first. */
  async reveal(caller: Caller, id: string): Promise<ReadonlyMap<string, Secret>> {
    const { keyring, meta, row } = await this.#find(caller, id, 'values:reveal', 'reveal');
    await this.#guard.authorize(caller, 'values:reveal', meta, 'reveal');
    const { store, codec, audit_log, now } = this.#parts;
    const facts = { ref: meta, credential_id: meta.id, fields: meta.fields, revision: meta.revision };
    const entry = newEntry(caller, 'reveal', now(), facts);
    await store.commit({ writes: [], audit: [audit_log.append(keyring, entry)] });
    return codec.openValues(keyring, row);
  }

  /**
   * Writes to a credential by id, one write at a time. Plans again if another process has moved it meanwhile. The plan
   * reads all that the response needs: after the commit nothing may fail.
   */
  #write<Owner extends KnownUser | undefined>(
    caller: Caller,
    id: string,
    plan: (keyring: OrganizationKeyring, before: CredentialMeta) => Promise<PlannedWrite<Owner>>,
    action: 'update' | 'delete' = 'update',
  ): Promise<Written<Owner>> {
    return this.#one_at_a_time.run(`${caller.organization}\0${id.toLowerCase()}`, async () => {
      for (let attempt = 1; attempt <= MOVES_FOLLOWED_MAX; attempt++) {
        const { keyring, meta: before } = await this.#find(caller, id, 'credentials:write', action);
        const { owner, ...planned } = await plan(keyring, before);
        const request = { caller, keyring, action, ref: refOf(before), id: before.id, ...planned };
        try {
          return { keyring, meta: await this.#writer.write(request), owner };
        } catch (error) {
          if (!(error instanceof CredentialMovedError)) throw error;
        }
      }
      throw new VaultError('CONFLICT', 'The credential is being moved again and again. Try again later.');
    });
  }

  async #find(caller: Caller, id: string, scope: Scope, action?: AuditAction) {
    // Which stack and service it is in shows only when it is read: isCoveredByKey applies the restrictions then.
    const keyring = await this.#guard.authorize(caller, scope, NO_SINGLE_STACK, action);
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    const credential = row?.kind === CREDENTIAL_KIND ? row : undefined;
    // A row of another organization does not decrypt with these keys. A missing row costs the same (anti-enumeration).
    const meta = this.#parts.codec.tryOpenMeta(keyring, credential);
    const is_own = meta !== undefined && mayActFor(caller, meta.user);
    const shared = is_own ? undefined : await this.#guard.access.roleOf(keyring, caller, whereIs(meta));
    if (credential && meta && (is_own || shared !== undefined) && isCoveredByKey(caller, meta)) {
      // Rejects if the role is not enough: the caller sees that the credential exists.
      if (!is_own) await this.#guard.authorize(caller, scope, meta, action);
      return { keyring, meta, row: credential };
    }
    if (action !== undefined)
      await this.#guard.recordDenial(caller, keyring, action, NO_SINGLE_STACK, 'not found');
    throw noSuchCredential();
  }

  async #info(caller: Caller, keyring: OrganizationKeyring, meta: CredentialMeta): Promise<CredentialInfo> {
    return credentialInfo(keyring, meta, await this.#directory.user(caller, keyring, meta.user));
  }
}

/** Where to look for a share; the same rows are read for an id that is unknown (anti-enumeration). */
function whereIs(meta: CredentialMeta | undefined) {
  return { owner: meta?.user ?? '', stack_id: meta?.stack ?? '' };
}

/** Values are sealed for the user who gives them; an administrator may give those of the credential's own user. */
function sealedValues(
  parts: VaultDependencies,
  caller: Caller,
  keyring: OrganizationKeyring,
  { user, service }: Pick<CredentialMeta, 'user' | 'service'>,
  texts: ReadonlyMap<string, string>,
): Promise<SealedValueReader> {
  const is_shared = !mayActFor(caller, user) || user === ORGANIZATION_OWNER;
  return SealedValueReader.create(parts, caller, keyring, { service }, texts, is_shared ? caller.user : user);
}
