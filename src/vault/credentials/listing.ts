/** The newest credentials of one or more stacks, for lists. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { scanRows } from '../records/scan.ts';
import type { StackRecords } from '../stacks/repository.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';

/** How many stacks, or users, are read before other callers may run. */
const READ_AT_ONCE = 50;

type Matches = (meta: CredentialMeta) => boolean;

/** How many more credentials, or stacks, a list may read, whatever its filter. Below zero: some were not read. */
export interface ReadBudget {
  remaining: number;
}

/** The stacks of the users, as far as the budget allows. */
export async function stacksOf(
  records: Pick<StackRecords, 'idsOf'>,
  keyring: OrganizationKeyring,
  users: Iterable<string>,
  budget: ReadBudget,
): Promise<readonly Pick<CredentialRef, 'user' | 'stack'>[]> {
  const stacks: { user: string; stack: string }[] = [];
  for (const [at, user] of [...users].entries()) {
    if (budget.remaining < 0) break;
    const ids = await records.idsOf(keyring, user);
    budget.remaining -= ids.length;
    for (const stack of ids) stacks.push({ user, stack });
    if (at % READ_AT_ONCE === READ_AT_ONCE - 1) await yieldToEventLoop();
  }
  return stacks;
}

/** The credentials that match, newest first, `limit` at most. */
export async function newestOf(
  parts: Pick<VaultDependencies, 'store' | 'codec'>,
  keyring: OrganizationKeyring,
  stacks: readonly Pick<CredentialRef, 'user' | 'stack'>[],
  matches: Matches,
  limit: number,
  budget: ReadBudget,
): Promise<readonly CredentialMeta[]> {
  let found: CredentialMeta[] = [];
  for (const [at, stack] of stacks.entries()) {
    if (budget.remaining < 0) break;
    found.push(...(await newestOfStack(parts, keyring, stack, limit, matches, budget)));
    // Bounds the memory for an organization with many stacks.
    if (found.length > 2 * limit) found = found.sort(newestFirst).slice(0, limit);
    if (at % READ_AT_ONCE === READ_AT_ONCE - 1) await yieldToEventLoop();
  }
  return found.sort(newestFirst).slice(0, limit);
}

/** The newest of one stack that match, at most `limit`. Skips damaged ones. */
export async function newestOfStack(
  { store, codec }: Pick<VaultDependencies, 'store' | 'codec'>,
  keyring: OrganizationKeyring,
  { user, stack }: Pick<CredentialRef, 'user' | 'stack'>,
  limit: number,
  matches: Matches,
  budget: ReadBudget,
): Promise<readonly CredentialMeta[]> {
  const found: CredentialMeta[] = [];
  for await (const row of scanRows(store, codec.scopeOf(keyring, user, stack))) {
    if (--budget.remaining < 0) break;
    const meta = codec.openIfIntact(keyring, row);
    if (meta !== undefined && matches(meta)) found.push(meta);
    if (found.length === limit) break;
  }
  return found;
}

/** By time, then by id: ids are in the order of time. */
function newestFirst(a: CredentialMeta, b: CredentialMeta): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}
