/** All servers, and the servers of a stack: add, remove, and choose the enabled tools. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ServiceId } from '../../contract/credential.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { Service } from '../../contract/service/service.ts';
import { EnabledTools } from '../../contract/stack.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { fullToolName, toolsOf } from '../../services/tools/tools.ts';
import { inputSchema } from '../../use/tools/tool_input.ts';
import { Detail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';
import { serverNotFound, withErrorMessages } from './errors.ts';
import { ServerPath, StackPath, stackIdOf } from './paths.ts';

const TAGS = ['ToolRouter'];

const Tool = z.object({
  tool_id: z.string(),
  name: z.string(),
  description: z.string(),
  parameters: z.record(z.string(), z.unknown()),
});
const Credential = z.object({
  field_id: z.string().openapi({ example: 'gmail_oauth_token' }),
  name: z.string(),
  description: z.string(),
  required: z.boolean(),
});
const Server = z
  .object({
    server_id: z.string().openapi({ example: 'gmail' }),
    name: z.string(),
    description: z.string(),
    tools: z.array(Tool),
    required_credentials: z.array(Credential),
    optional_credentials: z.array(Credential),
  })
  .openapi('Server');

const AddServer = z
  .object({
    server_id: ServiceId,
    enable_all_tools: z.boolean().nullish(),
    enabled_tools: EnabledTools.nullish().openapi({
      description: 'Ids of tools. Used only if enable_all_tools is false.',
    }),
  })
  .openapi('AddServer');

const Message = z.object({ message: z.string() });
const NOT_FOUND = '`Stack not found` or `Server gmail not found`';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/servers',
  tags: TAGS,
  operationId: 'listServers',
  summary: 'List servers',
  description: 'Every server with its credential fields.',
  responses: {
    200: jsonOf(z.array(Server), 'All servers.'),
    ...errorResponses(Detail, {}),
  },
});

const addRoute = createRoute({
  method: 'post',
  path: '/v1/stacks/{stack_id}/servers',
  tags: TAGS,
  operationId: 'addServerToStack',
  summary: 'Add a server to a stack',
  description:
    'A server that is in the stack only because it has credentials there can be added, with its tools.',
  request: { params: StackPath, body: bodyOf(AddServer) },
  responses: {
    200: jsonOf(Message, 'The server is in the stack.'),
    ...errorResponses(Detail, {
      ...WRITE_ERRORS,
      400: '`Server gmail already exists in stack`, or the body is invalid.',
      404: NOT_FOUND,
      500: '`Failed to add server to stack`',
    }),
  },
});

const removeRoute = createRoute({
  method: 'delete',
  path: '/v1/stacks/{stack_id}/servers/{server_id}',
  tags: TAGS,
  operationId: 'removeServerFromStack',
  summary: 'Remove a server from a stack',
  description: 'Its credentials in this stack are deleted with it.',
  request: { params: ServerPath },
  responses: {
    200: jsonOf(Message, 'The server is no longer in the stack.'),
    ...errorResponses(Detail, {
      ...WRITE_ERRORS,
      404: NOT_FOUND,
      500: '`Failed to remove server from stack`',
    }),
  },
});

const toolsRoute = createRoute({
  method: 'put',
  path: '/v1/stacks/{stack_id}/servers/{server_id}/tools',
  tags: TAGS,
  operationId: 'updateServerTools',
  summary: 'Choose the enabled tools of a server',
  request: { params: ServerPath, body: bodyOf(z.object({ enabled_tools: EnabledTools })) },
  responses: {
    200: jsonOf(Message, 'These tools are enabled, and no others.'),
    ...errorResponses(Detail, {
      ...WRITE_ERRORS,
      404: NOT_FOUND,
      500: '`Failed to update server tools`',
    }),
  },
});

export function registerServers(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  const slugOf = (server_id: string) => vault.services.get(server_id).slug;

  app.openapi(listRoute, (c) => c.json(visibleServices(c.get('caller'), vault.services).map(toServer), 200));

  app.openapi(addRoute, (c) => {
    const { server_id, enable_all_tools, enabled_tools } = c.req.valid('json');
    const messages = {
      failed: 'Failed to add server to stack',
      no_server: serverNotFound(vault.services, server_id),
      exists: () => `Server ${slugOf(server_id)} already exists in stack`,
    };
    return withErrorMessages(messages, async () => {
      const stack_id = stackIdOf(c.req.valid('param').stack_id);
      const tools = enable_all_tools === true ? null : (enabled_tools ?? []);
      await vault.stacks.addService(c.get('caller'), stack_id, server_id, tools);
      const enabled = `${tools === null ? 'all' : tools.length} tools enabled`;
      const message = `Server ${slugOf(server_id)} added to stack ${stack_id} with ${enabled}`;
      return c.json({ message }, 200);
    });
  });

  app.openapi(removeRoute, (c) => {
    const { server_id, ...path } = c.req.valid('param');
    const messages = {
      failed: 'Failed to remove server from stack',
      no_server: serverNotFound(vault.services, server_id),
    };
    return withErrorMessages(messages, async () => {
      const stack_id = stackIdOf(path.stack_id);
      await vault.stacks.removeService(c.get('caller'), stack_id, server_id);
      return c.json({ message: `Server ${slugOf(server_id)} removed from stack ${stack_id}` }, 200);
    });
  });

  app.openapi(toolsRoute, (c) => {
    const { server_id, ...path } = c.req.valid('param');
    const messages = {
      failed: 'Failed to update server tools',
      no_server: serverNotFound(vault.services, server_id),
    };
    return withErrorMessages(messages, async () => {
      const stack_id = stackIdOf(path.stack_id);
      const { enabled_tools } = c.req.valid('json');
      await vault.stacks.setTools(c.get('caller'), stack_id, server_id, enabled_tools);
      const enabled = `${enabled_tools.length} tools enabled`;
      return c.json({ message: `Server ${slugOf(server_id)} updated with ${enabled}` }, 200);
    });
  });
}

function toServer(service: Service): z.infer<typeof Server> {
  const { slug, name, description, fields } = service;
  return {
    server_id: slug,
    name,
    description,
    tools: toolsOf(service).map((tool) => ({
      tool_id: fullToolName(service, tool),
      name: tool.title,
      description: tool.description,
      parameters: { ...inputSchema(tool) },
    })),
    required_credentials: fields.filter(({ required }) => required).map(toCredentialField),
    optional_credentials: fields.filter(({ required }) => !required).map(toCredentialField),
  };
}

function toCredentialField({
  field_id,
  name,
  description,
  required,
}: FieldDefinition): z.infer<typeof Credential> {
  return { field_id, name, description, required };
}
