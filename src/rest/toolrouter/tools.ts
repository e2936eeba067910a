/** The tools of a stack: listed in the formats of three model APIs, and invoked. A stack is also the client of its own tools. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Caller } from '../../contract/caller.ts';
import type { DialectDependencies, HttpEnv } from '../../http/dialect.ts';
import { fullToolName } from '../../services/tools/tools.ts';
import type { FoundTool } from '../../use/tools/service_tools.ts';
import { inputSchema, type JsonObject } from '../../use/tools/tool_input.ts';
import { BODY_ERRORS, Detail, errorResponses, QUERY_ERRORS, USE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, CallResult, jsonOf, optionalBody } from '../openapi/schemas.ts';
import { withErrorMessages } from './errors.ts';
import { StackPath, stackIdOf } from './paths.ts';

const TAGS = ['ToolRouter'];
const LIST_FAILED = 'Failed to list tools';
const CALL_FAILED = 'Failed to invoke tool';

const FORMATS = ['default', 'openai', 'anthropic'] as const;
type Format = (typeof FORMATS)[number];

const schema = z.enum(FORMATS).openapi({ description: 'The model API whose format the tools have.' });
const ToolInput = z.record(z.string(), z.unknown()).openapi({
  description: 'The parameters of the tool, as its schema names them.',
  example: { method: 'GET', path: '/user' },
});
const ClientPath = z.object({
  client_id: z
    .string()
    .openapi({ param: { name: 'client_id', in: 'path' }, description: 'The id of a stack.' }),
});
const ToolPath = StackPath.extend({
  tool_id: z.string().openapi({ param: { name: 'tool_id', in: 'path' }, example: 'github__list_issues' }),
});

const ToolList = jsonOf(
  z.object({ tools: z.array(z.record(z.string(), z.unknown())) }).openapi('StackTools'),
  'The enabled tools.',
);
const Result = jsonOf(
  z.object({ result: CallResult }).openapi('ToolResult'),
  "The service's response, without the credential.",
);
const LIST_ERRORS = errorResponses(Detail, {
  ...QUERY_ERRORS,
  404: '`Stack not found`',
  500: `\`${LIST_FAILED}\``,
});
const CALL_ERRORS = errorResponses(Detail, {
  ...BODY_ERRORS,
  404: 'The stack or the tool is unknown, or the server has no credential.',
  ...USE_ERRORS,
  500: `\`${CALL_FAILED}\``,
  502: 'The service did not respond.',
});

const listRoute = createRoute({
  method: 'get',
  path: '/v1/stacks/{stack_id}/tools',
  tags: TAGS,
  operationId: 'listStackTools',
  summary: 'List the tools of a stack',
  request: { params: StackPath, query: z.object({ schema: schema.optional() }) },
  responses: { 200: ToolList, ...LIST_ERRORS },
});

const invokeRoute = createRoute({
  method: 'post',
  path: '/v1/stacks/{stack_id}/tools/{tool_id}/invoke',
  tags: TAGS,
  operationId: 'invokeStackTool',
  summary: 'Invoke a tool',
  description: 'Sends the request with the credential of the stack.',
  request: {
    params: ToolPath,
    body: optionalBody(z.object({ tool_input: ToolInput.nullish() }).openapi('ToolInvocation')),
  },
  responses: { 200: Result, ...CALL_ERRORS },
});

const clientListRoute = createRoute({
  method: 'get',
  path: '/s/{client_id}/list_tools',
  tags: TAGS,
  operationId: 'listClientTools',
  summary: 'List the tools of a client',
  description: 'The client is a stack.',
  request: { params: ClientPath, query: z.object({ schema: schema.optional() }) },
  responses: { 200: ToolList, ...LIST_ERRORS },
});

const clientCallRoute = createRoute({
  method: 'post',
  path: '/s/{client_id}/call_tool',
  tags: TAGS,
  operationId: 'callClientTool',
  summary: 'Call a tool of a client',
  request: {
    params: ClientPath,
    body: bodyOf(
      z
        .object({ tool_name: z.string().min(1).max(200), tool_input: ToolInput.nullish() })
        .openapi('ClientToolCall'),
    ),
  },
  responses: { 200: Result, ...CALL_ERRORS },
});

export function registerTools(
  app: OpenAPIHono<HttpEnv>,
  { service_tools, countInvocation }: DialectDependencies,
): void {
  const list = (caller: Caller, stack: string, format: Format | undefined) =>
    withErrorMessages({ failed: LIST_FAILED }, async () => {
      const found = await service_tools.listStack(caller, stackIdOf(stack));
      return { tools: found.map(formatOf(format)) };
    });
  const invoke = (caller: Caller, stack: string, tool: string, input: JsonObject | null | undefined) =>
    withErrorMessages({ failed: CALL_FAILED }, async () => {
      countInvocation(caller);
      const stack_id = stackIdOf(stack);
      const found = await service_tools.getOfStack(caller, stack_id, tool);
      return { result: await service_tools.call(caller, found, input ?? {}, stack_id) };
    });

  app.openapi(listRoute, async (c) => {
    const { stack_id } = c.req.valid('param');
    return c.json(await list(c.get('caller'), stack_id, c.req.valid('query').schema), 200);
  });

  app.openapi(invokeRoute, async (c) => {
    const { stack_id, tool_id } = c.req.valid('param');
    const { tool_input } = c.req.valid('json') ?? {};
    return c.json(await invoke(c.get('caller'), stack_id, tool_id, tool_input), 200);
  });

  app.openapi(clientListRoute, async (c) => {
    const { client_id } = c.req.valid('param');
    return c.json(await list(c.get('caller'), client_id, c.req.valid('query').schema), 200);
  });

  app.openapi(clientCallRoute, async (c) => {
    const { tool_name, tool_input } = c.req.valid('json');
    const { client_id } = c.req.valid('param');
    return c.json(await invoke(c.get('caller'), client_id, tool_name, tool_input), 200);
  });
}

/** The tool in a format: that of ToolRouter, of OpenAI's function tools, or of Anthropic's tools. */
function formatOf(format: Format = 'default') {
  return ({ service, tool }: FoundTool): Record<string, unknown> => {
    const name = fullToolName(service, tool);
    const description = `${tool.title}. ${tool.description}`;
    const input_schema = inputSchema(tool);
    if (format === 'openai')
      return { type: 'function', function: { name, description, parameters: input_schema } };
    if (format === 'anthropic') return { name, description, input_schema };
    return { name, description, input_schema, server: service.slug };
  };
}
