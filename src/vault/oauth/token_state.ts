/** What a write of values means for the access token of a credential. Pure functions. */
import type { Service } from '../../contract/service/service.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { CredentialMeta, TokenState } from '../credentials/codec.ts';
import type { UsableToken } from '../uses/use.ts';

/**
 * The state after a write of these fields by a person or a program. Nothing is known of an access token that they give.
 * Beside another new secret, such as the client secret, the old access token is refreshed at the next use.
 */
export function tokenAfterWrite(
  service: Service | undefined,
  before: Pick<CredentialMeta, 'token'> | undefined,
  fields: readonly string[],
  now: Date,
): TokenState | undefined {
  const token = before?.token;
  if (token === undefined) return undefined;
  const { stable_revision: _, ...kept } = token;
  const given = (service?.fields ?? []).filter(({ field_id, secret }) => secret && fields.includes(field_id));
  if (given.length === 0) return kept;
  const access_token = service?.oauth?.access_token_field;
  if (given.some(({ field_id }) => field_id === access_token)) return undefined;
  return { ...(token.grant === undefined ? {} : { grant: token.grant }), expires_at: formatTimestamp(now) };
}

/** How long before its end an access token is refreshed: half of its lifetime if that is shorter. */
export function refreshBeforeMs(
  { lifetime_ms }: Pick<UsableToken, 'lifetime_ms'>,
  before_ms: number,
): number {
  return Math.min(before_ms, (lifetime_ms ?? before_ms) / 2);
}
