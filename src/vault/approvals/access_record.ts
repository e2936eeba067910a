/** The record of an access request, its views and its errors. Pure functions. */

import type { AccessRequest } from '../../contract/access_request.ts';
import { Approval, NO_REQUEST, type Waiting } from '../../contract/approval.ts';
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
  /** Where the credential is stored, if not as requested. */
  readonly accepted_as?: Omit<CredentialRef, 'service'>;
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
    stack_id: acceptedRef(meta).stack,
    name: acceptedRef(meta).name,
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

/** For a notification. */
export function waitingAccess({ id, access, ...approval }: Approval): Waiting {
  const { organization, user, summary, created_at, expires_at } = approval;
  const waiting = { kind: 'access_request', approval_id: id, organization, user, summary } as const;
  return { ...waiting, code: access?.code ?? null, created_at, expires_at: expires_at ?? '' };
}

export function resultOf({ id, meta }: FoundAccess): AccessRequest {
  const { code, expires_at, state, service: service_id, accepted_as } = meta;
  return {
    ...(accepted_as === undefined
      ? {}
      : { accepted_as: { stack_id: accepted_as.stack, name: accepted_as.name } }),
    approval_id: id,
    service_id,
    code,
    expires_at,
    state: state === 'approved' ? 'approved' : 'pending',
  };
}

/** The credential that the values are stored in. */
export function acceptedRef({ user, stack, service, name, accepted_as }: AccessMeta): CredentialRef {
  return { user, stack, service, name, ...accepted_as };
}

export function keyOf({ user, stack, service, name }: CredentialRef): string[] {
  return [user, stack, service, name ?? ''];
}

export function factsOf({ id, revision, meta }: FoundAccess): EntryFacts {
  return { ref: acceptedRef(meta), record_id: id, revision };
}

export function accessDenied(): VaultError {
  const message = 'The user denied this access. Do not request it again today.';
  return new VaultError('FORBIDDEN', message, { reason: 'approval_denied' });
}

export function tooMany(): VaultError {
  const message = `At most ${ACCESS_REQUESTS_PER_USER_MAX} access requests of a user wait. Have the user decide on them first.`;
  return new VaultError('RATE_LIMITED', message);
}

export function alreadyStored(): VaultError {
  const message =
    'A credential of this name exists already, and its limits would not change. Accept with another name, or change its limits with `keyhold update`.';
  return new VaultError('CONFLICT', message, { reason: 'credential_exists' });
}

export function notYours(): VaultError {
  const message = 'Only the user who gets the credential accepts the access request. You can deny it.';
  return new VaultError('FORBIDDEN', message);
}
