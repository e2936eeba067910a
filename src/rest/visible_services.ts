/** The catalogue as a caller sees it. It is no secret, so it takes no scope; a key for some services sees those alone. */
import { type Caller, canUseService } from '../contract/caller.ts';
import type { Service } from '../contract/service.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';

export function visibleServices(caller: Caller, services: ServiceCatalogue): Service[] {
  return services.list().filter(({ slug }) => canUseService(caller, slug));
}
