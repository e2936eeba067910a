/** A credential as Toolzz shows it: with its integration, without anything of its values. */
import type { CredentialInfo } from '../../contract/credential.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { type KnownService, removedService, toIntegration } from './integration_mapper.ts';
import type { BareCredential, Credential } from './schemas.ts';

type Parts = Pick<HttpDependencies, 'vault' | 'public_url'>;

/** The service of a credential, as far as it is known. */
export function serviceOf(
  { service_id }: Pick<CredentialInfo, 'service_id'>,
  { vault }: Parts,
): KnownService {
  return vault.services.find(service_id) ?? removedService(service_id);
}

export function toBareCredential(info: CredentialInfo, service: KnownService): BareCredential {
  return {
    id: info.id,
    name: info.name ?? service.name,
    userId: info.user_id,
    unityId: info.unit_id,
    integrationId: service.id,
    // The secret has no life of its own: it is known by its credential.
    secretId: info.id,
    status: !info.inactive,
    virtualKey: info.virtual_key,
    createdAt: info.created_at,
    updatedAt: info.updated_at,
  };
}

export function toCredential(info: CredentialInfo, parts: Parts): Credential {
  const service = serviceOf(info, parts);
  const { createdAt, updatedAt, ...facts } = toBareCredential(info, service);
  const integration = toIntegration(service, parts.public_url);
  return { ...facts, credentials: {}, createdAt, updatedAt, integration };
}
