/** The documented routes that list and call tools. They respond 501: this version does not call tools. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpEnv } from '../../http/dialect.ts';
import { Detail, NOT_IMPLEMENTED, notImplementedResponses } from '../openapi/responses.ts';
import { optionalBody } from '../openapi/schemas.ts';
import { StackPath } from './paths.ts';

const shared = { tags: ['ToolRouter'], responses: notImplementedResponses(Detail) };

const Format = z.object({ schema: z.enum(['default', 'openai', 'anthropic']).optional() });
const ToolInput = z.object({ tool_input: z.record(z.string(), z.unknown()).optional() });
const ToolCall = ToolInput.extend({ tool_name: z.string() });
const ClientPath = z.object({ client_id: z.string() });

const ROUTES = [
  createRoute({
    ...shared,
    method: 'get',
    path: '/v1/stacks/{stack_id}/tools',
    operationId: 'listStackTools',
    summary: 'List the tools of a stack',
    request: { params: StackPath, query: Format },
  }),
  createRoute({
    ...shared,
    method: 'post',
    path: '/v1/stacks/{stack_id}/tools/{tool_id}/invoke',
    operationId: 'invokeStackTool',
    summary: 'Invoke a tool',
    request: { params: StackPath.extend({ tool_id: z.string() }), body: optionalBody(ToolInput) },
  }),
  createRoute({
    ...shared,
    method: 'get',
    path: '/s/{client_id}/list_tools',
    operationId: 'listClientTools',
    summary: 'List the tools of a client',
    request: { params: ClientPath, query: Format },
  }),
  createRoute({
    ...shared,
    method: 'post',
    path: '/s/{client_id}/call_tool',
    operationId: 'callClientTool',
    summary: 'Call a tool of a client',
    request: { params: ClientPath, body: optionalBody(ToolCall) },
  }),
];

export function registerUnimplementedRoutes(app: OpenAPIHono<HttpEnv>): void {
  for (const route of ROUTES) {
    app.openapi(route, () => {
      throw new VaultError('NOT_IMPLEMENTED', NOT_IMPLEMENTED.detail);
    });
  }
}
