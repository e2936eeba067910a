/** What a credential is called, and which of them a caller sees in a list. Pure rules; only the vault asks them. */
import { type Caller, canUseService } from '../contract/caller.ts';
import type { CredentialInfo } from '../contract/credential.ts';
import type { Service } from '../contract/service.ts';
import type { CredentialMeta, CredentialRef } from './credentials/codec.ts';

/** Which credentials to list. */
export interface CredentialFilter {
  readonly service_id?: string;
  /** Whether those of this service may be among them: by its slug, be it defined or not. */
  readonly isMeant?: (service: string) => boolean;
  readonly unit_id?: string;
}

/** `more`: there are further ones, or users who may have some. */
export interface CredentialPage {
  readonly credentials: readonly CredentialInfo[];
  readonly more: boolean;
}

/** The same with its ids looked up; `unit_of` has the units of the users whose credentials are looked through. */
interface Wanted {
  readonly slug: string | undefined;
  readonly isMeant: CredentialFilter['isMeant'];
  readonly unit: string | undefined;
  readonly unit_of: ReadonlyMap<string, string | undefined>;
}

/** Whether a credential belongs in a list of the caller's. */
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

/** Whether the caller's key goes as far. */
export function isWithin(caller: Caller, { stack, service }: CredentialRef): boolean {
  return (caller.stack === undefined || caller.stack === stack) && canUseService(caller, service);
}

/** The credential without a name is called after its service. */
export function nameWithin(service: Service | undefined, name: string | undefined): string | null {
  return name === undefined || name === service?.name ? null : name;
}

/**
 * The name after a change. What a credential is shown under, which is its service where it has no name, comes back from
 * clients that change something else: that leaves the name as it is.
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
