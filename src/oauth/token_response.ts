/** Parses the response of a token endpoint: the tokens and captured fields, validated as values that a person gives. */
import { Secret } from '../contract/secret.ts';
import type { OAuthEndpoints } from '../contract/service/authentication.ts';
import type { Service } from '../contract/service/service.ts';
import { timestampAfter } from '../contract/timestamp.ts';
import { fieldRole } from '../services/destination.ts';
import type { ObtainedTokens } from '../vault/oauth/credential_tokens.ts';
import { findValueProblem } from '../vault/values/value_text.ts';
import { TokenRequestError } from './token_request_error.ts';

export interface ReceivedTokens {
  readonly access_token: string;
  readonly refresh_token?: string | undefined;
  readonly expires_in?: number | undefined;
}

/** Throws TokenRequestError for a token that cannot be sent in a header. `received`: the whole JSON of the response. */
export function obtainedTokens(
  service: Service,
  oauth: OAuthEndpoints,
  { access_token, refresh_token, expires_in = oauth.expires_in_default_seconds }: ReceivedTokens,
  received: unknown,
  now: Date,
): ObtainedTokens {
  const texts = new Map<string, string>();
  for (const [field_id, pointer] of Object.entries(oauth.capture ?? {})) {
    const found = valueAt(received, pointer);
    // A response must not decide where the tokens are sent.
    if (found !== undefined && fieldRole(service, field_id) !== 'destination') texts.set(field_id, found);
  }
  if (oauth.access_token_field !== undefined) texts.set(oauth.access_token_field, access_token);
  if (oauth.refresh_token_field !== undefined && refresh_token !== undefined)
    texts.set(oauth.refresh_token_field, refresh_token);
  const values = new Map<string, Secret>();
  for (const [field_id, text] of texts) {
    const field = service.fields.find((one) => one.field_id === field_id);
    if (field === undefined) continue;
    const is_token = field_id === oauth.access_token_field || field_id === oauth.refresh_token_field;
    const is_usable =
      text !== '' &&
      text.length <= field.max_length &&
      !/[\r\n]/.test(text) &&
      findValueProblem(text, field) === undefined;
    if (is_usable) values.set(field_id, new Secret(text));
    else if (is_token)
      throw new TokenRequestError('failed', `the provider returned a ${field.name} that cannot be used`);
  }
  const lifetime_ms = expires_in === undefined ? undefined : expires_in * 1000;
  return { values, expires_at: timestampAfter(now, lifetime_ms) };
}

/** RFC 6901; texts, numbers and booleans only. */
function valueAt(json: unknown, pointer: string): string | undefined {
  const steps = pointer.split('/').slice(1);
  let at: unknown = json;
  for (const step of steps) {
    if (typeof at !== 'object' || at === null) return undefined;
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    at = Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined;
  }
  return ['string', 'number', 'boolean'].includes(typeof at) ? String(at) : undefined;
}
