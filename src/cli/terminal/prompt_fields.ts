/** Asks for the fields of a service one by one, and again for one that cannot be right. Keeps nothing. */
import { VaultError } from '../../contract/errors.ts';
import type { FieldDefinition, Service } from '../../contract/service.ts';
import { isSealedValue } from '../../crypto/sealed_box.ts';
import { checkValues } from '../../vault/credentials/value_validation.ts';
import type { CliContext } from '../context.ts';
import { note } from './output.ts';
import { promptText } from './prompt.ts';

const ATTEMPTS_MAX = 3;

/**
 * Asks for every field, the required ones first; secret ones unseen. Enter passes over an optional one, and over
 * any one with `update`, which leaves what is there. Throws INVALID_INPUT when nothing was given, or a field stays
 * wrong.
 */
export async function promptFields(
  context: CliContext,
  service: Service,
  purpose: 'store' | 'update',
): Promise<Record<string, string>> {
  const given: Record<string, string> = {};
  const in_order = [...service.fields].sort((a, b) => Number(b.required) - Number(a.required));
  for (const field of in_order) {
    const needed = field.required && purpose === 'store';
    const value = await promptField(context, service, field, { needed, hidden: field.secret });
    if (value !== undefined) given[field.field_id] = value;
  }
  if (Object.keys(given).length === 0)
    throw new VaultError('INVALID_INPUT', 'No value was given; nothing was changed.');
  return given;
}

/** Asks for one field. `undefined`: it was passed over, which a `needed` one cannot be. */
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
      ? (await context.askSecret(question))?.reveal()
      : await promptText(question, context);
    if (value === undefined && !needed) return undefined;
    const problem = value === undefined ? `${field.name} is required.` : problemWith(service, field, value);
    if (problem === undefined) return value;
    if (attempt === ATTEMPTS_MAX) throw new VaultError('INVALID_INPUT', `${problem} Nothing was changed.`);
    await note(context, problem);
  }
}

function problemWith(service: Service, field: FieldDefinition, value: string): string | undefined {
  // Only the vault can look inside of it, and will.
  if (isSealedValue(value)) return undefined;
  try {
    checkValues(service, new Map([[field.field_id, value]]), (text) => text);
    return undefined;
  } catch (error) {
    if (error instanceof VaultError) return error.message;
    throw error;
  }
}
