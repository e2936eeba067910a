/** The fields of a service definition: what a person or a program enters, and where else the values are used. */
import * as z from 'zod';
import { VALUE_MAX_BYTES } from '../limits.ts';
import { envName, fieldId, httpsUrl, template, text } from './texts.ts';

export const ENV_NAMES_MAX = 8;
const CHOICES_MAX = 60;

export const FieldDefinition = z
  .strictObject({
    field_id: fieldId,
    name: text(100),
    description: text(500),
    help_url: httpsUrl.optional(),
    required: z.boolean(),
    /** False if the value may be shown, such as a host or a client id. It is encrypted like the others. */
    secret: z.boolean(),
    max_length: z.int().min(1).max(VALUE_MAX_BYTES),
    /** A regular expression (ECMAScript, `u` flag) the whole value must match. */
    pattern: text(300).optional(),
    /** An example value that does not work. */
    example: text(300).optional(),
    /** The environment variables that the service's own tools read. */
    env: z.array(envName).min(1).max(ENV_NAMES_MAX).optional(),
    /** Environment variables that take the path of a file with the value. */
    env_file: z.array(envName).min(1).max(ENV_NAMES_MAX).optional(),
    /** The only values that are possible, with a name for people. */
    choices: z
      .array(z.strictObject({ value: text(200), name: text(100) }))
      .min(1)
      .max(CHOICES_MAX)
      .optional(),
    /** The value if none is stored. Not for secrets. */
    default: text(300).optional(),
    /** True if a value may have line breaks, such as a key in PEM. */
    multiline: z.boolean().optional(),
    /** `totp`: the value is the secret of RFC 6238 or an `otpauth:` URI; the present code is what is used. */
    kind: z.enum(['totp']).optional(),
    /** The format of real values, which can be stricter than what is accepted. */
    shape: z
      .strictObject({
        /** A regular expression as in `pattern`. */
        pattern: text(300),
        prefixes: z.array(text(40)).min(1).max(20).optional(),
        length: z.int().min(1).max(VALUE_MAX_BYTES).optional(),
      })
      .optional(),
  })
  .superRefine((field, context) => {
    const report = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    for (const [path, pattern] of [
      ['pattern', field.pattern],
      ['shape', field.shape?.pattern],
    ] as const) {
      if (pattern !== undefined && !isRegularExpression(pattern)) report(path, 'is not a regular expression');
    }
    const values = field.choices?.map(({ value }) => value);
    if (field.default !== undefined && field.secret) report('default', 'is not allowed for a secret field');
    if (field.default !== undefined && values?.includes(field.default) === false)
      report('default', 'is not among the choices');
    if (new Set(values).size !== (values?.length ?? 0)) report('choices', 'have a value twice');
    if (field.kind === 'totp' && !field.secret) report('kind', 'is for secret fields');
  });
export type FieldDefinition = z.infer<typeof FieldDefinition>;

/** Environment variables of a service that are made of several fields, or of more than a value: name to template. */
export const EnvironmentTemplates = z.record(envName, template);

function isRegularExpression(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}
