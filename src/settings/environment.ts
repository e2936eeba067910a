/**
 * Reads settings from environment variables: trims them, and refuses references to variables that the program that starts
 * Keyhold did not replace. No error repeats the text of a setting.
 */
import type * as z from 'zod';
import { VaultError } from '../contract/errors.ts';

/** `${NAME}`, `${env:NAME}`, `$NAME`, `$env:NAME` and `%NAME%`. */
const REFERENCE = /^(?:\$\{[^}]*\}|\$(?:env:)?[A-Z_][A-Z0-9_]*|%[A-Za-z_][\w()]*%)$/;
/** In a setting also as a part. */
const REFERENCE_PART = /\$\{[^}]*\}|(?:^|:)\$(?:env:)?[A-Za-z_]\w*(?=$|[\\/])/;
const PERCENT_REFERENCE = /%[A-Za-z_][\w()]*%/;
/** In a URL, `%C3%A9` is a percent-encoded character. */
const PERCENT_REFERENCE_IN_URL = /%(?![0-9A-Fa-f]{2})[A-Za-z_][\w()]*%/;

export function invalidSetting(problem: string): VaultError {
  return new VaultError('INVALID_INPUT', `The setting ${problem}.`, { reason: 'setting_invalid' });
}

/** Returns a setting without surrounding white space, line ends and byte order mark. Throws INVALID_INPUT for a reference. */
export function cleanSetting(name: string, text: string): string {
  const clean = text.trim();
  const percent = clean.includes('://') ? PERCENT_REFERENCE_IN_URL : PERCENT_REFERENCE;
  if (REFERENCE_PART.test(clean) || percent.test(clean)) throw unreplacedReference(name);
  return clean;
}

/** Throws INVALID_INPUT if the secret is a reference as a whole. A part of a secret may look like one. */
export function assertNoReference(name: string, secret: string): void {
  if (REFERENCE.test(secret.trim())) throw unreplacedReference(name);
}

function unreplacedReference(name: string): VaultError {
  return invalidSetting(
    `${name} contains a reference such as $\{NAME}, $NAME or %NAME%, which the program that starts Keyhold did not replace. Set it to the text itself`,
  );
}

/** Parses the settings of the schema. Throws INVALID_INPUT, reason `setting_invalid`, for the first invalid setting. */
export function parseEnvironment<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  env: NodeJS.ProcessEnv,
): z.output<z.ZodObject<Shape>> {
  const clean: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const text = env[name];
    if (text !== undefined) clean[name] = cleanSetting(name, text);
  }
  const parsed = schema.safeParse(clean);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidSetting(`${String(issue?.path[0])} ${issue?.message}`);
}
