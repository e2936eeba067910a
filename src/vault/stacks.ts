/**
 * A user's stacks. `default` is always there; a stack that is created has an id of its own, and one that a credential is
 * first stored in by a name of the caller's choosing comes to be with it. A stack is its user's alone: to anybody else
 * it is not there.
 */

import { type Caller, DEFAULT_STACK } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { parseInput } from '../contract/input.ts';
import { EnabledTools, StackChange, StackCreate, type StackInfo } from '../contract/stack.ts';
import type { AuditAppend, RecordWrite, StoredMeta } from '../store/store.ts';
import { CREDENTIAL_KIND, type CredentialMeta } from './credential_record.ts';
import { removal } from './directory_records.ts';
import { type Guard, noSuchStack, stackOf } from './guard.ts';
import type { OrganizationRing } from './key_ring.ts';
import { retryOnConflict } from './retry.ts';
import { STACKS_PER_USER_MAX, type StackRecords } from './stack_records.ts';
import type { VaultParts } from './vault_parts.ts';

const SERVICES_PER_STACK_MAX = 500;
const CREDENTIALS_DELETED_AT_ONCE_MAX = 10_000;

export class Stacks {
  readonly #parts: VaultParts;
  readonly #guard: Guard;
  readonly #records: StackRecords;

