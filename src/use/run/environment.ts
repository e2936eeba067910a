/** The environment of a child process: the environment of the parent without Keyhold's settings, and the variables of credentials. */
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import type { PrivateFiles } from './private_files.ts';
import { fillTemplate, type Source, type Variable } from './variables.ts';

const OWN_PREFIX = 'KEYHOLD_';

/**
 * `own_names`: further variables that hold keys of Keyhold. The child inherits neither them nor other variables with the
 * names of `variables`.
 */
export function inheritedEnvironment(
  parent: NodeJS.ProcessEnv,
  own_names: readonly string[],
  variables: readonly Pick<Variable, 'name'>[],
): NodeJS.ProcessEnv {
  const removed = new Set([...own_names, ...variables.map(({ name }) => name)].map(normalizeName));
  const kept = Object.entries(parent).filter(([name]) => {
    const normalized = normalizeName(name);
    return !normalized.startsWith(OWN_PREFIX) && !removed.has(normalized);
  });
  return Object.fromEntries(kept);
}

/** Windows does not distinguish upper and lower case in the names of variables. */
function normalizeName(name: string): string {
  return process.platform === 'win32' ? name.toUpperCase() : name;
}

/**
 * The texts of the variables, by name. Throws INVALID_INPUT for a required field whose value is empty or missing, and for a
 * value that a variable cannot hold; no message contains a value.
 */
export function variableTexts<From extends Source>(
  variables: readonly Variable<From>[],
  valuesOf: (source: From) => ReadonlyMap<string, Secret>,
  files: PrivateFiles,
): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const variable of variables) {
    const { service } = variable.source;
    const values = valuesOf(variable.source);
    const definition = new Map(service.fields.map((field) => [field.field_id, field]));
    const textOf = (id: string) => values.get(id)?.reveal() ?? definition.get(id)?.default;
    const missing = variable.fields.find((id) => (textOf(id) ?? '') === '' && definition.get(id)?.required);
    if (missing !== undefined) throw missingValue(service.slug, missing);
    const text = fillTemplate(variable.template, textOf);
    if (text === undefined) continue;
    if (variable.is_file) texts[variable.name] = files.write(variable.name, text);
    else if (text.includes('\0')) throw unusableValue(service.slug, variable.name);
    else texts[variable.name] = text;
  }
  return texts;
}

function missingValue(slug: string, field_id: string): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `The value of the required field ${field_id} of ${slug} is missing or empty. Run \`keyhold update ${slug} ${field_id}\`. Nothing was started.`,
  );
}

function unusableValue(slug: string, name: string): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `The value of ${slug} for the variable ${name} has a NUL character, which no variable can hold. Nothing was started.`,
  );
}
