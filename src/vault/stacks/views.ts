/** Stacks as callers see them: with all services in them, sorted. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { type Caller, canUseService, DEFAULT_STACK } from '../../contract/caller.ts';
import type { StackInfo } from '../../contract/stack.ts';
import { storedServices } from '../credentials/connected_services.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { isStackAllowed } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { StackMeta, StackRecords } from './repository.ts';

export class StackViews {
  readonly #parts: Pick<VaultDependencies, 'store' | 'codec' | 'services' | 'now'>;
  readonly #records: StackRecords;

  constructor(parts: Pick<VaultDependencies, 'store' | 'codec' | 'services' | 'now'>, records: StackRecords) {
    this.#parts = parts;
    this.#records = records;
  }

  /** All stacks that the caller may use, newest first; `default` is last and always listed. */
  async list(
    caller: Caller,
    keyring: OrganizationKeyring,
    found: readonly StackMeta[],
  ): Promise<readonly StackInfo[]> {
    const own = found.find(({ stack_id }) => stack_id === DEFAULT_STACK);
    const stacks = [...found.filter((stack) => stack !== own), own];
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

  /** The stack, without services that the caller may not use. */
  async get(caller: Caller, keyring: OrganizationKeyring, stack: StackMeta): Promise<StackInfo> {
    const { stack_id } = stack;
    const stored = await storedServices(this.#parts, keyring, caller.user, stack_id);
    const added = new Set(stack.services.map(({ service_id }) => service_id));
    const others = stored.filter((slug) => !added.has(slug));
    const services = [
      ...stack.services,
      ...others.map((service_id) => ({ service_id, enabled_tools: null })),
    ].filter(({ service_id }) => canUseService(caller, service_id));
    const info = { ...infoOf(stack), services };
    // `default` exists since the vault was created, before it has a record.
    return stack_id === DEFAULT_STACK ? { ...info, created_at: await this.#vaultMadeAt() } : info;
  }

  /** The default stack without a record; as old as the vault. */
  async implicitDefaultStack(caller: Caller, keyring: OrganizationKeyring): Promise<StackInfo> {
    const stack = this.#records.newMeta(caller.user, DEFAULT_STACK, DEFAULT_STACK);
    return this.get(caller, keyring, { ...stack, updated_at: await this.#vaultMadeAt() });
  }

  async #vaultMadeAt(): Promise<string> {
    return (await this.#parts.store.header())?.created_at ?? this.#parts.now().toISOString();
  }
}

/** The fields of a stack that callers see. */
export function infoOf({
  stack_id,
  stack_name,
  analytics_enabled,
  services,
  created_at,
  updated_at,
}: StackInfo): StackInfo {
  return { stack_id, stack_name, analytics_enabled, services, created_at, updated_at };
}
