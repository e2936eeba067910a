/** The destination of a stored credential: the bound origins that the present definition allows. */
import type { Destination } from '../../contract/destination.ts';
import type { Service } from '../../contract/service/service.ts';
import type { CredentialMeta } from '../credentials/codec.ts';

/** `undefined`: the credential is not bound, so that a person must review it. */
export function usableDestination(service: Service, _meta: CredentialMeta): Destination | undefined {
  if (service.hosts.some((host) => host.includes('{'))) return undefined;
  return { origins: service.hosts.map((host) => `https://${host}`).sort(), fields: {} };
}
