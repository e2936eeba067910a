/** Gives a schema of the contract a name of its own in the API's description; the contract knows nothing of that. */
import type { z } from '@hono/zod-openapi';

export function component<Schema extends z.ZodType>(name: string, schema: Schema): Schema {
  return schema.clone().openapi(name);
}
