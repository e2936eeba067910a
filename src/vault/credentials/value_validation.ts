/** Validates field ids and values before they are sealed. Messages name the field and the rule, never the value. */
import type { UpdateInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { FIELDS_PER_CREDENTIAL_MAX, VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { Secret } from '../../contract/secret.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { CredentialType, Service } from '../../contract/service/service.ts';
import { isSealedValue } from '../../crypto/sealed_value.ts';
import { compilePattern } from '../../services/pattern.ts';
import { sealedValueError } from '../sealed_values/reader.ts';
import { ReferenceList } from '../values/reference_list.ts';
import { parseTotp } from '../values/totp.ts';
import { isReference } from '../values/value_source.ts';
import { findValueProblem, normalizeValue } from '../values/value_text.ts';

/** Decrypts a `sealed:` value for a field. Throws INVALID_INPUT. */
export type Unseal = (text: string, field_id: string) => string;

/** The field for the single value of a credential type. Throws INVALID_INPUT if the service has no such field. */
export function fieldForType(service: Service, type: CredentialType): string {
  const { bearer, api_key } = service.value_field;
  // A service with one token may call it either.
  const field =
    type === 'bearer' ? (bearer ?? api_key) : type === 'api_key' ? (api_key ?? bearer) : undefined;
  if (field !== undefined) return field;
  const ids = service.fields.map(({ field_id }) => field_id).join(', ');
  throw new VaultError(
    'INVALID_INPUT',
    `${service.name} has no single value of that type. Update its fields instead: ${ids}.`,
  );
}

/**
 * Validates all field ids, then all values. `unknown`: whether to keep fields that the service does not define. If they
 * are kept, an empty text means that an optional field was left out: web forms send it so. `references`: those that may be
 * stored in place of a secret.
 */
export function checkValues(
  service: Service,
  all: ReadonlyMap<string, string>,
  unseal: Unseal,
  unknown: 'refuse' | 'keep' = 'refuse',
  references: ReferenceList = ReferenceList.NONE,
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
    if (known.has(id) || (unknown === 'keep' && CUSTOM_FIELD_PATTERN.test(id))) continue;
    throw new VaultError(
      'INVALID_INPUT',
      unknown === 'keep'
        ? 'credentials names a field that cannot be: up to 64 letters, digits, blanks, "_", "." or "-".'
        : `credentials names a field that ${service.name} does not have. Its fields: ${[...known.keys()].join(', ')}.`,
    );
  }
  const checked = new Map<string, Secret>();
  for (const [id, text] of given)
    checked.set(id, checkValue(known.get(id) ?? customField(id), text, unseal, references));
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

/** Names of fields that no service defines come from other systems. `__proto__` is excluded: objects lose it. */
const CUSTOM_FIELD_PATTERN = /^(?!__proto__$)[\p{L}\p{N}_](?:[\p{L}\p{N}_.\- ]{0,62}[\p{L}\p{N}_.-])?$/u;

/** Counts as not secret, so that only unmistakable placeholders are refused: its meaning is not known. */
function customField(field_id: string): CheckedField {
  // Never sent, so that a line break in it does no harm.
  return { field_id, max_length: VALUE_MAX_BYTES, secret: false, multiline: true };
}

/**
 * Converts values to text: booleans and numbers as JavaScript prints them, lists and objects as JSON. Leaves out null.
 * Throws INVALID_INPUT for a number that may have lost digits when it was parsed.
 */
export function customFieldValues(credentials: Readonly<Record<string, unknown>>): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [field, value] of Object.entries(credentials)) {
    if (value === null) continue;
    if (!hasExactNumbers(value)) throw roundedNumberError(field);
    texts.set(field, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return texts;
}

/** A double keeps this many significant digits; more may be rounded. */
const EXACT_DIGITS = 15;

/** Whether no number in the parsed value can have been rounded. */
function hasExactNumbers(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(hasExactNumbers);
  if (typeof value !== 'number') return true;
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return false;
  const [digits = ''] = value.toExponential().split('e');
  return digits.replace(/[-.]/g, '').length <= EXACT_DIGITS;
}

/** Does not repeat a name that is not a valid field id: it may be a misplaced value. */
function roundedNumberError(field: string): VaultError {
  const where = CUSTOM_FIELD_PATTERN.test(field) ? `The value of ${field}` : 'A value of credentials';
  return new VaultError(
    'INVALID_INPUT',
    `${where} has a number of more than ${EXACT_DIGITS} digits, some of which may be lost. Send it as text, in quotes.`,
  );
}

type CheckedField = Pick<
  FieldDefinition,
  'field_id' | 'kind' | 'max_length' | 'secret' | 'multiline' | 'pattern' | 'example' | 'choices'
>;

function checkValue(field: CheckedField, text: string, unseal: Unseal, references: ReferenceList): Secret {
  const given = normalizeValue(text);
  const is_sealed = isSealedValue(given);
  const value = is_sealed ? normalizeValue(unseal(given, field.field_id)) : given;
  const refuse = (what: string): never => {
    // The rule that a sealed value breaks would tell its holder something about it.
    if (is_sealed) throw sealedValueError();
    throw new VaultError('INVALID_INPUT', `The value of ${field.field_id} ${what}.`);
  };
  if (isSealedValue(value)) refuse('was sealed twice');
  if (value === '') refuse('is empty');
  if (!value.isWellFormed()) refuse('is not well-formed text (it has half of a surrogate pair)');
  if (Buffer.byteLength(value) > VALUE_MAX_BYTES) refuse(`is larger than ${VALUE_MAX_BYTES / 1024} KiB`);
  if (value.length > field.max_length) refuse(`is longer than ${field.max_length} characters`);
  if (isReference(value)) {
    // Its author cannot be shown which references resolve.
    if (is_sealed || !field.secret || references.find(value) === undefined)
      refuse(
        'is a reference to a value elsewhere that may not be resolved here; give the value itself, or have the operator allow the reference with KEYHOLD_REFERENCES',
      );
    return new Secret(value);
  }
  const problem = findValueProblem(value, field);
  if (problem !== undefined) refuse(problem);
  if (field.choices !== undefined) {
    const choice = findChoice(field.choices, value);
    return new Secret(
      choice ?? refuse(`must be one of: ${field.choices.map((one) => one.value).join(', ')}`),
    );
  }
  if (field.kind === 'totp' && parseTotp(value) === undefined)
    refuse('is not a secret of one-time codes: give the base32 secret or the otpauth: URI');
  const { pattern } = field;
  if (pattern !== undefined && !compilePattern(pattern)(value)) {
    refuse(`does not match its format${field.example === undefined ? '' : ` (example: ${field.example})`}`);
  }
  if (field.multiline !== true && /[\r\n]/.test(value))
    refuse('has a line break, which this field cannot have');
  return new Secret(value);
}

/** The choice as the definition has it: a person may type the name of a host in upper case. */
function findChoice(choices: NonNullable<FieldDefinition['choices']>, value: string): string | undefined {
  const isSame = (one: string) => one.toLowerCase() === value.toLowerCase();
  return (choices.find((choice) => choice.value === value) ?? choices.find((choice) => isSame(choice.value)))
    ?.value;
}

/** Rejects a key that parsing drops, such as `__proto__`, instead of ignoring it. */
export function assertNoDroppedFields(raw: UpdateInput, parsed: UpdateInput): void {
  if (Object.keys(raw.credentials).length === Object.keys(parsed.credentials).length) return;
  throw new VaultError('INVALID_INPUT', 'credentials names a field that there cannot be.');
}
