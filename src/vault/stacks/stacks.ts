/**
 * The operations on stacks. `default` always exists; a created stack has a generated id; storing a credential under a new
 * stack name creates that stack. A service is in a stack if it was added to it or has a credential in it. Another user's
 * stack is NOT_FOUND unless it is shared; `shares.ts` shares one.
 */
import { type Caller, canUseService, DEFAULT_STACK } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import type { Service } from '../../contract/service/service.ts';
import {
  EnabledTools,
  ORGANIZATION_OWNER,
  StackChange,
  StackCreate,
  type StackInfo,
  type StackName,
} from '../../contract/stack.ts';
import { parseInput } from '../../contract/validation.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, NO_SINGLE_STACK, noSuchStack, type Touched } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import type { StackMeta } from './access.ts';
import { type Deletions, type RequiredAccess, type StackContents, unnamedRef } from './contents.ts';
import type { DeletableStack, StackRecords } from './repository.ts';
import { infoOf, StackViews } from './views.ts';

/** The services of a shared stack are for those who may store credentials in it. */
const SERVICE_CHANGE: RequiredAccess = { scope: 'stacks:write', right: 'edit', action: 'update_stack' };

const SERVICES_PER_STACK_MAX = 500;
const TRIES_BEFORE_CLOSING = 3;
const NO_DELETIONS: Deletions = { writes: [], audit: [], ids: [], revoke: () => undefined };

export class Stacks {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #records: StackRecords;
  readonly #contents: StackContents;
  readonly #views: StackViews;

