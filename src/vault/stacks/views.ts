/** Stacks as callers see them: with all services in them, sorted. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { type Caller, canUseService, DEFAULT_STACK } from '../../contract/caller.ts';
import type { StackInfo, StackName, StackRight } from '../../contract/stack.ts';
import { storedServices } from '../credentials/connected_services.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { isStackAllowed } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { StackAccess, StackMeta } from './access.ts';
import type { StackRecords } from './repository.ts';

export class StackViews {
  readonly #parts: Pick<VaultDependencies, 'store' | 'codec' | 'services' | 'now'>;
  readonly #records: StackRecords;
  readonly #access: StackAccess;

  constructor(
    parts: Pick<VaultDependencies, 'store' | 'codec' | 'services' | 'now'>,
    records: StackRecords,
    access: StackAccess,
  ) {
    this.#parts = parts;
    this.#records = records;
    this.#access = access;
  }

  /** The given stacks, as far as the API key of the caller allows them, newest first; `default` is last and always listed. */
  async list(
    caller: Caller,
    keyring: OrganizationKeyring,
    found: readonly StackMeta[],
  ): Promise<readonly StackInfo[]> {
    const own = found.find(({ stack_id }) => stack_id === DEFAULT_STACK);
    const others = found.filter((stack) => stack !== own);
    const stacks = [...others.sort(newestFirst), own];
    const shown: StackInfo[] = [];
    for (const stack of stacks) {
      if (!isStackAllowed(caller, stack?.stack_id ?? DEFAULT_STACK)) continue;
      shown.push(
        await (stack === undefined
          ? this.implicitDefaultStack(caller, keyring)
          : this.get(caller, keyring, stack)),
      );
      // There may be a thousand stacks, each with a thousand credentials to read.
      await yieldToEventLoop();
    }
    return shown;
  }

  /** As `list`, by name; `default` is first. */
  names({ user, stack }: Caller, found: readonly StackMeta[]): readonly StackName[] {
    const others = found
      .filter(({ stack_id }) => stack_id !== DEFAULT_STACK)
      .map(({ stack_id, stack_name, user: owner }) => ({
        stack_id,
        stack_name,
        owner: owner === user ? null : owner,
      }))
      .sort((a, b) => a.stack_name.localeCompare(b.stack_name));
    const all = [{ stack_id: DEFAULT_STACK, stack_name: DEFAULT_STACK, owner: null }, ...others];
    return all.filter(({ stack_id }) => stack === undefined || stack === stack_id);
  }

  /** The stack, without services that the caller may not use. */
  async get(caller: Caller, keyring: OrganizationKeyring, stack: StackMeta): Promise<StackInfo> {
    const { stack_id } = stack;
    const stored = await storedServices(this.#parts, keyring, stack.user, stack_id);
    const added = new Set(stack.services.map(({ service_id }) => service_id));
    const others = stored.filter((slug) => !added.has(slug));
    const services = [
      ...stack.services,
      ...others.map((service_id) => ({ service_id, enabled_tools: null })),
    ].filter(({ service_id }) => canUseService(caller, service_id));
    const info = { ...infoOf(stack, await this.#rightOf(caller, keyring, stack)), services };
    // `default` exists since the vault was created, before it has a record.
    return stack_id === DEFAULT_STACK ? { ...info, created_at: await this.#vaultMadeAt() } : info;
  }

  /** The default stack without a record; as old as the vault. */
  async implicitDefaultStack(caller: Caller, keyring: OrganizationKeyring): Promise<StackInfo> {
    const stack = this.#records.newMeta(caller.user, DEFAULT_STACK, DEFAULT_STACK);
    return this.get(caller, keyring, { ...stack, updated_at: await this.#vaultMadeAt() });
  }

  /** The rights of the caller in a stack that it sees. */
  async #rightOf(caller: Caller, keyring: OrganizationKeyring, stack: StackMeta): Promise<StackRight> {
    const { user: owner, stack_id } = stack;
    if (owner === caller.user || caller.scopes.has('org:admin')) return 'owner';
    return (await this.#access.roleOf(keyring, caller, { owner, stack_id })) ?? 'use';
  }

  async #vaultMadeAt(): Promise<string> {
    return (await this.#parts.store.header())?.created_at ?? this.#parts.now().toISOString();
  }
}

/** In the given order if the times are equal. */
function newestFirst(a: StackMeta, b: StackMeta): number {
  if (a.created_at === b.created_at) return 0;
  return a.created_at < b.created_at ? 1 : -1;
}

/** The fields of a stack that callers see. */
export function infoOf(
  { stack_id, stack_name, analytics_enabled, services, user, shares, created_at, updated_at }: StackMeta,
  role: StackRight,
): StackInfo {
  return {
    stack_id,
    stack_name,
    analytics_enabled,
    services,
    owner: user,
    role,
    shared_with: shares?.length ?? 0,
    created_at,
    updated_at,
  };
}
