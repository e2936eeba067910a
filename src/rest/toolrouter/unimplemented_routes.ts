/** The routes that list and call tools. They answer 501 until there are tools to call. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { HttpEnv } from '../../http/dialect.ts';
import { optionalBody } from '../openapi/json_content.ts';
import { NOT_IMPLEMENTED, notImplementedResponses } from '../openapi/not_implemented.ts';
import { StackPath } from './paths.ts';

const TAGS = ['ToolRouter'];
const responses = notImplementedResponses();

const Format = z.object({ schema: z.enum(['default', 'openai', 'anthropic']).optional() });
const ToolInput = z.object({ tool_input: z.record(z.string(), z.unknown()).optional() });
const ToolCall = ToolInput.extend({ tool_name: z.string() });
const ClientPath = z.object({ client_id: z.string() });

const listRoute = createRoute({
  method: 'get',
  path: '/v1/stacks/{stack_id}/tools',
  tags: TAGS,
  operationId: 'listStackTools',
  summary: 'List the tools of a stack',
  request: { params: StackPath, query: Format },
  responses,
});

const invokeRoute = createRoute({
  method: 'post',
  path: '/v1/stacks/{stack_id}/tools/{tool_id}/invoke',
  tags: TAGS,
  operationId: 'invokeStackTool',
  summary: 'Invoke a tool',
  request: { params: StackPath.extend({ tool_id: z.string() }), body: optionalBody(ToolInput) },
  responses,
});

const listOfClientRoute = createRoute({
  method: 'get',
  path: '/s/{client_id}/list_tools',
  tags: TAGS,
  operationId: 'listClientTools',
  summary: 'List the tools of a client',
  request: { params: ClientPath, query: Format },
  responses,
});

const callRoute = createRoute({
  method: 'post',
  path: '/s/{client_id}/call_tool',
  tags: TAGS,
  operationId: 'callClientTool',
  summary: 'Call a tool of a client',
  request: { params: ClientPath, body: optionalBody(ToolCall) },
  responses,
});

export function registerUnimplementedRoutes(app: OpenAPIHono<HttpEnv>): void {
  app.openapi(listRoute, (c) => c.json(NOT_IMPLEMENTED, 501));
  app.openapi(invokeRoute, (c) => c.json(NOT_IMPLEMENTED, 501));
  app.openapi(listOfClientRoute, (c) => c.json(NOT_IMPLEMENTED, 501));
  app.openapi(callRoute, (c) => c.json(NOT_IMPLEMENTED, 501));
}
