/** Prompts for the fields of a service one by one, and again after an invalid value. Stores nothing. */
import { VaultError } from '../../contract/errors.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { Service } from '../../contract/service/service.ts';
import { isSealedValue } from '../../crypto/sealed_value.ts';
import { checkValues } from '../../vault/credentials/value_validation.ts';
import { normalizeValue } from '../../vault/values/value_text.ts';
import type { CliContext } from '../context.ts';
import { note } from './output.ts';
import { promptText } from './prompt.ts';

const ATTEMPTS_MAX = 3;

/**
 * Prompts for every field, the required ones first and the secret ones without echo. Enter skips an optional field, and any
 * field with `update`. `set`: values that need no prompt. Throws INVALID_INPUT if every field was skipped or a value stays invalid.
 */
export async function promptFields(
  context: CliContext,
  service: Service,
  purpose: 'store' | 'update',
  set: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  const given: Record<string, string> = { ...set };
  const in_order = [...service.fields].sort((a, b) => Number(b.required) - Number(a.required));
  for (const field of in_order) {
    if (Object.hasOwn(set, field.field_id)) continue;
    const needed = field.required && purpose === 'store';
    const value = await promptField(context, service, field, { needed, hidden: field.secret });
    if (value !== undefined) given[field.field_id] = value;
  }
  if (Object.keys(given).length === 0)
    throw new VaultError('INVALID_INPUT', 'No value was given; nothing was changed.');
  return given;
}

/** Prompts for one field. Returns `undefined` if it was skipped, which a `needed` field cannot be. */
export async function promptField(
  context: CliContext,
  service: Service,
  field: FieldDefinition,
  { needed, hidden }: { readonly needed: boolean; readonly hidden: boolean },
): Promise<string | undefined> {
  const help = field.help_url === undefined ? '' : ` ${field.help_url}`;
  const question = `${service.name}: ${field.name}${needed ? '' : ' (Enter to skip)'}${help}`;
  for (let attempt = 1; ; attempt++) {
    const value = hidden
      ? (await context.promptSecret(question))?.reveal()
      : await promptText(question, context);
    if (value === undefined && !needed) return undefined;
    const problem = value === undefined ? `${field.name} is required.` : findProblem(service, field, value);
    if (problem === undefined) return value;
    if (attempt === ATTEMPTS_MAX) throw new VaultError('INVALID_INPUT', `${problem} Nothing was changed.`);
    await note(context, problem);
  }
}

function findProblem(service: Service, field: FieldDefinition, value: string): string | undefined {
  // Only the vault can decrypt and check a sealed value.
  if (isSealedValue(normalizeValue(value))) return undefined;
  try {
    checkValues(service, new Map([[field.field_id, value]]), (text) => text);
    return undefined;
  } catch (error) {
    if (error instanceof VaultError) return error.message;
    throw error;
  }
}
