/** What callers see of a credential, derived from its metadata and the service definition. Pure functions. */
import type { CredentialInfo, CredentialState, CredentialStatus } from '../../contract/credential.ts';
import type { Service } from '../../contract/service/service.ts';
import { virtualKey } from '../../crypto/virtual_key.ts';
import { tokenGrantOf } from '../../services/oauth/grants.ts';
import type { DestinationReview } from '../destinations/binding.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { KnownUser } from '../organizations/registry.ts';
import { idBytes } from '../records/record_codec.ts';
import type { CredentialMeta } from './codec.ts';

/** A service that is no longer defined has no fields; its credential then has all required ones. */
type Fields = Pick<Service, 'fields' | 'requires' | 'oauth'>;

/**
 * Fields of the credential that the service does not define count as optional, as do those in `requires`, of which one group
 * must be complete beside the required fields. `review`: of a stored credential. Leaves `pending_approval`
 * and `last_test` null.
 */
export function credentialStatus(
  service: Fields | undefined,
  meta: CredentialMeta | undefined,
  now: Date,
  review?: DestinationReview,
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
  const stored = new Set(meta?.fields ?? []);
  const required_credentials_added =
    meta !== undefined &&
    required.every(isAdded) &&
    (service?.requires ?? [[]]).some((group) => group.every((field_id) => stored.has(field_id)));
  return {
    required_credentials: Object.fromEntries(required),
    optional_credentials: Object.fromEntries(optional),
    all_credentials_added: required_credentials_added && optional.every(isAdded),
    required_credentials_added,
    credential_id: meta?.id ?? null,
    status: stateOf(service, meta, required_credentials_added, now, review),
    credential_type: meta?.type ?? null,
    destination: review?.bound === undefined ? null : [...review.bound.origins],
    use_policy: meta?.use_policy ?? null,
    protected: meta?.protected ?? false,
    pending_approval: null,
    updated_at: meta?.updated_at ?? null,
    modified_by: meta?.modified_by ?? null,
    expires_at: meta?.expires_at ?? null,
    last_used_at: meta?.last_used_at ?? null,
    last_test: null,
  };
}

function stateOf(
  service: Fields | undefined,
  meta: CredentialMeta | undefined,
  complete: boolean,
  now: Date,
  review: DestinationReview | undefined,
): CredentialState {
  if (meta === undefined) return 'missing';
  if (meta.inactive) return 'inactive';
  // The expiry of a credential with a refresh token is that of its access token.
  const is_refreshed = service !== undefined && tokenGrantOf(service, meta.fields) === 'refresh_token';
  const has_expired = meta.expires_at !== null && Date.parse(meta.expires_at) <= now.getTime();
  if (has_expired && !is_refreshed) return 'expired';
  if (!complete) return 'incomplete';
  if (review?.needs_review === true) return 'needs_review';
  if (meta.token?.needs_reconnect_since !== undefined) return 'needs_reconnect';
  return meta.rejected === undefined ? 'active' : 'rejected';
}

/** A credential of `owner` for programs that address it by its id. */
export function credentialInfo(
  keyring: OrganizationKeyring,
  meta: CredentialMeta,
  owner: KnownUser,
): CredentialInfo {
  return {
    id: meta.id,
    service_id: meta.service,
    name: meta.name,
    stack_id: meta.stack,
    credential_type: meta.type,
    user: meta.user,
    user_id: owner.id,
    // A credential stored by service and stack has no unit: it belongs to the unit of its user.
    unit_id: meta.unit ?? owner.unit_id,
    fields: [...meta.fields],
    inactive: meta.inactive,
    virtual_key: virtualKey(keyring.keys.virtual_key, idBytes(meta.id)),
    created_at: meta.created_at,
    updated_at: meta.updated_at,
    modified_by: meta.modified_by,
  };
}
