/** Converts the inputs that a `server.json` declares into fields of a service. Never copies a secret value. */
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import { ENV_NAME_PATTERN } from '../../contract/service/texts.ts';
import { definitionError } from '../definition.ts';
import type {
  ServerArgument,
  ServerInput,
  ServerKeyValue,
  ServerPackage,
  ServerVariables,
} from './schema.ts';

const OPEN_VALUE_MAX_CHARACTERS = 4_096;
const PATTERN_MAX_CHARACTERS = 300;
/** Names that count as secrets if `isSecret` is missing. Too many matches are safe, too few are not. */
const SECRET_NAME = /key|token|secret|passw|credential|auth|cookie/i;
const VARIABLE = /\{([^{}]+)\}/g;
/** An environment variable passed to a container: `-e NAME={variable}`. */
const ENV_ARGUMENT = /^([A-Za-z_][A-Za-z0-9_]*)=\{([^{}]+)\}$/;

/** A file and a path in its JSON, for error messages. */
export interface SourcePath {
  readonly file: string;
  readonly path: string;
}

/** A field for an input of this name. Its id is the name in lower case. Throws if the name has no letter. */
export function fieldFor(
  name: string,
  input: ServerInput,
  source: SourcePath,
  env?: string,
): FieldDefinition {
  const secret = input.isSecret ?? SECRET_NAME.test(name);
  const pattern = patternOf(input);
  const example = (input.placeholder ?? (secret ? undefined : input.default))?.slice(0, 300);
  return {
    field_id: fieldIdOf(name, source),
    name: name.slice(0, 100),
    description: descriptionOf(name, input),
    required: input.isRequired === true && input.default === undefined,
    secret,
    max_length: secret ? VALUE_MAX_BYTES : OPEN_VALUE_MAX_CHARACTERS,
    ...(pattern === undefined ? {} : { pattern }),
    ...(example === undefined || example === '' ? {} : { example }),
    ...(env === undefined ? {} : { env: [env] }),
  };
}

/** The name in lower case, with `_` for characters that a field id cannot contain. */
export function fieldIdOf(name: string, source: SourcePath): string {
  const id = name
    .toLowerCase()
    .replace(/[^a-z0-9_.-]/g, '_')
    .replace(/^[^a-z]+/, '')
    .slice(0, 64);
  if (id === '') throw definitionError(source.file, source.path, 'has a name without a letter from a to z');
  return id;
}

export interface Template {
  /** Literal text with `{field_id}` in it. */
  readonly text: string;
  readonly fields: readonly FieldDefinition[];
}

/**
 * Replaces the variables of a template by fields. A variable with a fixed value becomes that value. Braces around an
 * undeclared variable stay text, unless `undeclared` describes such variables.
 */
export function templateFields(
  template: string,
  variables: ServerVariables | undefined,
  source: SourcePath,
  undeclared?: ServerInput,
): Template {
  const fields: FieldDefinition[] = [];
  const declared = new Map(Object.entries(variables ?? {}));
  const text = template.replace(VARIABLE, (whole, name: string) => {
    const input = declared.get(name) ?? (/^[A-Za-z_][\w.-]*$/.test(name) ? undeclared : undefined);
    if (input === undefined) return whole;
    if (input.value !== undefined) return input.value;
    const field = fieldFor(name, { ...input, isSecret: input.isSecret ?? undeclared?.isSecret }, source);
    fields.push(field);
    return `{${field.field_id}}`;
  });
  return { text, fields };
}

/** The fields of one package: all environment variables, and the secret arguments. */
export function packageFields(server_package: ServerPackage, source: SourcePath): FieldDefinition[] {
  const fields: FieldDefinition[] = [];
  server_package.environmentVariables?.forEach((variable, at) => {
    fields.push(
      ...environmentFields(variable, { ...source, path: `${source.path}.environmentVariables[${at}]` }),
    );
  });
  for (const kind of ['runtimeArguments', 'packageArguments'] as const) {
    server_package[kind]?.forEach((argument, at) => {
      fields.push(...argumentFields(argument, { ...source, path: `${source.path}.${kind}[${at}]` }));
    });
  }
  return fields;
}

function environmentFields(variable: ServerKeyValue, source: SourcePath): FieldDefinition[] {
  if (!ENV_NAME_PATTERN.test(variable.name)) {
    throw definitionError(source.file, `${source.path}.name`, 'is not the name of an environment variable');
  }
  if (variable.value === undefined) return [fieldFor(variable.name, variable, source, variable.name)];
  const { text, fields } = templateFields(variable.value, variable.variables, source);
  return fields.map((field) => (text === `{${field.field_id}}` ? { ...field, env: [variable.name] } : field));
}

function argumentFields(argument: ServerArgument, source: SourcePath): FieldDefinition[] {
  if (argument.value === undefined) {
    const name = argument.name?.replace(/^-+/, '') || argument.valueHint;
    return argument.isSecret === true && name ? [fieldFor(name, argument, source)] : [];
  }
  const { fields } = templateFields(argument.value, argument.variables, source);
  const env = ENV_ARGUMENT.exec(argument.value)?.[1];
  if (env !== undefined) return fields.map((field) => ({ ...field, env: [env] }));
  return fields.filter((field) => field.secret);
}

function descriptionOf(name: string, input: ServerInput): string {
  const text = input.description?.trim() || `The server's input ${name}.`;
  const choices = input.choices === undefined ? '' : ` One of: ${input.choices.join(', ')}.`;
  const file = input.format === 'filepath' ? ' The path of a file.' : '';
  return `${text}${choices}${file}`.slice(0, 500);
}

function patternOf(input: ServerInput): string | undefined {
  if (input.choices !== undefined && input.choices.length > 0) {
    const pattern = `^(?:${input.choices.map((choice) => choice.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|')})$`;
    return pattern.length <= PATTERN_MAX_CHARACTERS ? pattern : undefined;
  }
  if (input.format === 'number') return '^-?\\d+(?:\\.\\d+)?$';
  if (input.format === 'boolean') return '^(?:true|false)$';
  return undefined;
}
