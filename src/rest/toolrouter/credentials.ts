/** The credentials of a server in a stack: setting values, and reading which fields are set. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { type CredentialStatus, FieldPresence } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { Detail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, FieldValues, jsonOf } from '../openapi/schemas.ts';
import { INVALID_CREDENTIALS, serverNotFound, withErrorMessages } from './errors.ts';
import { ServerPath, stackIdOf } from './paths.ts';

const PATH = '/v1/stacks/{stack_id}/servers/{server_id}/credentials';
const TAGS = ['ToolRouter'];

const presences = z
  .record(z.string(), FieldPresence)
  .openapi({ example: { gmail_oauth_token: 'added', gmail_client_id: 'missing' } });

export const ServerCredentials = z
  .object({
    required_credentials: presences,
    optional_credentials: presences,
    all_credentials_added: z.boolean(),
    required_credentials_added: z.boolean(),
  })
  .openapi('ServerCredentials');

const updateRoute = createRoute({
  method: 'put',
  path: PATH,
  tags: TAGS,
  operationId: 'updateServerCredentials',
  summary: 'Update credentials',
  description: 'Adds values, or replaces them. Other fields keep their values.',
  request: { params: ServerPath, body: bodyOf(z.object({ credentials: FieldValues })) },
  responses: {
    200: jsonOf(
      z.object({ message: z.literal('Credentials updated successfully') }),
      'The values are stored.',
    ),
    ...errorResponses(Detail, {
      ...WRITE_ERRORS,
      400: `\`${INVALID_CREDENTIALS}\``,
      404: '`Stack not found` or `Server gmail not found`: the server must have been added to the stack.',
      500: '`Failed to update credentials`',
    }),
  },
});

const statusRoute = createRoute({
  method: 'get',
  path: PATH,
  tags: TAGS,
  operationId: 'getServerCredentials',
  summary: 'Get credentials status',
  description: 'Whether each field is added or missing. Contains no values.',
  request: { params: ServerPath },
  responses: {
    200: jsonOf(ServerCredentials, 'Which fields are added, and which are missing.'),
    ...errorResponses(Detail, {
      404: '`Stack not found` or `Server gmail not found`',
      500: '`Failed to get credentials status`',
    }),
  },
});

export function registerCredentials(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(
    updateRoute,
    async (c) => {
      const { server_id, ...path } = c.req.valid('param');
      const { credentials } = c.req.valid('json');
      const messages = {
        failed: 'Failed to update credentials',
        invalid: INVALID_CREDENTIALS,
        no_server: serverNotFound(vault.services, server_id),
      };
      return withErrorMessages(messages, async () => {
        const input = { service_id: server_id, stack_id: stackIdOf(path.stack_id), credentials };
        await vault.update(c.get('caller'), input, {
          require_service_in_stack: true,
          refuse_protected: true,
        });
        return c.json({ message: 'Credentials updated successfully' } as const, 200);
      });
    },
    (result) => {
      if (!result.success) throw new VaultError('INVALID_INPUT', INVALID_CREDENTIALS);
    },
  );

  app.openapi(statusRoute, async (c) => {
    const { server_id, ...path } = c.req.valid('param');
    const messages = {
      failed: 'Failed to get credentials status',
      no_server: serverNotFound(vault.services, server_id),
    };
    return withErrorMessages(messages, async () => {
      const caller = c.get('caller');
      const stack_id = stackIdOf(path.stack_id);
      const read = (service_id: string) => vault.status(caller, { service_id, stack_id });
      // A service with a credential is in the stack; otherwise check whether it was added.
      const service = vault.services.find(server_id);
      const status = service && (await read(service.slug));
      if (status !== undefined && status.credential_id !== null)
        return c.json(toServerCredentials(status), 200);
      const { slug } = await vault.stacks.requireService(caller, stack_id, server_id);
      return c.json(toServerCredentials(status ?? (await read(slug))), 200);
    });
  });
}

function toServerCredentials(status: CredentialStatus): z.infer<typeof ServerCredentials> {
  const { required_credentials, optional_credentials } = status;
  const { all_credentials_added, required_credentials_added } = status;
  return { required_credentials, optional_credentials, all_credentials_added, required_credentials_added };
}
