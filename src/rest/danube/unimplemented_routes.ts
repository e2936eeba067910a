/** The documented routes that list and call tools. They respond 501: this version does not call tools. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, NOT_IMPLEMENTED, notImplementedResponses } from '../openapi/responses.ts';
import { optionalBody } from '../openapi/schemas.ts';

const shared = { tags: ['Danube'], responses: notImplementedResponses(CodedDetail) };
const CALLS_MAX = 10;

/** Older clients send `parameters`. */
const ToolInput = z.object({
  tool_input: z.record(z.string(), z.unknown()).optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
});
const Calls = z.object({ calls: z.array(ToolInput.extend({ tool_id: z.string() })).max(CALLS_MAX) });

const ROUTES = [
  createRoute({
    ...shared,
    method: 'get',
    path: '/v1/services/{service_id}/tools',
    operationId: 'listServiceTools',
    summary: 'List the tools of a service',
    request: { params: z.object({ service_id: z.string() }) },
  }),
  createRoute({
    ...shared,
    method: 'post',
    path: '/v1/tools/call/batch',
    operationId: 'callTools',
    summary: 'Call several tools',
    request: { body: optionalBody(Calls) },
  }),
  createRoute({
    ...shared,
    method: 'post',
    path: '/v1/tools/call/{tool_id}',
    operationId: 'callTool',
    summary: 'Call a tool',
    request: { params: z.object({ tool_id: z.string() }), body: optionalBody(ToolInput) },
  }),
];

export function registerUnimplementedRoutes(app: OpenAPIHono<HttpEnv>): void {
  for (const route of ROUTES) {
    app.openapi(route, () => {
      throw new VaultError('NOT_IMPLEMENTED', NOT_IMPLEMENTED.detail);
    });
  }
}
