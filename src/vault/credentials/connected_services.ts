/** Finds the services that have credentials in a stack, and those with all required fields, from the metadata alone. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { ListedService } from '../../contract/credential.ts';
import { LIST_PAGE_MAX, STACK_CREDENTIALS_READ_MAX } from '../../contract/limits.ts';
import type { Service } from '../../contract/service/service.ts';
import type { StoredMeta } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { scanRows } from '../records/scan.ts';
import { credentialStatus } from './status.ts';

/** Models read this list. A longer one has no descriptions; a narrower query returns them. */
const LISTED_IN_DETAIL_MAX = 20;

/** Each service with its fields, and whether the stack has all the required ones. */
export async function describeServices(
  parts: VaultDependencies,
  keyring: OrganizationKeyring,
  user: string,
  stack: string,
  services: readonly Service[],
): Promise<readonly ListedService[]> {
  const in_detail = services.length <= LISTED_IN_DETAIL_MAX;
  const connected = await connectedServices(parts, keyring, user, stack, services);
  return services.map(({ slug, id, name, description, category, fields, credential_types }) => ({
    service_id: slug,
    id,
    name,
    description,
    category,
    fields: fields.map(({ field_id, required, secret, description }) => ({
      field_id,
      required,
      secret,
      ...(in_detail ? { description } : {}),
    })),
    ...(in_detail ? { credential_types } : {}),
    connected: connected.has(slug),
  }));
}

/** Slugs of those of `services` that have a credential with every required field. */
async function connectedServices(
  parts: VaultDependencies,
  keyring: OrganizationKeyring,
  user: string,
  stack: string,
  services: readonly Service[],
): Promise<Set<string>> {
  const { store, codec, services: catalogue, now } = parts;
  const connected = new Set<string>();
  const take = (row: StoredMeta | undefined) => {
    const meta = row && codec.openIfIntact(keyring, row);
    const service = meta && catalogue.find(meta.service);
    if (service && credentialStatus(service, meta, now()).required_credentials_added)
      connected.add(service.slug);
  };
  if (await scan(parts, keyring, user, stack, take)) return connected;
  for (const { slug } of services) {
    if (!connected.has(slug))
      take(await store.find(codec.indexOf(keyring, { user, stack, service: slug, name: null })));
  }
  return connected;
}

/**
 * Slugs of the catalogue's services that have a credential in the stack, in the order of their oldest credential. If
 * there are more than STACK_CREDENTIALS_READ_MAX credentials or one is damaged, also those found by the index of the unnamed credential.
 */
export async function storedServices(
  parts: Pick<VaultDependencies, 'store' | 'codec' | 'services'>,
  keyring: OrganizationKeyring,
  user: string,
  stack: string,
): Promise<readonly string[]> {
  const { store, codec, services } = parts;
  const newest_first = new Set<string>();
  let all_intact = true;
  const is_complete = await scan(parts, keyring, user, stack, (row) => {
    const meta = codec.tryOpenMeta(keyring, row);
    if (meta === undefined) {
      all_intact = false;
      return;
    }
    // Moves the service to the end: its oldest credential, which comes last, determines the order.
    newest_first.delete(meta.service);
    newest_first.add(meta.service);
  });
  const stored = [...newest_first].reverse().filter((slug) => services.find(slug) !== undefined);
  if (is_complete && all_intact) return stored;
  for (const [at, { slug }] of services.list().entries()) {
    if (newest_first.has(slug)) continue;
    if (at % LIST_PAGE_MAX === LIST_PAGE_MAX - 1) await yieldToEventLoop();
    const row = await store.find(codec.indexOf(keyring, { user, stack, service: slug, name: null }));
    if (row !== undefined) stored.push(slug);
  }
  return stored;
}

/** Calls `take` for the newest STACK_CREDENTIALS_READ_MAX credentials of a stack. Resolves to whether those were all. */
async function scan(
  { store, codec }: Pick<VaultDependencies, 'store' | 'codec'>,
  keyring: OrganizationKeyring,
  user: string,
  stack: string,
  take: (row: StoredMeta) => void,
): Promise<boolean> {
  let seen = 0;
  for await (const row of scanRows(store, codec.scopeOf(keyring, user, stack))) {
    if (seen++ === STACK_CREDENTIALS_READ_MAX) return false;
    take(row);
  }
  return true;
}
