/** Tools of services: list, search, get, call, and call in a batch. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { StackId } from '../../contract/credential.ts';
import { ERROR_TABLE, toPublicError } from '../../contract/errors.ts';
import { QUERY_MAX_CHARACTERS } from '../../contract/limits.ts';
import { describeFailure } from '../../contract/logger.ts';
import type { CallOutput } from '../../contract/use/call.ts';
import type { DialectDependencies, HttpEnv } from '../../http/dialect.ts';
import { searchTools } from '../../services/tools/search.ts';
import { fullToolName, toolsOf } from '../../services/tools/tools.ts';
import type { FoundTool } from '../../use/tools/service_tools.ts';
import { inputSchema, type JsonObject } from '../../use/tools/tool_input.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, CallResult, jsonOf, optionalBody } from '../openapi/schemas.ts';
import { visibleService, visibleServices } from '../visible_services.ts';
import { AuthRequired, callOrAuthRequired } from './auth_required.ts';

const TAGS = ['Danube'];
const CALLS_MAX = 10;
const TOOLS_LISTED = 100;
const TOOLS_LISTED_MAX = 500;

const Limit = z.coerce.number().int().min(1).max(TOOLS_LISTED_MAX).optional();
const ToolPath = z.object({ tool_id: z.string().openapi({ param: { name: 'tool_id', in: 'path' } }) });
const ServicePath = z.object({
  service_id: z.string().openapi({ param: { name: 'service_id', in: 'path' } }),
});

const Tool = z
  .object({
    id: z.uuid().openapi({ description: 'It never changes.' }),
    name: z.string().openapi({ example: 'github__list_issues' }),
    description: z.string(),
    service_id: z.uuid(),
    parameters: z.record(z.string(), z.unknown()).openapi({ description: 'JSON Schema of the input.' }),
    is_paid: z.literal(false),
    tags: z.array(z.string()),
    method: z.string(),
    tips: z.null(),
    metadata: z.record(z.string(), z.unknown()),
  })
  .openapi('Tool');

const ToolsOfService = z
  .object({
    tools: z.array(Tool),
    needs_configuration: z.boolean(),
    skipped: z.boolean(),
    configuration_required: z.boolean(),
  })
  .openapi('ToolsOfService');

/** Older clients send `parameters`. */
const ToolInput = z.object({
  tool_input: z.record(z.string(), z.unknown()).nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  stack_id: StackId.optional(),
});
const Calls = z
  .object({
    calls: z
      .array(ToolInput.extend({ tool_id: z.string().min(1) }))
      .min(1)
      .max(CALLS_MAX),
  })
  .openapi('ToolCalls');

const outcome = {
  success: z.boolean(),
  result: z.union([CallResult, z.null()]),
  error: z.string().nullable(),
  tool_id: z.string(),
};
const ToolOutcome = z
  .object({ ...outcome, tool_name: z.string(), duration_ms: z.number(), request_id: z.string() })
  .openapi('ToolOutcome');
const BatchOutcome = z
  .object({
    results: z.array(
      z.object({
        ...outcome,
        error_type: z.string().optional(),
        configuration_url: z.string().optional(),
      }),
    ),
  })
  .openapi('BatchOutcome');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/services/{service_id}/tools',
  tags: TAGS,
  operationId: 'listServiceTools',
  summary: 'List the tools of a service',
  request: { params: ServicePath, query: z.object({ limit: Limit }) },
  responses: {
    200: jsonOf(ToolsOfService, 'Its tools.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown service.' }),
  },
});

const searchRoute = createRoute({
  method: 'get',
  path: '/v1/tools/search',
  tags: TAGS,
  operationId: 'searchTools',
  summary: 'Search tools',
  request: {
    query: z.object({
      query: z.string().max(QUERY_MAX_CHARACTERS).optional(),
      service_id: z.string().optional(),
      limit: Limit,
    }),
  },
  responses: {
    200: jsonOf(z.array(Tool), 'The tools that match, the best match first.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown service.' }),
  },
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/tools/{tool_id}',
  tags: TAGS,
  operationId: 'getTool',
  summary: 'Get a tool',
  request: { params: ToolPath },
  responses: { 200: jsonOf(Tool, 'The tool.'), ...errorResponses(CodedDetail, { 404: 'Unknown tool.' }) },
});

const batchRoute = createRoute({
  method: 'post',
  path: '/v1/tools/call/batch',
  tags: TAGS,
  operationId: 'callTools',
  summary: 'Call several tools',
  description: `At most ${CALLS_MAX}. One that fails does not stop the others. Each counts as a request.`,
  request: { body: bodyOf(Calls) },
  responses: {
    200: jsonOf(BatchOutcome, 'The outcomes, in the order of the calls.'),
    ...errorResponses(CodedDetail, WRITE_ERRORS),
  },
});

