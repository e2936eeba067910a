/**
 * The shares of a stack: list, share and unshare. ToolRouter has no such routes; they have its error format, as all routes
 * below /v1/stacks. Names of users are in bodies, since URLs are logged by proxies.
 */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ShareInput, StackShare, UnshareInput } from '../../contract/stack.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { Detail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';
import { StackPath, stackIdOf } from './paths.ts';

const TAGS = ['Keyhold'];
const Share = component('StackShare', StackShare);

const listRoute = createRoute({
  method: 'get',
  path: '/v1/stacks/{stack_id}/shares',
  tags: TAGS,
  operationId: 'listStackShares',
  summary: 'List the shares of a stack',
  description: 'Users and units that the stack is shared with, oldest first. Needs the role `manage`.',
  request: { params: StackPath },
  responses: {
    200: jsonOf(z.object({ shares: z.array(Share) }), 'The shares.'),
    ...errorResponses(Detail, { 404: '`Stack not found`' }),
  },
});

const shareRoute = createRoute({
  method: 'post',
  path: '/v1/stacks/{stack_id}/shares',
  tags: TAGS,
  operationId: 'shareStack',
  summary: 'Share a stack',
  description:
    'Shares a created stack with a user, or with all users of a unit; changes the role of an existing share. `use`: status, list, test and call. `edit`: also store, update and delete credentials. `manage`: also rename and share. No role reveals a value.',
  request: { params: StackPath, body: bodyOf(component('NewStackShare', ShareInput)) },
  responses: {
    200: jsonOf(Share, 'The share.'),
    ...errorResponses(Detail, { ...WRITE_ERRORS, 404: 'Unknown stack, user or unit.' }),
  },
});

const unshareRoute = createRoute({
  method: 'post',
  path: '/v1/stacks/{stack_id}/shares/remove',
  tags: TAGS,
  operationId: 'unshareStack',
  summary: 'End a share of a stack',
  description: 'Takes effect for the next request. Each user can end a share with itself.',
  request: { params: StackPath, body: bodyOf(component('EndedStackShare', UnshareInput)) },
  responses: {
    200: jsonOf(z.object({ success: z.literal(true) }), 'The share has ended.'),
    ...errorResponses(Detail, { ...WRITE_ERRORS, 404: 'Unknown stack, or no such share.' }),
  },
});

export function registerShares(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const stack_id = stackIdOf(c.req.valid('param').stack_id);
    return c.json({ shares: [...(await vault.stack_shares.list(c.get('caller'), stack_id))] }, 200);
  });

  app.openapi(shareRoute, async (c) => {
    const stack_id = stackIdOf(c.req.valid('param').stack_id);
    return c.json(await vault.stack_shares.share(c.get('caller'), stack_id, c.req.valid('json')), 200);
  });

  app.openapi(unshareRoute, async (c) => {
    const stack_id = stackIdOf(c.req.valid('param').stack_id);
    await vault.stack_shares.unshare(c.get('caller'), stack_id, c.req.valid('json'));
    return c.json({ success: true } as const, 200);
  });
}
