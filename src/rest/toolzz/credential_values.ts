/** The values of a new credential in the Toolzz dialect, by field id of the service. */
import { VaultError } from '../../contract/errors.ts';
import type { CredentialType, Service } from '../../contract/service/service.ts';

/** The name that Toolzz uses for the only value of any service. */
const ONE_VALUE = 'api_key';

/**
 * Merges the objects. Throws INVALID_INPUT for a field that is repeated, unknown, not a string, or required and missing:
 * no other request of that API could add it.
 */
export function credentialValues(
  service: Service,
  given: readonly Readonly<Record<string, unknown>>[],
): Record<string, string> {
  const ids = service.fields.map(({ field_id }) => field_id);
  const values = new Map<string, string>();
  for (const [name, value] of given.flatMap((fields) => Object.entries(fields))) {
    if (value === null) continue;
    const field = ids.includes(name) ? name : name === ONE_VALUE ? valueField(service) : undefined;
    if (field === undefined) {
      const message = `credentials names a field that ${service.name} does not have. Its fields: ${ids.join(', ')}.`;
      throw new VaultError('INVALID_INPUT', message);
    }
    if (values.has(field)) throw new VaultError('INVALID_INPUT', `credentials gives ${field} twice.`);
    // Never converted to a string: `[object Object]` is not a key.
    if (typeof value !== 'string')
      throw new VaultError('INVALID_INPUT', `credentials: ${field} must be a string.`);
    values.set(field, value);
  }
  const missing = service.fields.filter(({ field_id, required }) => required && !values.has(field_id));
  if (missing.length > 0) {
    const names = missing.map(({ field_id }) => field_id).join(', ');
    throw new VaultError('INVALID_INPUT', `credentials must also have: ${names}.`);
  }
  return Object.fromEntries(values);
}

function valueField({ value_field }: Service): string | undefined {
  return value_field.api_key ?? value_field.bearer;
}

/** An API key, if the service takes one. */
export function typeOf({ credential_types }: Service): CredentialType {
  return credential_types.includes('api_key') ? 'api_key' : (credential_types[0] ?? 'custom');
}
