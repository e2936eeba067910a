/** The services of the catalogue that a key allows. Definitions are public, so this needs no scope. */
import { type Caller, canUseService } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import type { Service } from '../contract/service/service.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';

export function visibleServices(caller: Caller, services: ServiceCatalogue): Service[] {
  return services.list().filter(({ slug }) => canUseService(caller, slug));
}

/** The service with this id. Throws NOT_FOUND for an unknown one and for one that the key does not allow. */
export function visibleService(caller: Caller, services: ServiceCatalogue, service_id: string): Service {
  const service = services.get(service_id);
  if (canUseService(caller, service.slug)) return service;
  throw new VaultError('NOT_FOUND', 'No such service. List the services to see their ids.');
}
