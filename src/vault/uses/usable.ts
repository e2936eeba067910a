/** Whether a stored credential can be used now. Each refusal names the next step. Pure functions. */
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { msUntil } from '../../contract/timestamp.ts';
import { missingFields } from '../../services/missing_fields.ts';
import { connectCommand, connectGrants } from '../../services/oauth/connect.ts';
import { tokenGrantOf } from '../../services/oauth/grants.ts';
import { type CredentialMeta, stableRevisionOf, type TokenState } from '../credentials/codec.ts';
import { credentialStatus } from '../credentials/status.ts';
import { type BindingParts, reviewDestination } from '../destinations/binding.ts';
import type { UsableCredential, UsePurpose } from './use.ts';

/**
 * Returns where the credential may be sent. Throws INACTIVE, EXPIRED, INVALID_INPUT or FORBIDDEN. `purpose`: a credential that
 * the service refused can still be tested, since it may have been repaired there.
 */
export function assertUsable(
  parts: BindingParts,
  service: Service,
  meta: CredentialMeta,
  now: Date,
  purpose: UsePurpose = 'request',
): Destination {
  const review = reviewDestination(parts, service, meta);
  const presence = credentialStatus(service, meta, now, review);
  const { status } = presence;
  const { slug } = service;
  if (status === 'inactive') {
    const message = 'This credential is switched off. Ask the user to switch it on, then call again.';
    throw new VaultError('INACTIVE', message, { next: 'Ask the user to switch the credential on.' });
  }
  const can_connect = connectGrants(service).length > 0;
  const connect = connectCommand(slug, meta.stack, meta.name);
  if (status === 'expired') {
    const next =
      can_connect && meta.token !== undefined
        ? `Have the user connect it again with \`${connect}\`.`
        : `Store a new one with \`keyhold store ${slug}\`.`;
    throw new VaultError('EXPIRED', `This credential has expired. ${next}`, { next });
  }
  if (status === 'incomplete') {
    const missing = missingFields(service, presence);
    const or_connect = can_connect ? `, or have the user connect it with \`${connect}\`` : '';
    const next = `Add the missing fields with \`keyhold update ${slug} ${missing.join(' ')}\`${or_connect}.`;
    const message = `This credential is incomplete: it has no ${missing.join(', ')}. ${next}`;
    throw new VaultError('INVALID_INPUT', message, { next });
  }
  if (status === 'needs_review' || review.bound === undefined) {
    const message =
      'A person must review where this credential may be sent before it is used. Run `keyhold approvals list`.';
    throw new VaultError('FORBIDDEN', message, {
      reason: 'needs_review',
      next: `Ask the user to run \`keyhold approvals show ${meta.id}\`.`,
    });
  }
  if (status === 'needs_reconnect') throw needsReconnect(service, meta);
  if (status === 'rejected' && purpose === 'request') {
    const message = `${service.name} refused the stored values. Store new ones with \`keyhold store ${slug}\`.`;
    throw new VaultError('FORBIDDEN', message, {
      reason: 'credential_rejected',
      next: `Replace the values with update_credentials, or have the user run \`keyhold store ${slug}\`.`,
    });
  }
  return { ...review.bound, origins: review.allowed };
}

/** The provider refuses the refresh token: only a person can get a new one. */
export function needsReconnect(
  service: Pick<Service, 'name' | 'slug' | 'oauth'>,
  { stack, name }: Pick<CredentialMeta, 'stack' | 'name'>,
): VaultError {
  const { slug, oauth } = service;
  const can_connect = connectGrants(service).length > 0;
  const command = can_connect
    ? connectCommand(slug, stack, name)
    : `keyhold update ${slug} ${oauth?.refresh_token_field ?? ''}`;
  const step = can_connect ? 'Connect it again' : 'Store a new one';
  return new VaultError(
    'FORBIDDEN',
    `${service.name} no longer accepts the refresh token of this credential. ${step} with \`${command}\`.`,
    { reason: 'needs_reconnect', next: `Ask the user to run \`${command}\`.` },
  );
}

/** The credential as uses see it. `fields`: those with a value that are used. */
export function usableCredential(
  service: Service,
  meta: CredentialMeta,
  fields: readonly string[],
  destination: Destination,
): UsableCredential {
  const { token } = meta;
  const grant = tokenGrantOf(service, fields, token?.grant);
  // The expiry that a person gave together with a refresh token is that of the access token.
  const given = grant === 'refresh_token' ? meta.expires_at : null;
  return {
    service,
    credential_id: meta.id,
    user: meta.user,
    stack: meta.stack,
    name: meta.name,
    revision: meta.revision,
    stable_revision: stableRevisionOf(meta),
    fields,
    destination,
    policy: meta.use_policy,
    is_rejected: meta.rejected !== undefined,
    ...(grant === undefined
      ? {}
      : {
          token: {
            grant,
            expires_at: token?.expires_at ?? given,
            lifetime_ms: lifetimeOf(token),
            origins: meta.destination?.origins ?? [],
          },
        }),
  };
}

function lifetimeOf(token: TokenState | undefined): number | undefined {
  const { expires_at = null, obtained_at } = token ?? {};
  return expires_at === null || obtained_at === undefined
    ? undefined
    : msUntil(expires_at, new Date(obtained_at));
}
