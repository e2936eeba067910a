/** Finds the service that an argument names, before any prompt. Messages never repeat the argument: it may be a value. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import type { CliContext } from '../context.ts';

const SUGGESTIONS_MAX = 5;

/** The built-in services and those of the services folder. Rejects with VaultError for an invalid definition. */
export async function loadCatalogue(context: CliContext): Promise<ServiceCatalogue> {
  const { ServiceCatalogue } = await import('../../services/catalogue.ts');
  return ServiceCatalogue.load({ folder: context.settings().services_folder });
}

/**
 * The service with this id, alias or UUID, or with `allow_prefix` the only service whose id starts with `typed`. Otherwise
 * throws NOT_FOUND with suggestions.
 */
export async function findService(
  catalogue: ServiceCatalogue,
  typed: string,
  { allow_prefix }: { readonly allow_prefix: boolean },
): Promise<Service> {
  const found = catalogue.find(typed);
  if (found !== undefined) return found;
  const services = catalogue.list();
  const prefixed = typed === '' ? [] : services.filter(({ slug }) => slug.startsWith(typed.toLowerCase()));
  if (allow_prefix && prefixed.length === 1 && prefixed[0] !== undefined) return prefixed[0];
  const { suggestSlugs } = await import('../../services/search.ts');
  const near = prefixed.length > 0 ? prefixed.map(({ slug }) => slug) : suggestSlugs(typed, services);
  throw new VaultError('NOT_FOUND', `No service has this id. ${suggestion(near)}`);
}

function suggestion(slugs: readonly string[]): string {
  if (slugs.length === 0)
    return '`keyhold services list` shows the services, `keyhold services add` adds one.';
  const shown = slugs.slice(0, SUGGESTIONS_MAX);
  const more = slugs.length > shown.length ? ', ...' : '';
  return `Did you mean ${shown.length === 1 ? '' : 'one of: '}${shown.join(', ')}${more}?`;
}
