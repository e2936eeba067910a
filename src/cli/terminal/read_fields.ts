/** Reads field ids and values that the caller names by field. No message repeats a text that may be a value. */
import { VaultError } from '../../contract/errors.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { Service } from '../../contract/service/service.ts';
import type { CliContext } from '../context.ts';

/** The message does not repeat the argument: it may be a value. */
export function fieldOf(service: Service, field_id: string): FieldDefinition {
  const field = service.fields.find((known) => known.field_id === field_id);
  if (field !== undefined) return field;
  const ids = service.fields.map((known) => known.field_id).join(', ');
  throw new VaultError(
    'INVALID_INPUT',
    `${service.name} has no such field. Its fields: ${ids}. Name fields only; values come from a prompt, --stdin or --from-env FIELD=NAME.`,
  );
}

/** A JSON object of standard input, field id to value. */
export async function readObject(context: CliContext, service: Service): Promise<Map<string, string>> {
  const { NOT_JSON, parseStrictJson } = await import('../../io/strict_json.ts');
  const { assertNotTerminal, readStdin } = await import('./read_value.ts');
  assertNotTerminal(context);
  const { REQUEST_BODY_MAX_BYTES } = await import('../../contract/limits.ts');
  const too_large = `Standard input is larger than ${REQUEST_BODY_MAX_BYTES / 1024 / 1024} MiB.`;
  const text = await readStdin(context, REQUEST_BODY_MAX_BYTES, too_large);
  const parsed = parseStrictJson(text);
  if ('violation' in parsed) {
    if (parsed.violation === NOT_JSON) throw notAnObject();
    throw new VaultError('INVALID_INPUT', `Standard input is not accepted. ${parsed.violation}`);
  }
  const json = parsed.value;
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw notAnObject();
  return new Map(
    Object.entries(json).map(([field_id, value]) => {
      if (typeof value !== 'string') throw notAnObject();
      return [fieldOf(service, field_id).field_id, value];
    }),
  );
}

function notAnObject(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'Standard input must be a JSON object: field ids and their values, as strings. For the bare value of one field, name the field.',
  );
}
