/** The texts that service definitions are made of, with their rules. */
import * as z from 'zod';

/** Lower case letters, digits, `_`, `-` and inner dots; never a path (no slash, no leading dot). */
export const SLUG_PATTERN = /^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,62}$/;
/** A field id. Upper case is allowed, since names of environment variables are used as field ids. */
export const FIELD_ID_PATTERN = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
/** `{field_id}` in a template. */
export const PLACEHOLDER_PATTERN = /\{([A-Za-z][A-Za-z0-9_.-]{0,63})\}/g;
/** POSIX.1-2017, section 8.1: names of environment variables. */
export const ENV_NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** RFC 9110, section 5.6.2: a header name is a token. */
const HEADER_NAME_PATTERN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** A host name, with `*.` for its subdomains, `{field_id}` for a value of the user, and an optional port. */
const HOST_PATTERN =
  /^(?:\*\.)?(?:[a-z0-9]|\{[A-Za-z][A-Za-z0-9_.-]{0,63}\})(?:[a-z0-9.-]|\{[A-Za-z][A-Za-z0-9_.-]{0,63}\}){0,200}(?<![.-])(?::\d{1,5})?$/;

export const text = (max: number) => z.string().min(1).max(max);
export const httpsUrl = z
  .string()
  .max(500)
  .regex(/^https:\/\/[^\s]+$/, 'must be an https URL');
export const slug = z
  .string()
  .regex(SLUG_PATTERN, 'must be lower case letters, digits, "_", "-" or inner dots');
export const fieldId = z
  .string()
  .regex(FIELD_ID_PATTERN, 'must start with a letter and hold letters, digits, "_", "." or "-"');
export const envName = z.string().regex(ENV_NAME_PATTERN, 'must be an environment variable name');
export const headerName = z.string().regex(HEADER_NAME_PATTERN, 'must be a header name');
export const host = z.string().regex(HOST_PATTERN, 'must be a host name, "*.host" or "{field_id}"');
/** Text with `{field_id}` as the placeholder for a field's value. */
export const template = text(500);
export const headerTemplates = z.record(headerName, template);
/** A JSON pointer (RFC 6901). */
export const jsonPointer = z
  .string()
  .max(200)
  .regex(/^(?:\/.*)?$/, 'must be a JSON pointer');

/** The ids of the fields in a template, in their order, with duplicates. */
export function fieldsIn(template: string): string[] {
  return [...template.matchAll(PLACEHOLDER_PATTERN)].map(([, id = '']) => id);
}
