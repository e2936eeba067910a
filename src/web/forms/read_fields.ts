/** Reads what a person entered for the fields of a service. Keeps nothing, and no message repeats a value. */
import { VaultError } from '../../contract/errors.ts';
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import { textOf } from '../page.ts';

/** Prefixes of the names of controls, which no other control of a page has. */
export const VALUE_PREFIX = 'value.';
export const FILE_PREFIX = 'file.';
/** The control for the expiry. */
export const EXPIRES_FIELD = 'expires_at';

/** Why a field, or all of the fields, was refused. */
export interface FieldProblem {
  /** `undefined`: the message is not about one field. */
  readonly field_id: string | undefined;
  readonly message: string;
}

/** The values by field id: of a text, or of the file that was chosen instead. Empty ones are left out. */
export async function readFieldValues(sent: FormData): Promise<Record<string, string>> {
  const values = new Map<string, string>();
  for (const [name, entry] of sent) {
    if (name.startsWith(VALUE_PREFIX) && typeof entry === 'string' && entry.trim() !== '')
      values.set(name.slice(VALUE_PREFIX.length), entry.replaceAll('\r\n', '\n'));
    if (!name.startsWith(FILE_PREFIX) || typeof entry === 'string' || entry.size === 0) continue;
    const field_id = name.slice(FILE_PREFIX.length);
    if (entry.size > VALUE_MAX_BYTES)
      throw new VaultError('INVALID_INPUT', `The file is larger than ${VALUE_MAX_BYTES / 1024} KiB.`);
    if (values.has(field_id)) throw new VaultError('INVALID_INPUT', 'Give the text or the file, not both.');
    values.set(field_id, await entry.text());
  }
  return Object.fromEntries(values);
}

/** The expiry as a timestamp, from a control of date and time in UTC; `undefined` if it was left empty. */
export function readExpiry(sent: FormData): string | undefined {
  const text = textOf(sent, EXPIRES_FIELD);
  if (text === '') return undefined;
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?$/.test(text))
    throw new VaultError('INVALID_INPUT', 'The expiry is not a date and time such as 2030-01-31T12:00.');
  return text.length === 16 ? `${text}:00Z` : `${text}Z`;
}

/** The problem of the field that a refusal names, with the field's name for people. */
export function fieldProblem(fields: readonly FieldDefinition[], error: VaultError): FieldProblem {
  const refused = fields.find(({ field_id }) => error.message.startsWith(`The value of ${field_id} `));
  if (refused === undefined) return { field_id: undefined, message: error.message };
  const { field_id, name } = refused;
  return { field_id, message: error.message.replace(field_id, () => name) };
}
