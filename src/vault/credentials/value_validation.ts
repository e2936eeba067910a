/** What a value must be before it is sealed. Messages name the field and the rule, never the value. */
import { VaultError } from '../../contract/errors.ts';
import { FIELDS_PER_CREDENTIAL_MAX, VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { Secret } from '../../contract/secret.ts';
import type { CredentialType, FieldDefinition, Service } from '../../contract/service.ts';
import { isSealedValue, openSealedValue } from '../../crypto/sealed_box.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

/** Opens `sealed:` values; anything else stays as it is. */
export type Unseal = (text: string) => string;

/** Opens what was sealed to this organization, and to no other. */
export function unsealing(sodium: LoadedSodium, { box }: Pick<OrganizationKeyring, 'box'>): Unseal {
  return (text) => openSealedValue(sodium, box(), text);
}

/** Which field the one value of this type of credential fills. Throws INVALID_INPUT where there is none. */
export function fieldForType(service: Service, type: CredentialType): string {
  const { bearer, api_key } = service.value_field;
  // To a service with one token it is the same thing under two names.
  const field =
    type === 'bearer' ? (bearer ?? api_key) : type === 'api_key' ? (api_key ?? bearer) : undefined;
  if (field !== undefined) return field;
  const ids = service.fields.map(({ field_id }) => field_id).join(', ');
  throw new VaultError(
    'INVALID_INPUT',
    `${service.name} has no single value of that type. Give its fields with update_credentials instead: ${ids}.`,
  );
}

/**
 * Checks field ids and values against the service, all of them before any is taken. `unknown`: what becomes of a field
 * that the service does not define. Where those are kept, an empty text is a field that is not given, as forms send
 * them, unless it is required.
 */
export function checkValues(
  service: Service,
  all: ReadonlyMap<string, string>,
  unseal: Unseal,
  unknown: 'refuse' | 'keep' = 'refuse',
): Map<string, Secret> {
  const known = fieldsOf(service);
  const isGiven = ([id, text]: [string, string]) => text !== '' || known.get(id)?.required === true;
  const given = unknown === 'keep' ? new Map([...all].filter(isGiven)) : all;
  if (given.size === 0) throw new VaultError('INVALID_INPUT', 'credentials must name at least one field.');
  if (given.size > FIELDS_PER_CREDENTIAL_MAX) {
    throw new VaultError(
      'INVALID_INPUT',
      `credentials must have at most ${FIELDS_PER_CREDENTIAL_MAX} fields.`,
    );
  }
  for (const id of given.keys()) {
    if (known.has(id) || (unknown === 'keep' && FREE_FIELD_PATTERN.test(id))) continue;
    throw new VaultError(
      'INVALID_INPUT',
      unknown === 'keep'
        ? 'credentials names a field that cannot be: up to 64 letters, digits, blanks, "_", "." or "-".'
        : `credentials names a field that ${service.name} does not have. Its fields: ${[...known.keys()].join(', ')}.`,
    );
  }
  const checked = new Map<string, Secret>();
  for (const [id, text] of given) checked.set(id, checkValue(known.get(id) ?? freeField(id), text, unseal));
  return checked;
}

const fields_by_service = new WeakMap<Service, ReadonlyMap<string, FieldDefinition>>();

/** The service's fields by their ids. */
function fieldsOf(service: Service): ReadonlyMap<string, FieldDefinition> {
  const known = fields_by_service.get(service);
  if (known !== undefined) return known;
  const fields = new Map(service.fields.map((field) => [field.field_id, field]));
  fields_by_service.set(service, fields);
  return fields;
}

/**
 * Free fields are named by programs of other systems, in more ways than a definition may; but for the one name that is
 * no field of an object like others.
 */
const FREE_FIELD_PATTERN = /^(?!__proto__$)[\p{L}\p{N}_](?:[\p{L}\p{N}_.\- ]{0,62}[\p{L}\p{N}_.-])?$/u;

function freeField(field_id: string): Pick<FieldDefinition, 'field_id' | 'max_length'> {
  return { field_id, max_length: VALUE_MAX_BYTES };
}

/**
 * Free values as texts: booleans and numbers in JavaScript's own spelling, lists and objects as JSON. What is null is
 * not given. Throws INVALID_INPUT for a number that may have lost digits when it was read.
 */
export function customFieldValues(credentials: Readonly<Record<string, unknown>>): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [field, value] of Object.entries(credentials)) {
    if (value === null) continue;
    if (!keepsNumbers(value)) throw lostDigits(field);
    texts.set(field, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return texts;
}

/** So many significant digits come back the same from a double; of a number with more, some may be lost. */
const DIGITS_KEPT = 15;

/** Whether the numbers in it are as they were sent, as far as that can be told once they are read. */
function keepsNumbers(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(keepsNumbers);
  if (typeof value !== 'number') return true;
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return false;
  const [digits = ''] = value.toExponential().split('e');
  return digits.replace(/[-.]/g, '').length <= DIGITS_KEPT;
}

/** A name that can be no field's is not repeated: it may be a value in the wrong place. */
function lostDigits(field: string): VaultError {
  const where = FREE_FIELD_PATTERN.test(field) ? `The value of ${field}` : 'A value of credentials';
  return new VaultError(
    'INVALID_INPUT',
    `${where} has a number of more than ${DIGITS_KEPT} digits, some of which may be lost. Send it as text, in quotes.`,
  );
}

/** What stands for a value in an environment or another store: kept as a value, it would be sent as if it were one. */
const REFERENCE_PATTERN = /^\s*(?:env|vault):\/\//i;

/** Not a tab, nor what ends a line: those are the pattern's business. */
const CONTROL_CHARACTER = /(?![\t\n\r])\p{Cc}/u;

type CheckedField = Pick<FieldDefinition, 'field_id' | 'max_length' | 'pattern' | 'example'>;

function checkValue(field: CheckedField, text: string, unseal: Unseal): Secret {
  const value = isSealedValue(text) ? unseal(text) : text;
  const refuse = (what: string): never => {
    throw new VaultError('INVALID_INPUT', `The value of ${field.field_id} ${what}.`);
  };
  if (isSealedValue(value)) {
    throw new VaultError('INVALID_INPUT', `The value of ${field.field_id} was sealed twice. Seal it once.`, {
      reason: 'double_seal',
    });
  }
  if (value.trim() === '') refuse('is empty');
  if (REFERENCE_PATTERN.test(value)) refuse('is a reference to a value elsewhere; give the value itself');
  if (!value.isWellFormed()) refuse('is not well-formed text (it has half of a surrogate pair)');
  if (Buffer.byteLength(value) > VALUE_MAX_BYTES) refuse(`is larger than ${VALUE_MAX_BYTES / 1024} KiB`);
  if (value.length > field.max_length) refuse(`is longer than ${field.max_length} characters`);
  // What may not have a blank may have no control character either, which "\S" lets by.
  const { pattern } = field;
  if (pattern !== undefined && (CONTROL_CHARACTER.test(value) || !wholeMatch(pattern).test(value))) {
    refuse(
      `does not have the form it should${field.example === undefined ? '' : ` (such as ${field.example})`}`,
    );
  }
  return new Secret(value);
}

/** Compiled once each: there are as many patterns as fields of services, which have a limit. */
const compiled = new Map<string, RegExp>();

function wholeMatch(pattern: string): RegExp {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const made = new RegExp(`^(?:${pattern})$`, 'u');
  compiled.set(pattern, made);
  return made;
}
