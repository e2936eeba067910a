/** The status of a credential, derived from its metadata and the service definition. Pure functions. */
import type { CredentialState, CredentialStatus } from '../../contract/credential.ts';
import type { Service } from '../../contract/service.ts';
import type { CredentialMeta } from './codec.ts';

/** A service that is no longer defined has no fields; its credential then has all required ones. */
type Fields = Pick<Service, 'fields'>;

/** Fields of the credential that the service does not define count as optional. */
export function credentialStatus(
  service: Fields | undefined,
  meta: CredentialMeta | undefined,
  now: Date,
): CredentialStatus {
  const added = new Set(meta?.fields ?? []);
  const defined = service?.fields ?? [];
  const required: [string, 'added' | 'missing'][] = [];
  const optional: [string, 'added' | 'missing'][] = [];
  for (const field of defined) {
    (field.required ? required : optional).push([
      field.field_id,
      added.has(field.field_id) ? 'added' : 'missing',
    ]);
    added.delete(field.field_id);
  }
  for (const field of added) optional.push([field, 'added']);
  const isAdded = ([, presence]: readonly [string, string]) => presence === 'added';
  const required_credentials_added = meta !== undefined && required.every(isAdded);
  return {
    required_credentials: Object.fromEntries(required),
    optional_credentials: Object.fromEntries(optional),
    all_credentials_added: required_credentials_added && optional.every(isAdded),
    required_credentials_added,
    credential_id: meta?.id ?? null,
    status: stateOf(meta, required_credentials_added, now),
    credential_type: meta?.type ?? null,
    updated_at: meta?.updated_at ?? null,
    modified_by: meta?.modified_by ?? null,
    expires_at: meta?.expires_at ?? null,
    last_used_at: meta?.last_used_at ?? null,
    last_test: meta?.last_test ?? null,
  };
}

function stateOf(meta: CredentialMeta | undefined, complete: boolean, now: Date): CredentialState {
  if (meta === undefined) return 'missing';
  if (meta.inactive) return 'inactive';
  if (meta.expires_at !== null && Date.parse(meta.expires_at) <= now.getTime()) return 'expired';
  return complete ? 'active' : 'incomplete';
}
