/** Which services of a stack have all they need, found from the meta of its credentials. */
import { LIST_PAGE_MAX } from '../contract/limits.ts';
import type { Service } from '../contract/service.ts';
import type { StoredMeta } from '../store/store.ts';
import type { OrganizationRing } from './key_ring.ts';
import { credentialStatus } from './status_rules.ts';
import type { VaultParts } from './vault_parts.ts';

/** How many credentials of a stack are looked at before each service is asked for alone. */
const SCAN_MAX = 1_000;

/** Slugs of those of `services` that have a credential with every required field. */
export async function connectedServices(
  { store, codec, services: catalogue, now }: VaultParts,
  ring: OrganizationRing,
  user: string,
  stack: string,
  services: readonly Service[],
): Promise<Set<string>> {
  const connected = new Set<string>();
  const take = (row: StoredMeta | undefined) => {
    const meta = row && codec.openSound(ring, row);
    const service = meta && catalogue.find(meta.service);
    if (service && credentialStatus(service, meta, now()).required_credentials_added)
      connected.add(service.slug);
  };
  let after: number | undefined;
  for (let seen = 0; seen < SCAN_MAX; seen += LIST_PAGE_MAX) {
    const page = await store.list(codec.scopeOf(ring, user, stack), LIST_PAGE_MAX, after);
    page.records.forEach(take);
    after = page.next;
    if (after === undefined) return connected;
  }
  for (const { slug } of services) {
    if (!connected.has(slug))
      take(await store.find(codec.indexOf(ring, { user, stack, service: slug, name: null })));
  }
  return connected;
}