  constructor(parts: VaultDependencies, guard: Guard, records: StackRecords, contents: StackContents) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = records;
    this.#views = new StackViews(parts, records, guard.access);
    this.#contents = contents;
  }

  /** The caller's stacks and those that are shared with it, newest first, `default` last. */
  async list(caller: Caller): Promise<readonly StackInfo[]> {
    const keyring = await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    const own = await this.#records.list(keyring, caller.user);
    const shared = await this.#guard.access.sharedWith(keyring, caller);
    return this.#views.list(caller, keyring, [...own, ...shared]);
  }

  /** As `list`, without what is in the stacks: reads no credential. */
  async names(caller: Caller): Promise<readonly StackName[]> {
    const keyring = await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    const own = await this.#records.list(keyring, caller.user);
    const shared = await this.#guard.access.sharedWith(keyring, caller);
    return this.#views.names(caller, [...own, ...shared]);
  }

  async get(caller: Caller, stack_id: string): Promise<StackInfo> {
    const touched = await this.#guard.requestedStack(caller, stack_id);
    const keyring = await this.#guard.authorize(caller, 'credentials:read', touched);
    const found = await this.#records.find(keyring, touched.user, stack_id);
    if (found !== undefined) return this.#views.get(caller, keyring, found.meta);
    if (stack_id === DEFAULT_STACK) return this.#views.implicitDefaultStack(caller, keyring);
    throw noSuchStack();
  }

  async create(caller: Caller, raw: StackCreate): Promise<StackInfo> {
    const { stack_name, analytics_enabled, organization_owned } = parseInput(StackCreate, raw);
    assertNewName('stack', stack_name);
    const keyring = await this.#guard.authorize(caller, 'stacks:write', NO_SINGLE_STACK, 'create_stack');
    if (organization_owned) await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK, 'create_stack');
    const owner = organization_owned ? ORGANIZATION_OWNER : caller.user;
    if (caller.stack !== undefined) {
      await this.#guard.recordDenial(caller, keyring, 'create_stack', NO_SINGLE_STACK, 'another stack');
      throw new VaultError('FORBIDDEN', 'This API key is for one stack only.');
    }
    await this.#records.assertBelowLimit(keyring, owner);
    const meta = this.#records.newMeta(owner, `stack_${this.#parts.records.newId()}`, stack_name);
    const made = { ...meta, analytics_enabled: analytics_enabled ?? false };
    await this.#parts.store.commit(this.#records.creationOf(caller, keyring, made));
    return infoOf(made, 'owner');
  }

  /** Changes the name or the configuration. */
  async update(caller: Caller, stack_id: string, raw: StackChange): Promise<StackInfo> {
    const { stack_name, analytics_enabled } = parseInput(StackChange, raw);
    if (stack_name !== undefined) assertNewName('stack', stack_name);
    const { keyring, meta } = await this.#change(caller, stack_id, (stack) => ({
      stack_name: stack_name ?? stack.stack_name,
      analytics_enabled: analytics_enabled ?? stack.analytics_enabled,
    }));
    return this.#views.get(caller, keyring, meta);
  }

  /**
   * Adds a service to the stack; `enabled_tools` null enables all tools. Throws CONFLICT if it was added before. A service
   * that only has a credential there can be added, since no other operation enables all its tools.
   */
  async addService(
    caller: Caller,
    stack_id: string,
    service_id: string,
    enabled_tools: readonly string[] | null,
  ): Promise<void> {
    const tools = enabled_tools && parseInput(EnabledTools, enabled_tools);
    const add = ({ services }: StackMeta) => {
      const { slug } = this.#parts.services.get(service_id);
      if (services.some((one) => one.service_id === slug)) {
        throw new VaultError('CONFLICT', 'The service is in the stack already.', {
          reason: 'service_in_stack',
        });
      }
      if (services.length >= SERVICES_PER_STACK_MAX)
        throw new VaultError('INVALID_INPUT', `A stack has at most ${SERVICES_PER_STACK_MAX} services.`);
      return { services: [...services, { service_id: slug, enabled_tools: tools }] };
    };
    await this.#change(caller, stack_id, add, { service_id });
  }

  /** Sets the enabled tools of a service. Throws NOT_FOUND if the service is not in the stack. */
  async setTools(
    caller: Caller,
    stack_id: string,
    service_id: string,
    enabled_tools: readonly string[],
  ): Promise<void> {
    const tools = parseInput(EnabledTools, enabled_tools);
    const { slug } = await this.requireService(caller, stack_id, service_id, SERVICE_CHANGE);
    const changed = { service_id: slug, enabled_tools: tools };
    const set = ({ services }: StackMeta) => ({
      services: services.some((one) => one.service_id === slug)
        ? services.map((one) => (one.service_id === slug ? changed : one))
        : [...services, changed],
    });
    await this.#change(caller, stack_id, set, { service_id });
  }

  /** Removes a service from the stack and deletes its credentials there with their values. */
  async removeService(caller: Caller, stack_id: string, service_id: string): Promise<void> {
    const { slug } = await this.requireService(caller, stack_id, service_id, SERVICE_CHANGE);
    const remove = ({ services }: StackMeta) => ({
      services: services.filter((one) => one.service_id !== slug),
    });
    await this.#change(caller, stack_id, remove, { service_id, deleted: { service: slug } });
  }

  /** Deletes a stack with all credentials in it. `default` stays, empty. */
  async delete(caller: Caller, stack_id: string): Promise<void> {
    const stack = await this.#guard.requestedStack(caller, stack_id);
    const touched: Touched = { ...stack, right: 'owner' };
    const keyring = await this.#guard.authorize(caller, 'stacks:write', touched, 'delete_stack');
    let tries = 0;
    await this.#guard.auditDenials(caller, keyring, 'delete_stack', ['NOT_FOUND'], touched, () =>
      retryOnConflict(() => this.#deleteOnce(caller, keyring, stack, ++tries)),
    );
  }

  async #deleteOnce(
    caller: Caller,
    keyring: OrganizationKeyring,
    touched: Pick<Touched, 'user' | 'stack'>,
    tries: number,
  ): Promise<void> {
    const { user, stack } = touched;
    const found = await this.#records.findDeletable(keyring, user, stack);
    // Which services a damaged stack has is unknown.
    if (found !== undefined && found.meta === undefined && caller.services !== undefined)
      await this.#records.find(keyring, user, stack);
    if (found?.meta?.services.some(({ service_id }) => !canUseService(caller, service_id))) {
      await this.#guard.recordDenial(caller, keyring, 'delete_stack', touched, 'service not allowed');
      const message = 'The stack has settings of services that the API key does not allow.';
      throw new VaultError('FORBIDDEN', message);
    }
    if (stack === DEFAULT_STACK) {
      const deletions = await this.#contents.delete(caller, keyring, touched, 'all');
      if (found !== undefined) await this.#appendStackDeletion(caller, keyring, user, found, deletions);
      if (deletions.writes.length > 0) await this.#contents.commit(keyring, deletions);
      return;
    }
    if (found === undefined) throw noSuchStack();
    // If other writers add credentials faster than they are deleted, close the stack first.
    const { meta } = found;
    const closed =
      tries > TRIES_BEFORE_CLOSING && meta !== undefined
        ? { ...found, ...(await this.#records.close(caller, keyring, { ...found, meta })) }
        : found;
    const deletions = await this.#contents.delete(caller, keyring, touched, 'all');
    await this.#appendStackDeletion(caller, keyring, user, closed, deletions);
    // Fails if a credential was stored in between: it would be left without a stack.
    deletions.writes.push({
      do: 'check_none',
      scope: this.#parts.codec.scopeOf(keyring, user, stack),
    });
    await this.#contents.commit(keyring, deletions);
  }

  async #appendStackDeletion(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    stack: DeletableStack,
    { writes, audit }: Deletions,
  ): Promise<void> {
    const deletion = await this.#records.deletionOf(caller, keyring, user, stack);
    writes.push(...deletion.writes);
    audit.push(...deletion.audit);
  }

  /** Returns the service if it is in the stack. Rejects as `StackContents.authorizeService`. */
  async requireService(
    caller: Caller,
    stack_id: string,
    service_id: string,
    access: RequiredAccess = { scope: 'credentials:read' },
  ): Promise<Service> {
    return (await this.#contents.authorizeService(caller, stack_id, service_id, access)).service;
  }

  async #change(
    caller: Caller,
    stack_id: string,
    change: (stack: StackMeta) => Partial<StackMeta>,
    about: {
      readonly service_id?: string;
      /** The service whose credentials are deleted in the same transaction. */
      readonly deleted?: { readonly service: string };
    } = {},
  ): Promise<{ readonly keyring: OrganizationKeyring; readonly meta: StackMeta }> {
    const { service_id } = about;
    const { user, stack } = await this.#guard.requestedStack(caller, stack_id);
    const slug = service_id && (this.#parts.services.find(service_id)?.slug ?? service_id);
    const touched: Touched =
      slug === undefined ? { user, stack } : { ...unnamedRef(user, stack, slug), right: 'edit' };
    const keyring = await this.#guard.authorize(caller, 'stacks:write', touched, 'update_stack');
    const changeOnce = async () => {
      const found = await this.#records.find(keyring, user, stack);
      if (found === undefined && stack !== DEFAULT_STACK) throw noSuchStack();
      const before = found?.meta ?? this.#records.newMeta(user, DEFAULT_STACK, DEFAULT_STACK);
      const meta = { ...before, ...change(before), updated_at: this.#parts.now().toISOString() };
      const id = found?.id ?? this.#parts.records.newId();
      const revision = (found?.revision ?? 0) + 1;
      const also = about.deleted
        ? await this.#contents.delete(caller, keyring, { user, stack }, about.deleted)
        : NO_DELETIONS;
      const facts = { record_id: id, stack_id: stack, revision, owner: user };
      await this.#contents.commit(keyring, {
        writes: [...also.writes, this.#records.put(keyring, id, revision, meta)],
        audit: [...also.audit, this.#records.auditEntry(caller, keyring, 'update_stack', facts)],
        ids: also.ids,
        revoke: also.revoke,
      });
      return { keyring, meta };
    };
    return this.#guard.auditDenials(caller, keyring, 'update_stack', ['NOT_FOUND'], touched, () =>
      retryOnConflict(changeOnce),
    );
  }
}
