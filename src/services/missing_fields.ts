/** Which fields a credential lacks before it can be used, and which of them must be given in one call. Pure functions. */
import type { CredentialStatus } from '../contract/credential.ts';
import { EXPIRY_NOTICE_MS } from '../contract/limits.ts';
import type { Service } from '../contract/service/service.ts';
import { fieldRole } from './destination.ts';
import { connectCommand, connectGrants } from './oauth/connect.ts';

type Presences = Pick<CredentialStatus, 'required_credentials' | 'optional_credentials'>;

/** The required fields without a value, and those of the group in `requires` that lacks the fewest. */
export function missingFields(service: Pick<Service, 'requires'> | undefined, status: Presences): string[] {
  const presences = { ...status.optional_credentials, ...status.required_credentials };
  const required = Object.keys(status.required_credentials);
  const isMissing = (id: string) => presences[id] !== 'added';
  const [nearest = []] = (service?.requires ?? [])
    .map((group) => ({ missing: group.filter(isMissing), size: group.length }))
    // Of two that lack as many, the one that has more.
    .sort((a, b) => a.missing.length - b.missing.length || b.size - a.size)
    .map(({ missing }) => missing);
  return [...new Set([...required.filter(isMissing), ...nearest])];
}

/**
 * The stored secrets to give again together with the missing fields: a field that decides where secrets are sent is not
 * accepted without them. Empty if no such field is missing.
 */
export function secretsToRepeat(service: Service, status: Presences): string[] {
  if (!missingFields(service, status).some((id) => fieldRole(service, id) === 'destination')) return [];
  const presences = { ...status.optional_credentials, ...status.required_credentials };
  return service.fields
    .filter(({ field_id, secret }) => secret && presences[field_id] === 'added')
    .map(({ field_id }) => field_id);
}

/** For a tool's text: the missing fields, and the call that sets them. `same`: see `sameCredentialHint`. */
export function describeMissingFields(service: Service, status: Presences, same: string): string {
  const missing = missingFields(service, status).join(', ');
  const repeated = secretsToRepeat(service, status);
  if (repeated.length === 0)
    return `${missing}; set them with update_credentials${same}.${describeConnect(service)}`;
  return `${missing}. They decide where the secrets are sent: call update_credentials${same} once, with them and with the values of ${repeated.join(', ')} again; or have the user run \`keyhold update ${service.slug} ${missing.replaceAll(',', '')}\`.${describeConnect(service)}`;
}

/** For a tool's text about a credential that is not stored yet. */
export function describeNeededFields(service: Service, status: Presences, same: string): string {
  const missing = missingFields(service, status);
  const tools =
    missing.length > 1
      ? 'Set all in one call of update_credentials'
      : 'Use store_credential or update_credentials';
  return `Needed: ${missing.join(', ') || 'any field'}. ${tools}${same}.${describeConnect(service)}`;
}

/** For a service that a person connects with OAuth: the advice to do so; empty for others. */
function describeConnect(service: Service): string {
  if (connectGrants(service).length === 0) return '';
  return ` Or have the user connect it with OAuth: \`${connectCommand(service.slug)}\`.`;
}

/** For a tool's text about a stored credential: what it lacks, or how to change it. */
export function describeNextStep(
  service: Service,
  status: CredentialStatus,
  same: string,
  now: Date,
): string {
  const { pending_approval: pending } = status;
  const is_protected = status.protected ? 'It is protected: new values wait for the user. ' : '';
  const waits =
    pending === null ? '' : `Values that wait: ${pending.fields.join(', ')}; ${pending.command}. `;
  return `${is_protected}${waits}${nextStep(service, status, same)}${describeSoonExpiry(status, now)}${describeLastTest(status, same)}`;
}

function describeSoonExpiry({ expires_at }: CredentialStatus, now: Date): string {
  const remaining_ms =
    expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(expires_at) - now.getTime();
  if (remaining_ms > EXPIRY_NOTICE_MS) return '';
  return remaining_ms > 0 ? ` It expires at ${expires_at}.` : ` It expired at ${expires_at}.`;
}

function describeLastTest({ last_test, status }: CredentialStatus, same: string): string {
  if (last_test !== null) return ` Last test: ${last_test.result} (${last_test.reason}), ${last_test.at}.`;
  return status === 'active' ? ` Never tested: call test_credential${same}.` : '';
}

function nextStep(service: Service, status: CredentialStatus, same: string): string {
  if (!status.required_credentials_added) return `Missing: ${describeMissingFields(service, status, same)}`;
  if (status.status === 'needs_review')
    return `It is not used until the user approves where it is sent: \`keyhold approvals show ${status.credential_id}\`.`;
  if (status.status === 'needs_reconnect')
    return `The service no longer accepts its refresh token. Have the user run \`keyhold ${reconnectArguments(service).join(' ')}\`${same}.`;
  if (status.status === 'rejected')
    return `The service refused the values. Have the user run \`keyhold store ${service.slug}\`, or store new ones.`;
  return `Every required field is added (credential ${status.credential_id}); update_credentials${same} changes it.`;
}

/** The arguments of `keyhold` with which a person ends `needs_reconnect`. */
export function reconnectArguments(service: Service): string[] {
  if (connectGrants(service).length > 0) return ['connect', service.slug];
  return ['update', service.slug, service.oauth?.refresh_token_field ?? ''];
}
