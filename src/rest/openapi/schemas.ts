/** How routes describe JSON bodies and responses in OpenAPI. */
import { z } from '@hono/zod-openapi';
import { CallOutput } from '../../contract/use/call.ts';

/** A named component in the OpenAPI document. `src/contract` has no OpenAPI names, so they are added here. */
export function component<Schema extends z.ZodType>(name: string, schema: Schema): Schema {
  return schema.clone().openapi(name);
}

/** A JSON response. */
export function jsonOf<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A required JSON body. */
export function bodyOf<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { 'application/json': { schema } } };
}

/** A JSON body that may be missing. */
export function optionalBody<Schema extends z.ZodType>(schema: Schema) {
  return { content: { 'application/json': { schema } } };
}

/** Schema options that give a missing value another message than a wrong one, which zod does not distinguish. */
export function requiredWith(message: string) {
  return { error: ({ input }: { readonly input?: unknown }) => (input === undefined ? message : undefined) };
}

export function isPlainObject(given: unknown): boolean {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}

/**
 * Field id to value. Not a zod record: that drops a field named `__proto__`, and the vault must see it to reject it. The
 * vault validates the values.
 */
export const FieldValues = z
  .custom<Record<string, string>>(isPlainObject, 'must be an object of field ids and values')
  .openapi({
    type: 'object',
    additionalProperties: { type: 'string' },
    description:
      'Field id to value; a value may be "sealed:...", made by `keyhold seal`. Fields that are not named stay as they are.',
    example: { linear_api_key: 'lin_api_abc123def456789' },
  });

/** The response of a service to a call. */
export const CallResult = component('CallOutput', CallOutput);