const callRoute = createRoute({
  method: 'post',
  path: '/v1/tools/call/{tool_id}',
  tags: TAGS,
  operationId: 'callTool',
  summary: 'Call a tool',
  description: 'Sends the request with the credential that is stored for the service.',
  request: { params: ToolPath, body: optionalBody(ToolInput.openapi('ToolCall')) },
  responses: {
    200: jsonOf(ToolOutcome, "The service's response, without the credential."),
    ...errorResponses(CodedDetail, {
      ...WRITE_ERRORS,
      404: 'Unknown tool.',
      410: 'The credential has expired.',
      502: 'The service did not respond.',
    }),
    403: jsonOf(
      z.union([AuthRequired, CodedDetail]),
      'The service has no credential yet, or the API key does not allow this.',
    ),
  },
});

export function registerTools(app: OpenAPIHono<HttpEnv>, parts: DialectDependencies): void {
  const { service_tools, countRequests, countError } = parts;
  registerLists(app, parts);

  // Before the route of one call, whose path also matches.
  app.openapi(batchRoute, async (c) => {
    const caller = c.get('caller');
    const { calls } = c.req.valid('json');
    countRequests(caller, calls.length - 1);
    const results = await Promise.all(
      calls.map(async ({ tool_id, stack_id, ...input }) => {
        try {
          const found = service_tools.get(caller, tool_id);
          const called = await callOrAuthRequired(parts, caller, found, inputOf(input), stack_id);
          if (!('error_type' in called)) return { tool_id, ...outcomeOf(called) };
          const { detail, error_type, configuration_url } = called;
          return { tool_id, success: false, result: null, error: detail, error_type, configuration_url };
        } catch (thrown) {
          const { code, message } = toPublicError(thrown, c.get('request_id'));
          countError(code);
          if (ERROR_TABLE[code].is_server_failure) {
            const fields = { request_id: c.get('request_id'), code, failure: describeFailure(thrown) };
            parts.log.error(fields, 'tool call failed');
          }
          return { tool_id, success: false, result: null, error: message };
        }
      }),
    );
    return c.json({ results }, 200);
  });

  app.openapi(callRoute, async (c) => {
    const started = performance.now();
    const caller = c.get('caller');
    const { tool_id } = c.req.valid('param');
    const found = service_tools.get(caller, tool_id);
    const { stack_id, ...input } = c.req.valid('json') ?? {};
    const called = await callOrAuthRequired(parts, caller, found, inputOf(input), stack_id);
    if ('error_type' in called) return c.json(called, 403);
    const body = {
      ...outcomeOf(called),
      tool_id,
      tool_name: fullToolName(found.service, found.tool),
      duration_ms: Math.round(performance.now() - started),
      request_id: c.get('request_id'),
    };
    return c.json(body, 200);
  });
}

function registerLists(app: OpenAPIHono<HttpEnv>, parts: DialectDependencies): void {
  const { vault, service_tools } = parts;

  app.openapi(listRoute, async (c) => {
    const caller = c.get('caller');
    const service = visibleService(caller, vault.services, c.req.valid('param').service_id);
    const status = await vault.status(caller, { service_id: service.slug });
    const needs_configuration = !status.required_credentials_added;
    const tools = toolsOf(service)
      .slice(0, c.req.valid('query').limit ?? TOOLS_LISTED)
      .map((tool) => toTool({ service, tool }));
    const body = { tools, needs_configuration, skipped: false, configuration_required: needs_configuration };
    return c.json(body, 200);
  });

  app.openapi(searchRoute, (c) => {
    const caller = c.get('caller');
    const { query = '', service_id, limit = TOOLS_LISTED } = c.req.valid('query');
    const services =
      service_id === undefined
        ? visibleServices(caller, vault.services)
        : [visibleService(caller, vault.services, service_id)];
    return c.json(searchTools(services, query).slice(0, limit).map(toTool), 200);
  });

  app.openapi(getRoute, (c) => {
    return c.json(toTool(service_tools.get(c.get('caller'), c.req.valid('param').tool_id)), 200);
  });
}

function inputOf({ tool_input, parameters }: z.infer<typeof ToolInput>): JsonObject {
  return tool_input ?? parameters ?? {};
}

function outcomeOf(output: CallOutput) {
  const error = output.ok === false ? `The service responded with status ${output.status}.` : null;
  return { success: error === null, result: output, error };
}

function toTool({ service, tool }: FoundTool): z.infer<typeof Tool> {
  return {
    id: tool.id,
    name: fullToolName(service, tool),
    description: `${tool.title}. ${tool.description}`,
    service_id: service.id,
    parameters: { ...inputSchema(tool) },
    is_paid: false,
    tags: [service.category],
    method: tool.operation?.method ?? 'REQUEST',
    tips: null,
    metadata: {},
  };
}
