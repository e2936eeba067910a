/** Names of credentials, and which credential a caller means. One without a name is shown under the name of its service. */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { Guard } from '../guard.ts';
import type { CredentialRef } from './codec.ts';

/**
 * The credential that an input names, in a stack of the caller or one that is shared with it. `service`: that of its id, if
 * there is one. Decides nothing: `Guard.authorize` does, with this reference.
 */
export async function requestedRef(
  guard: Guard,
  caller: Caller,
  service: Service | undefined,
  input: {
    readonly service_id: string;
    readonly stack_id?: string | undefined;
    readonly name?: string | undefined;
  },
): Promise<CredentialRef> {
  return {
    ...(await guard.requestedStack(caller, input.stack_id)),
    service: service?.slug ?? input.service_id,
    name: storedName(service, input.name),
  };
}

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

/** Another credential of the service has the name. No retry helps: the reason ends `retryOnConflict`. */
export function nameTaken(): VaultError {
  return new VaultError(
    'CONFLICT',
    'There is a credential of this name for this service already. Choose another name, or update that one.',
    { reason: 'credential_exists' },
  );
}
