/** Rules for the names of credentials and for the credentials that a caller may list. Pure functions. */
import { type Caller, canUseService } from '../contract/caller.ts';
import type { CredentialInfo } from '../contract/credential.ts';
import type { Service } from '../contract/service.ts';
import type { CredentialMeta, CredentialRef } from './credentials/codec.ts';

/** A filter for lists of credentials. */
export interface CredentialFilter {
  readonly service_id?: string;
  /** Returns whether to list credentials of this service, given by its slug, defined or not. */
  readonly isMeant?: (service: string) => boolean;
  readonly unit_id?: string;
}

/** A page of credentials; `more` if there are further ones or users whose credentials were not read. */
export interface CredentialPage {
  readonly credentials: readonly CredentialInfo[];
  readonly more: boolean;
}

/** The filter with resolved ids; `unit_of` maps the users to their units. */
interface Wanted {
  readonly slug: string | undefined;
  readonly isMeant: CredentialFilter['isMeant'];
  readonly unit: string | undefined;
  readonly unit_of: ReadonlyMap<string, string | undefined>;
}

/** Returns a predicate for the credentials that match the filter and that the caller may see. */
export function fitting(
  caller: Caller,
  { slug, isMeant, unit, unit_of }: Wanted,
): (meta: CredentialMeta) => boolean {
  return (meta) =>
    (slug === undefined || meta.service === slug) &&
    (isMeant === undefined || isMeant(meta.service)) &&
    (unit === undefined || (meta.unit ?? unit_of.get(meta.user)) === unit) &&
    isWithin(caller, meta);
}

/** Returns whether the caller's API key covers the stack and the service. */
export function isWithin(caller: Caller, { stack, service }: CredentialRef): boolean {
  return (caller.stack === undefined || caller.stack === stack) && canUseService(caller, service);
}

/** The stored name: null for the credential that is shown under the name of its service. */
export function nameWithin(service: Service | undefined, name: string | undefined): string | null {
  return name === undefined || name === service?.name ? null : name;
}

/**
 * The name after a change. Clients that change something else send back the displayed name, which is that of the service
 * if the credential has none; this keeps the stored name.
 */
export function nameAfter(
  before: CredentialRef,
  service: Service | undefined,
  given: string | undefined,
): string | null {
  const shown = before.name ?? service?.name ?? before.service;
  return given === undefined || given === shown ? before.name : nameWithin(service, given);
}

export function placeOf({ user, stack, service, name }: CredentialRef): CredentialRef {
  return { user, stack, service, name };
}
