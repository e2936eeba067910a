/** Which credentials a list shows: those that match its filter and that the caller's API key covers. Pure functions. */
import { type Caller, canUseService } from '../../contract/caller.ts';
import type { CredentialInfo } from '../../contract/credential.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { serviceId } from '../../services/definition.ts';
import { isStackAllowed } from '../guard.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';

/** A filter for lists of credentials. */
export interface CredentialFilter {
  readonly service_id?: string;
  /** Returns whether to list credentials of this service, given by its slug, defined or not. */
  readonly includesService?: (service: string) => boolean;
  readonly unit_id?: string;
}

/** A page of credentials; `more` if there are further ones or users whose credentials were not read. */
export interface CredentialPage {
  readonly credentials: readonly CredentialInfo[];
  readonly more: boolean;
}

/** A filter with resolved ids; `unit_of` maps the users to their units. */
interface ResolvedFilter {
  readonly slug: string | undefined;
  readonly includesService: CredentialFilter['includesService'];
  readonly unit: string | undefined;
  readonly unit_of: ReadonlyMap<string, string | undefined>;
}

/** Returns whether the credential matches the filter and the caller's API key covers it. */
export function isListed(
  caller: Caller,
  meta: CredentialMeta,
  { slug, includesService, unit, unit_of }: ResolvedFilter,
): boolean {
  return (
    (slug === undefined || meta.service === slug) &&
    (includesService === undefined || includesService(meta.service)) &&
    (unit === undefined || (meta.unit ?? unit_of.get(meta.user)) === unit) &&
    isCoveredByKey(caller, meta)
  );
}

/** Returns whether the caller's API key covers the stack and the service. */
export function isCoveredByKey(caller: Caller, { stack, service }: CredentialRef): boolean {
  return isStackAllowed(caller, stack) && canUseService(caller, service);
}

/** Whether this is an id of the credential's service, which may no longer be defined. */
export function isIdOfService(
  services: Pick<ServiceCatalogue, 'find'>,
  { service }: CredentialRef,
  service_id: string,
): boolean {
  const known = services.find(service_id)?.slug ?? service_id.toLowerCase();
  return known === service || known === serviceId(service);
}
