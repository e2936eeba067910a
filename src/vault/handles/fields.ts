/** Which fields a person may enter with a handle, and the values that were entered. Pure functions. */
import { VaultError } from '../../contract/errors.ts';
import type { HandleInput } from '../../contract/handle.ts';
import type { Service } from '../../contract/service/service.ts';
import { fieldRole } from '../../services/destination.ts';
import { missingFields, secretsToRepeat } from '../../services/missing_fields.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import { credentialStatus } from '../credentials/status.ts';
import { fieldForType } from '../credentials/value_validation.ts';
import type { HandleMeta } from './records.ts';

type EnteredFields = Pick<HandleMeta, 'fields' | 'required'>;

/**
 * The fields, in the order of the definition. Stored secrets are among them if one of the others decides where they are
 * sent: it is accepted only together with them. Throws INVALID_INPUT for a field that the service does not have.
 */
export function fieldsToEnter(
  service: Service,
  present: CredentialMeta | undefined,
  { credential_type, fields: named }: Pick<HandleInput, 'credential_type' | 'fields'>,
  now: Date,
): EnteredFields {
  if (credential_type !== undefined) {
    if (named !== undefined) throw fieldsWithType();
    const field = fieldForType(service, credential_type);
    return { fields: [field], required: [field] };
  }
  const status = credentialStatus(service, present, now);
  const missing = missingFields(service, status);
  if (named === undefined && missing.length > 0) {
    const fields = inOrder(service, [...missing, ...secretsToRepeat(service, status)]);
    return { fields, required: fields };
  }
  const all = service.fields.map(({ field_id }) => field_id);
  for (const id of named ?? []) if (!all.includes(id)) throw unknownField(service);
  const repeated =
    named !== undefined && isDestinationAmong(service, named) ? storedSecrets(service, present) : [];
  return {
    fields: inOrder(service, [...(named ?? all), ...repeated]),
    required: inOrder(service, [...missing.filter((id) => named?.includes(id)), ...repeated]),
  };
}

/** Whether one of the fields decides where the secrets are sent. */
export function isDestinationAmong(service: Service, fields: readonly string[]): boolean {
  return fields.some((id) => fieldRole(service, id) === 'destination');
}

/** The values that are not empty. Throws INVALID_INPUT for a field that is not of the handle, and without a required one. */
export function givenValues(
  service: Service,
  { fields, required }: EnteredFields,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const entries = Object.entries(given).filter(([, text]) => text.trim() !== '');
  if (entries.some(([id]) => !fields.includes(id))) {
    const message = `Only these fields can be entered here: ${fields.join(', ')}.`;
    throw new VaultError('INVALID_INPUT', message);
  }
  const missing = required.filter((id) => !entries.some(([entered]) => entered === id));
  if (missing.length > 0 || entries.length === 0) {
    const names = service.fields.filter(({ field_id }) => missing.includes(field_id)).map(({ name }) => name);
    throw new VaultError('INVALID_INPUT', `Enter a value for ${names.join(', ') || 'at least one field'}.`);
  }
  return Object.fromEntries(entries);
}

function storedSecrets(service: Service, present: CredentialMeta | undefined): string[] {
  const secrets = service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id);
  return secrets.filter((id) => present?.fields.includes(id));
}

function inOrder(service: Service, ids: readonly string[]): string[] {
  return service.fields.map(({ field_id }) => field_id).filter((id) => ids.includes(id));
}

function fieldsWithType(): VaultError {
  return new VaultError('INVALID_INPUT', 'fields cannot be given together with credential_type.');
}

function unknownField(service: Service): VaultError {
  const ids = service.fields.map(({ field_id }) => field_id).join(', ');
  const message = `fields names a field that ${service.name} does not have. Its fields: ${ids}.`;
  return new VaultError('INVALID_INPUT', message);
}
