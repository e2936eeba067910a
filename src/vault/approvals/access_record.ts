/** The record of an access request, its views and its errors. Pure functions. */

import type { NewAccessRequest } from '../../contract/access_request.ts';
import { Approval, NO_REQUEST } from '../../contract/approval.ts';
import { VaultError } from '../../contract/errors.ts';
import { ACCESS_REQUESTS_PER_USER_MAX } from '../../contract/limits.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import type { EntryFacts } from '../audit/entry.ts';
import type { CredentialRef } from '../credentials/codec.ts';
import type { Versioned } from '../records/entity_repository.ts';
import { requester } from './use_approval.ts';

export interface AccessMeta {
  readonly user: string;
  readonly api_key_id: string | null;
  readonly edge: string;
  readonly claimed_client: string | null;
  /** The slug: of the catalogue, or of the definition that accepting adds. */
  readonly service: string;
  /** `null`: a service of the catalogue. */
  readonly base_url: string | null;
  readonly fields: readonly string[];
  readonly stack: string;
  readonly name: string | null;
  readonly reason: string;
  readonly code: string;
  readonly created_at: string;
  readonly expires_at: string;
  readonly state: 'pending' | 'approved' | 'denied';
  readonly decided_at: string | null;
  readonly decided_by: string | null;
  readonly use_policy: UsePolicy | null;
}
export type FoundAccess = Versioned<AccessMeta>;

export function describeAccess(
  { id, meta }: FoundAccess,
  service_name: string,
  organization: string,
): Approval {
  const { service, base_url, fields } = meta;
  return Approval.parse({
    ...NO_REQUEST,
    id,
    kind: 'access_request',
    state: meta.state,
    created_at: meta.created_at,
    expires_at: meta.expires_at,
    organization,
    user: meta.user,
    summary:
      base_url === null ? `an agent requests ${service_name}` : `an agent requests a service at ${base_url}`,
    service_id: service,
    credential_id: null,
    stack_id: meta.stack,
    name: meta.name,
    requested_by: requester(meta),
    bound_origins: null,
    new_origins: base_url === null ? null : [base_url],
    fields: [...fields],
    reason: meta.reason,
    decided_at: meta.decided_at,
    decided_by: meta.decided_by,
    access: { code: meta.code, base_url, fields: [...fields], use_policy: meta.use_policy },
  } satisfies Approval);
}

export function resultOf({ id, meta }: FoundAccess): NewAccessRequest {
  const { code, expires_at, state, service: service_id } = meta;
  return {
    approval_id: id,
    service_id,
    code,
    expires_at,
    state: state === 'approved' ? 'approved' : 'pending',
  };
}

export function keyOf({ user, stack, service, name }: CredentialRef): string[] {
  return [user, stack, service, name ?? ''];
}

export function factsOf({ id, revision, meta }: FoundAccess): EntryFacts {
  const { user, stack, service, name } = meta;
  return { ref: { user, stack, service, name }, record_id: id, revision };
}

export function accessDenied(): VaultError {
  const message = 'The user denied this access. Do not request it again today.';
  return new VaultError('FORBIDDEN', message, { reason: 'approval_denied' });
}

export function tooMany(): VaultError {
  const message = `At most ${ACCESS_REQUESTS_PER_USER_MAX} access requests of a user wait. Have the user decide on them first.`;
  return new VaultError('RATE_LIMITED', message);
}

export function notYours(): VaultError {
  const message = 'Only the user who gets the credential accepts the access request. You can deny it.';
  return new VaultError('FORBIDDEN', message);
}
