/** Finds the service that an argument means, before anything is asked, opened or made. Never repeats the argument. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import type { CliContext } from '../context.ts';

const OFFERED_MAX = 5;

/** All services: the built-in ones and those in the services folder. Rejects with VaultError for a wrong one. */
export async function loadCatalogue(context: CliContext): Promise<ServiceCatalogue> {
  const { ServiceCatalogue } = await import('../../services/catalogue.ts');
  return ServiceCatalogue.load({ folder: context.settings().services_folder });
}

/**
 * The service with this id, alias or UUID. Where that is none, `allow_prefix` takes the one service whose id starts
 * so; otherwise throws NOT_FOUND, which offers what may have been meant.
 */
export async function findService(
  catalogue: ServiceCatalogue,
  typed: string,
  { allow_prefix }: { readonly allow_prefix: boolean },
): Promise<Service> {
  const found = catalogue.find(typed);
  if (found !== undefined) return found;
  const services = catalogue.list();
  const started = typed === '' ? [] : services.filter(({ slug }) => slug.startsWith(typed.toLowerCase()));
  if (allow_prefix && started.length === 1 && started[0] !== undefined) return started[0];
  const { suggestSlugs } = await import('../../services/search.ts');
  const near = started.length > 0 ? started.map(({ slug }) => slug) : suggestSlugs(typed, services);
  throw new VaultError('NOT_FOUND', `There is no service with this id. ${offer(near)}`);
}

function offer(slugs: readonly string[]): string {
  if (slugs.length === 0)
    return '`keyhold services list` shows the services, `keyhold services add` adds one.';
  const shown = slugs.slice(0, OFFERED_MAX);
  const more = slugs.length > shown.length ? ', ...' : '';
  return `Did you mean ${shown.length === 1 ? '' : 'one of: '}${shown.join(', ')}${more}?`;
}
