/**
 * Decides which environment variables a child process gets, and from which fields of which services. Works on definitions
 * and on the ids of stored fields: it sees no value.
 */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { fieldsIn, PLACEHOLDER_PATTERN } from '../../contract/service/texts.ts';

/** A credential whose values a child process gets. */
export interface Source {
  readonly service: Service;
  readonly name: string | null;
  /** Ids of the fields that are stored. */
  readonly fields: readonly string[];
}

export interface Variable<From extends Source = Source> {
  readonly name: string;
  readonly source: From;
  /** With `{field_id}` as the placeholder for a value. */
  readonly template: string;
  /** The fields in the template. */
  readonly fields: readonly string[];
  /** The child gets the path of a private file with the text. */
  readonly is_file: boolean;
}

/**
 * The variables of all sources, in the order of their definitions. A variable with a field that is neither stored nor has a
 * default is left out. Throws INVALID_INPUT if two sources set the same variable, or a source sets none.
 */
export function planVariables<From extends Source>(sources: readonly From[]): readonly Variable<From>[] {
  const variables = new Map<string, Variable<From>>();
  for (const source of sources) {
    const added = variablesOf(source);
    if (added.length === 0) throw noVariables(source.service);
    for (const variable of added) {
      const other = variables.get(variable.name);
      if (other !== undefined) throw conflict(variable.name, other.source.service, source.service);
      variables.set(variable.name, variable);
    }
  }
  return [...variables.values()];
}

/** Whether the definition names any variable. */
export function hasVariables({ fields, environment }: Service): boolean {
  const named = fields.some(({ env, env_file }) => env !== undefined || env_file !== undefined);
  return named || Object.keys(environment ?? {}).length > 0;
}

function variablesOf<From extends Source>(source: From): Variable<From>[] {
  const { service, fields: stored } = source;
  const available = new Set(stored);
  for (const field of service.fields) if (field.default !== undefined) available.add(field.field_id);
  const named = service.fields.flatMap(({ field_id, env = [], env_file = [] }) => [
    ...env.map((name) => ({ name, template: `{${field_id}}`, is_file: false })),
    ...env_file.map((name) => ({ name, template: `{${field_id}}`, is_file: true })),
  ]);
  const templated = Object.entries(service.environment ?? {}).map(([name, template]) => ({
    name,
    template,
    is_file: false,
  }));
  return [...named, ...templated]
    .map((variable) => ({ ...variable, source, fields: fieldsOf(variable.template) }))
    .filter(({ fields }) => fields.every((id) => available.has(id)));
}

function fieldsOf(template: string): string[] {
  return [...new Set(fieldsIn(template))];
}

/**
 * The text of a template. In a URL, values are percent-encoded (RFC 3986), except in its host and port. `undefined` if a
 * value is missing or empty.
 */
export function fillTemplate(
  template: string,
  textOf: (field_id: string) => string | undefined,
): string | undefined {
  const values = new Map(fieldsOf(template).map((id) => [id, textOf(id)]));
  if ([...values.values()].some((value) => value === undefined || value === '')) return undefined;
  const fill = (text: string, encode: (value: string) => string) =>
    text.replaceAll(PLACEHOLDER_PATTERN, (_, id: string) => encode(values.get(id) ?? ''));
  const [, scheme, user = '', host = '', rest = ''] =
    /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*@)?([^/?#]*)(.*)$/is.exec(template) ?? [];
  const as_it_is = (value: string) => value;
  if (scheme === undefined) return fill(template, as_it_is);
  return scheme + fill(user, encodeURIComponent) + fill(host, as_it_is) + fill(rest, encodeURIComponent);
}

function conflict(name: string, one: Service, other: Service): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `${one.slug} and ${other.slug} both set the variable ${name}. Choose one of them with --service.`,
  );
}

function noVariables({ slug }: Service): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `The definition of ${slug} names no environment variable that its stored fields can fill. Leave it out with --service.`,
  );
}
