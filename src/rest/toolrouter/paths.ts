/** The path parameters of ToolRouter's routes. */
import { z } from '@hono/zod-openapi';
import { StackId } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';

const stack_id = z.string().openapi({
  param: { name: 'stack_id', in: 'path' },
  description: 'The id of one of your stacks, or "default".',
  example: 'stack_123e4567-e89b-12d3-a456-426614174000',
});
const server_id = z.string().openapi({
  param: { name: 'server_id', in: 'path' },
  description: 'The id of the server.',
  example: 'gmail',
});

export const StackPath = z.object({ stack_id });
export const ServerPath = z.object({ stack_id, server_id });

/** Throws NOT_FOUND for text that cannot be a stack id, as for an unknown stack. */
export function stackIdOf(text: string): string {
  if (StackId.safeParse(text).success) return text;
  throw new VaultError('NOT_FOUND', 'Stack not found', { reason: 'stack_missing' });
}
