/** The routes that list and call tools. They answer 501 until there are tools to call. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { HttpEnv } from '../../http/dialect.ts';
import { HttpError } from '../../http/error_response.ts';
import { optionalBody } from '../openapi/json_content.ts';
import { NOT_IMPLEMENTED, notImplementedResponses } from '../openapi/not_implemented.ts';
import { CodedDetail } from '../openapi/responses.ts';

const TAGS = ['Danube'];
const responses = notImplementedResponses(CodedDetail);
const CALLS_MAX = 10;

/** An older client says `parameters`. */
const ToolInput = z.object({
  tool_input: z.record(z.string(), z.unknown()).optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
});
const Calls = z.object({ calls: z.array(ToolInput.extend({ tool_id: z.string() })).max(CALLS_MAX) });

const toolsRoute = createRoute({
  method: 'get',
  path: '/v1/services/{service_id}/tools',
  tags: TAGS,
  operationId: 'listServiceTools',
  summary: 'List the tools of a service',
  request: { params: z.object({ service_id: z.string() }) },
  responses,
});

const batchRoute = createRoute({
  method: 'post',
  path: '/v1/tools/call/batch',
  tags: TAGS,
  operationId: 'callTools',
  summary: 'Call several tools',
  request: { body: optionalBody(Calls) },
  responses,
});

const callRoute = createRoute({
  method: 'post',
  path: '/v1/tools/call/{tool_id}',
  tags: TAGS,
  operationId: 'callTool',
  summary: 'Call a tool',
  request: { params: z.object({ tool_id: z.string() }), body: optionalBody(ToolInput) },
  responses,
});

export function registerUnimplementedRoutes(app: OpenAPIHono<HttpEnv>): void {
  const refuse = () => {
    throw new HttpError(501, 'NOT_FOUND', NOT_IMPLEMENTED.detail);
  };
  app.openapi(toolsRoute, refuse);
  app.openapi(batchRoute, refuse);
  app.openapi(callRoute, refuse);
}