  constructor(parts: VaultParts, guard: Guard, records: StackRecords) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = records;
  }

  /** The caller's stacks, newest first, `default` last. */
  async list(caller: Caller): Promise<readonly StackInfo[]> {
    const ring = await this.#guard.enter(caller, 'credentials:read');
    const found = await this.#records.list(ring, caller.user);
    const stacks = found.map(infoOf).filter(({ stack_id }) => mayUse(caller, stack_id));
    const has_default = stacks.some(({ stack_id }) => stack_id === DEFAULT_STACK);
    return has_default || !mayUse(caller, DEFAULT_STACK)
      ? stacks
      : [...stacks, await this.#untouchedDefault()];
  }

  async get(caller: Caller, stack_id: string): Promise<StackInfo> {
    const ring = await this.#guard.enter(caller, 'credentials:read');
    const stack = stackOf(caller, stack_id);
    const found = await this.#records.find(ring, caller.user, stack);
    if (found !== undefined) return infoOf(found.meta);
    if (stack === DEFAULT_STACK) return this.#untouchedDefault();
    throw noSuchStack();
  }

  async create(caller: Caller, raw: StackCreate): Promise<StackInfo> {
    const { stack_name, analytics_enabled } = parseInput(StackCreate, raw);
    const ring = await this.#guard.enter(caller, 'stacks:write', 'create_stack');
    if (caller.stack !== undefined) throw new VaultError('FORBIDDEN', 'This API key is for one stack only.');
    if ((await this.#records.idsOf(ring, caller.user)).length > STACKS_PER_USER_MAX) {
      throw new VaultError(
        'INVALID_INPUT',
        `A user has at most ${STACKS_PER_USER_MAX} stacks. Delete one first.`,
      );
    }
    const meta = this.#records.newMeta(caller.user, `stack_${this.#parts.records.newId()}`, stack_name);
    const made = { ...meta, analytics_enabled: analytics_enabled ?? false };
    await this.#parts.store.commit(this.#records.creation(caller, ring, made));
    return infoOf(made);
  }

  /** Changes the name or the configuration. */
  async update(caller: Caller, stack_id: string, raw: StackChange): Promise<StackInfo> {
    const { stack_name, analytics_enabled } = parseInput(StackChange, raw);
    return this.#change(caller, stack_id, (stack) => ({
      stack_name: stack_name ?? stack.stack_name,
      analytics_enabled: analytics_enabled ?? stack.analytics_enabled,
    }));
  }

  /** Puts a service into the stack. `enabled_tools` null: all of them. CONFLICT when it is there already. */
  async addService(
    caller: Caller,
    stack_id: string,
    service_id: string,
    enabled_tools: readonly string[] | null,
  ): Promise<StackInfo> {
    const tools = enabled_tools && parseInput(EnabledTools, enabled_tools);
    const { slug } = this.#parts.services.get(service_id);
    return this.#change(caller, stack_id, ({ services }) => {
      if (services.some((one) => one.service_id === slug)) {
        throw new VaultError('CONFLICT', 'The service is in the stack already.', {
          reason: 'credential_exists',
        });
      }
      if (services.length >= SERVICES_PER_STACK_MAX)
        throw new VaultError('INVALID_INPUT', `A stack has at most ${SERVICES_PER_STACK_MAX} services.`);
      return { services: [...services, { service_id: slug, enabled_tools: tools }] };
    });
  }

  /** Which of the service's tools are enabled. NOT_FOUND when the service is not in the stack. */
  async setTools(
    caller: Caller,
    stack_id: string,
    service_id: string,
    enabled_tools: readonly string[],
  ): Promise<StackInfo> {
    const tools = parseInput(EnabledTools, enabled_tools);
    const { slug } = this.#parts.services.get(service_id);
    await this.assertHas(caller, stack_id, service_id);
    return this.#change(caller, stack_id, ({ services }) => ({
      services: [
        ...services.filter((one) => one.service_id !== slug),
        { service_id: slug, enabled_tools: tools },
      ],
    }));
  }

  /** Takes a service out of the stack; its credentials there are deleted, their values destroyed. */
  async removeService(caller: Caller, stack_id: string, service_id: string): Promise<void> {
    const { slug } = this.#parts.services.get(service_id);
    await this.assertHas(caller, stack_id, service_id);
    await this.#change(
      caller,
      stack_id,
      ({ services }) => ({ services: services.filter((one) => one.service_id !== slug) }),
      (credential) => credential.service === slug,
    );
  }

  /** Deletes a stack with all credentials in it. `default` stays, empty. */
  async delete(caller: Caller, stack_id: string): Promise<void> {
    const ring = await this.#guard.enter(caller, 'stacks:write', 'delete_stack');
    const stack = stackOf(caller, stack_id);
    await retryOnConflict(async () => {
      const found = await this.#records.find(ring, caller.user, stack);
      if (found === undefined && stack !== DEFAULT_STACK) throw noSuchStack();
      const gone = await this.#deletions(caller, ring, stack, () => true);
      if (found !== undefined) {
        gone.writes.push(removal(found));
        const facts = { record_id: found.id, stack_id: stack, revision: found.revision };
        gone.audit.push(this.#records.entry(caller, ring, 'delete_stack', facts));
      }
      await this.#parts.store.commit(gone);
    });
  }

  /** Throws NOT_FOUND unless the service was put into the stack, or has a credential there. */
  async assertHas(caller: Caller, stack_id: string, service_id: string): Promise<void> {
    const { slug } = this.#parts.services.get(service_id);
    const { services } = await this.get(caller, stack_id);
    if (services.some((one) => one.service_id === slug)) return;
    const ring = await this.#guard.enter(caller, 'credentials:read');
    const place = { user: caller.user, stack: stackOf(caller, stack_id), service: slug, name: null };
    if ((await this.#parts.store.find(this.#parts.codec.indexOf(ring, place))) !== undefined) return;
    throw new VaultError('NOT_FOUND', 'The service is not in this stack. Add it first.');
  }

  async #change(
    caller: Caller,
    stack_id: string,
    change: (stack: StackInfo) => Partial<StackInfo>,
    deleted?: (credential: CredentialMeta) => boolean,
  ): Promise<StackInfo> {
    const ring = await this.#guard.enter(caller, 'stacks:write', 'update_stack');
    const stack = stackOf(caller, stack_id);
    return retryOnConflict(async () => {
      const found = await this.#records.find(ring, caller.user, stack);
      if (found === undefined && stack !== DEFAULT_STACK) throw noSuchStack();
      const before = found?.meta ?? this.#records.newMeta(caller.user, DEFAULT_STACK, DEFAULT_STACK);
      const meta = { ...before, ...change(infoOf(before)), updated_at: this.#parts.now().toISOString() };
      const id = found?.id ?? this.#parts.records.newId();
      const revision = (found?.revision ?? 0) + 1;
      const also = deleted ? await this.#deletions(caller, ring, stack, deleted) : { writes: [], audit: [] };
      const facts = { record_id: id, stack_id: stack, revision };
      await this.#parts.store.commit({
        writes: [...also.writes, this.#records.put(ring, id, revision, meta)],
        audit: [...also.audit, this.#records.entry(caller, ring, 'update_stack', facts)],
      });
      return infoOf(meta);
    });
  }

  /** The writes that delete the credentials of a stack that are meant. */
  async #deletions(
    caller: Caller,
    ring: OrganizationRing,
    stack: string,
    meant: (credential: CredentialMeta) => boolean,
  ): Promise<{ writes: RecordWrite[]; audit: AuditAppend[] }> {
    const { store, codec } = this.#parts;
    const gone: { writes: RecordWrite[]; audit: AuditAppend[] } = { writes: [], audit: [] };
    const take = (row: StoredMeta) => {
      const meta = codec.openMeta(ring, row);
      if (row.kind !== CREDENTIAL_KIND || !meant(meta)) return;
      gone.writes.push({ do: 'delete', expected_revision: row.revision, id: row.id });
      const facts = { place: meta, credential_id: meta.id, fields: meta.fields, revision: meta.revision };
      gone.audit.push(this.#records.entry(caller, ring, 'delete', facts));
    };
    let after: number | undefined;
    do {
      const page = await store.list(codec.scopeOf(ring, caller.user, stack), 100, after);
      page.records.forEach(take);
      after = page.next;
    } while (after !== undefined && gone.writes.length < CREDENTIALS_DELETED_AT_ONCE_MAX);
    return gone;
  }

  /** As old as the vault, as long as nothing was changed about it. */
  async #untouchedDefault(): Promise<StackInfo> {
    const made_at = (await this.#parts.store.header())?.created_at ?? this.#parts.now().toISOString();
    return infoOf({
      ...this.#records.newMeta('', DEFAULT_STACK, DEFAULT_STACK),
      created_at: made_at,
      updated_at: made_at,
    });
  }
}

function mayUse(caller: Caller, stack_id: string): boolean {
  return caller.stack === undefined || caller.stack === stack_id;
}

function infoOf({
  stack_id,
  stack_name,
  analytics_enabled,
  services,
  created_at,
  updated_at,
}: StackInfo): StackInfo {
  return { stack_id, stack_name, analytics_enabled, services, created_at, updated_at };
}
