/** A user's stacks: create, list, get, update and delete. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CredentialName } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { STACK_RIGHTS, type StackChange, type StackInfo } from '../../contract/stack.ts';
import { invalidInput } from '../../contract/validation.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { fullToolName, toolsOf } from '../../services/tools/tools.ts';
import { Detail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import { withErrorMessages } from './errors.ts';
import { StackPath, stackIdOf } from './paths.ts';

const TAGS = ['ToolRouter'];

const StackServer = z.object({
  server_name: z.string().openapi({ description: 'The id of the server.', example: 'gmail' }),
  enabled_tools: z.array(z.string()),
});

const Stack = z
  .object({
    stack_id: z.string().openapi({ example: 'stack_123e4567-e89b-12d3-a456-426614174000' }),
    stack_name: z.string(),
    configuration: z.object({ analytics_enabled: z.boolean() }),
    servers: z.array(StackServer).openapi({
      description: 'The servers that were added to the stack, then those that only have credentials in it.',
    }),
    owner: z.string().openapi({ description: 'The name of a user, or `@organization`.', example: 'ann' }),
    role: z.enum(STACK_RIGHTS).openapi({ description: 'What you may do with the stack.' }),
    shared_with: z.int().openapi({ description: 'The number of shares.' }),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi('Stack');

const configuration = z.object({ analytics_enabled: z.boolean().nullish() }).nullish();
const stack_name = CredentialName.meta({ description: 'The name of the stack.', example: 'Production' });
const organization_owned = z
  .boolean()
  .optional()
  .openapi({ description: 'The stack belongs to the organization. Needs the scope org:admin.' });
const NewStack = z.object({ stack_name, configuration, organization_owned }).openapi('NewStack');
const ChangedStack = z.object({ stack_name: stack_name.nullish(), configuration }).openapi('ChangedStack');
type Change = z.infer<typeof ChangedStack>;

const Message = z.object({ message: z.string() });

const NAME_REQUIRED = 'Stack name is required';
const NO_STACK = '`Stack not found`';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/stacks',
  tags: TAGS,
  operationId: 'listStacks',
  summary: 'List stacks',
  description:
    'Your stacks and those that are shared with you, newest first; `default` always exists and comes last.',
  responses: {
    200: jsonOf(z.array(Stack), 'All stacks.'),
    ...errorResponses(Detail, { 500: '`Failed to list stacks`' }),
  },
});

const createStackRoute = createRoute({
  method: 'post',
  path: '/v1/stacks',
  tags: TAGS,
  operationId: 'createStack',
  summary: 'Create a stack',
  request: { body: bodyOf(NewStack) },
  responses: {
    200: jsonOf(Stack, 'The new stack.'),
    ...errorResponses(Detail, {
      ...WRITE_ERRORS,
      400: `\`${NAME_REQUIRED}\`, or the body is invalid.`,
      500: '`Failed to create stack`',
    }),
  },
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/stacks/{stack_id}',
  tags: TAGS,
  operationId: 'getStack',
  summary: 'Get a stack',
  request: { params: StackPath },
  responses: {
    200: jsonOf(Stack, 'The stack.'),
    ...errorResponses(Detail, { 404: NO_STACK, 500: '`Failed to get stack`' }),
  },
});

const updateRoute = createRoute({
  method: 'put',
  path: '/v1/stacks/{stack_id}',
  tags: TAGS,
  operationId: 'updateStack',
  summary: 'Update a stack',
  description: 'Changes the name or the configuration. Omitted properties keep their values.',
  request: { params: StackPath, body: bodyOf(ChangedStack) },
  responses: {
    200: jsonOf(Stack, 'The stack as it is now.'),
    ...errorResponses(Detail, { ...WRITE_ERRORS, 404: NO_STACK, 500: '`Failed to update stack`' }),
  },
});

const deleteRoute = createRoute({
  method: 'delete',
  path: '/v1/stacks/{stack_id}',
  tags: TAGS,
  operationId: 'deleteStack',
  summary: 'Delete a stack',
  description: 'Deletes the stack with all credentials in it. `default` stays, empty.',
  request: { params: StackPath },
  responses: {
    200: jsonOf(Message, 'The stack is deleted.'),
    ...errorResponses(Detail, { ...WRITE_ERRORS, 404: NO_STACK, 500: '`Failed to delete stack`' }),
  },
});

export function registerStacks(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, (c) =>
    withErrorMessages({ failed: 'Failed to list stacks' }, async () => {
      const stacks = await vault.stacks.list(c.get('caller'));
      return c.json(
        stacks.map((stack) => toStack(stack, vault.services)),
        200,
      );
    }),
  );

  app.openapi(
    createStackRoute,
    (c) =>
      withErrorMessages({ failed: 'Failed to create stack' }, async () => {
        const { stack_name, organization_owned, ...rest } = c.req.valid('json');
        const input = { ...changeOf(rest), stack_name, organization_owned };
        const stack = await vault.stacks.create(c.get('caller'), input);
        return c.json(toStack(stack, vault.services), 200);
      }),
    (result) => {
      if (result.success) return;
      const { issues } = result.error;
      const is_nameless = issues.some(
        ({ path, code }) => path[0] === 'stack_name' && (code === 'invalid_type' || code === 'too_small'),
      );
      throw is_nameless ? new VaultError('INVALID_INPUT', NAME_REQUIRED) : invalidInput(issues);
    },
  );

  app.openapi(getRoute, (c) =>
    withErrorMessages({ failed: 'Failed to get stack' }, async () => {
      const stack_id = stackIdOf(c.req.valid('param').stack_id);
      return c.json(toStack(await vault.stacks.get(c.get('caller'), stack_id), vault.services), 200);
    }),
  );

  app.openapi(updateRoute, (c) =>
    withErrorMessages({ failed: 'Failed to update stack' }, async () => {
      const stack_id = stackIdOf(c.req.valid('param').stack_id);
      const change = changeOf(c.req.valid('json'));
      return c.json(
        toStack(await vault.stacks.update(c.get('caller'), stack_id, change), vault.services),
        200,
      );
    }),
  );

  app.openapi(deleteRoute, (c) =>
    withErrorMessages({ failed: 'Failed to delete stack' }, async () => {
      const stack_id = stackIdOf(c.req.valid('param').stack_id);
      await vault.stacks.delete(c.get('caller'), stack_id);
      return c.json({ message: `Stack ${stack_id} deleted successfully` }, 200);
    }),
  );
}

/** null means omitted. */
function changeOf({ stack_name, configuration }: Partial<Change>): StackChange {
  const analytics_enabled = configuration?.analytics_enabled ?? undefined;
  return {
    ...(stack_name == null ? {} : { stack_name }),
    ...(analytics_enabled === undefined ? {} : { analytics_enabled }),
  };
}

function toStack(stack: StackInfo, catalogue: ServiceCatalogue): z.infer<typeof Stack> {
  const { stack_id, stack_name, analytics_enabled, services, created_at, updated_at, ...sharing } = stack;
  const servers = services.map(({ service_id, enabled_tools }) => ({
    server_name: service_id,
    enabled_tools: [...(enabled_tools ?? allTools(catalogue.find(service_id)))],
  }));
  const configuration = { analytics_enabled };
  return { stack_id, stack_name, configuration, servers, created_at, updated_at, ...sharing };
}

function allTools(service: Service | undefined): string[] {
  return service === undefined ? [] : toolsOf(service).map((tool) => fullToolName(service, tool));
}
