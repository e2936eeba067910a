/** Names of credentials. A credential without a name is shown under the name of its service. */
import type { Service } from '../../contract/service/service.ts';
import type { CredentialRef } from './codec.ts';

/** The name to store: null for the name of the service. */
export function storedName(service: Service | undefined, name: string | undefined): string | null {
  return name === undefined || name === service?.name ? null : name;
}

/** The name to store after a change. Clients that change something else send the shown name back, which changes nothing. */
export function nameAfterChange(
  before: CredentialRef,
  service: Service | undefined,
  name: string | undefined,
): string | null {
  const shown = before.name ?? service?.name ?? before.service;
  return name === undefined || name === shown ? before.name : storedName(service, name);
}
