/** The ids in ToolRouter's paths. */
import { z } from '@hono/zod-openapi';
import { StackId } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';

const stack_id = z.string().openapi({
  param: { name: 'stack_id', in: 'path' },
  description: 'The id of a stack of yours, or "default".',
  example: 'stack_123e4567-e89b-12d3-a456-426614174000',
});
const server_id = z.string().openapi({
  param: { name: 'server_id', in: 'path' },
  description: 'The id of the server.',
  example: 'gmail',
});

export const StackPath = z.object({ stack_id });
export const ServerPath = z.object({ stack_id, server_id });

/** The id of a stack that there may be. What cannot be one is not found, like any stack that there is not. */
export function stackIdOf(text: string): string {
  if (StackId.safeParse(text).success) return text;
  throw new VaultError('NOT_FOUND', 'Stack not found', { reason: 'stack_missing' });
}
