/** The values of a credential after a write: which fields stay, and which belong to the old value. Pure functions. */
import type { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import type { CredentialValues } from '../records/record_codec.ts';
import type { ExistingCredential } from './changes.ts';

/**
 * Fields that are issued with a token and worthless beside another one (RFC 6749, section 5.1; OpenID Connect Core,
 * section 3.1.3.3; the session token of temporary AWS keys).
 */
const ISSUED_WITH_VALUE_PATTERN =
  /(?:^|_)(?:refresh_token|id_token|session_token|expires_(?:at|in|on)|expiry|expiration)$/;

export interface ValueReplacement {
  readonly values: CredentialValues;
  readonly kept: readonly string[];
  readonly removed: readonly string[];
}

/** The values after `field` was set. Decrypts the present values only if some of them stay. */
export function replaceValue(
  current: ExistingCredential | undefined,
  { value_field }: Pick<Service, 'value_field'>,
  field: string,
  value: Secret,
): ValueReplacement {
  const others = (current?.meta.fields ?? []).filter((one) => one !== field);
  // A service with a token and a key of its own was issued the refresh token with the token.
  const is_token = field === (value_field.bearer ?? value_field.api_key);
  const removed = is_token ? others.filter((one) => ISSUED_WITH_VALUE_PATTERN.test(one)) : [];
  const kept = others.filter((one) => !removed.includes(one));
  if (current === undefined || kept.length === 0) return { values: new Map([[field, value]]), kept, removed };
  const values = new Map([...current.values()].filter(([one]) => !removed.includes(one)));
  return { values: values.set(field, value), kept, removed };
}

/** The values after an update. Decrypts the present values only if some of them stay. */
export function mergeValues(
  current: ExistingCredential | undefined,
  given: CredentialValues,
): CredentialValues {
  if (current === undefined || current.meta.fields.every((field) => given.has(field))) return given;
  return new Map([...current.values(), ...given]);
}
