/** Expands `{field_id}` in the templates of a definition. Text of a caller is never expanded. */
import { Secret } from '../../../contract/secret.ts';
import type { Service } from '../../../contract/service/service.ts';
import { PLACEHOLDER_PATTERN } from '../../../contract/service/texts.ts';

export type FieldValues = ReadonlyMap<string, Secret>;

/** The text with the values, each passed through `encode`; `undefined` if a field has no value. */
export function expand(
  template: string,
  values: FieldValues,
  encode: (value: string) => string = (value) => value,
): string | undefined {
  let is_complete = true;
  const text = template.replaceAll(PLACEHOLDER_PATTERN, (_, id: string) => {
    const value = values.get(id);
    if (value === undefined) is_complete = false;
    return value === undefined ? '' : encode(value.reveal());
  });
  return is_complete ? text : undefined;
}

export function expandSecret(template: string, values: FieldValues): Secret | undefined {
  const text = expand(template, values);
  return text === undefined || text === '' ? undefined : new Secret(text);
}

/** Those without a missing field, by name. */
export function expandAll(
  templates: Readonly<Record<string, string>>,
  values: FieldValues,
): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, template] of Object.entries(templates)) {
    const text = expand(template, values);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

/** Whether a template has a field of the credential. */
export function hasField(template: string): boolean {
  return template.search(PLACEHOLDER_PATTERN) !== -1;
}

/** The values that are known before any is opened: those of the destination, and defaults. */
export function knownValues(service: Service, fields: Readonly<Record<string, string>>): FieldValues {
  const given = Object.entries(fields).map(([id, value]) => [id, new Secret(value)] as const);
  return withDefaults(service, new Map(given));
}

export function withDefaults(service: Service, values: FieldValues): FieldValues {
  const defaults = service.fields.flatMap(({ field_id, default: value }) =>
    value === undefined ? [] : [[field_id, new Secret(value)] as const],
  );
  return new Map([...defaults, ...values]);
}
