/** The newest credentials of some stacks, for lists. */
import { LIST_PAGE_MAX } from '../contract/limits.ts';
import type { CredentialMeta, CredentialPlace } from './credential_record.ts';
import type { OrganizationRing } from './key_ring.ts';
import type { VaultParts } from './vault_parts.ts';

type Fits = (meta: CredentialMeta) => boolean;

/** Those that fit, newest first, a page of them at most. */
export async function newestOf(
  parts: Pick<VaultParts, 'store' | 'codec'>,
  ring: OrganizationRing,
  stacks: readonly Pick<CredentialPlace, 'user' | 'stack'>[],
  fits: Fits,
): Promise<readonly CredentialMeta[]> {
  const found: CredentialMeta[] = [];
  for (const stack of stacks) found.push(...(await newestOfStack(parts, ring, stack, fits)));
  return found.sort(newestFirst).slice(0, LIST_PAGE_MAX);
}

/** A page of them at least, where there are so many. */
async function newestOfStack(
  { store, codec }: Pick<VaultParts, 'store' | 'codec'>,
  ring: OrganizationRing,
  { user, stack }: Pick<CredentialPlace, 'user' | 'stack'>,
  fits: Fits,
): Promise<readonly CredentialMeta[]> {
  const found: CredentialMeta[] = [];
  let after: number | undefined;
  do {
    const page = await store.list(codec.scopeOf(ring, user, stack), LIST_PAGE_MAX, after);
    found.push(...page.records.map((row) => codec.openMeta(ring, row)).filter(fits));
    after = page.next;
  } while (after !== undefined && found.length < LIST_PAGE_MAX);
  return found;
}

/** Of the same moment, the one with the greater id: ids are in the order of time. */
function newestFirst(a: CredentialMeta, b: CredentialMeta): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}
