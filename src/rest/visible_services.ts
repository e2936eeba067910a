/** The services of the catalogue that a key allows. Definitions are public, so this needs no scope. */
import { type Caller, canUseService } from '../contract/caller.ts';
import type { Service } from '../contract/service/service.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';

export function visibleServices(caller: Caller, services: ServiceCatalogue): Service[] {
  return services.list().filter(({ slug }) => canUseService(caller, slug));
}
