/** The credentials of a server in a stack: putting them in, and seeing which are added. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { type CredentialStatus, FieldPresence } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { FieldValues } from '../openapi/field_values.ts';
import { bodyOf, jsonOf } from '../openapi/json_content.ts';
import { detailErrors, TAKES_BODY } from '../openapi/responses.ts';
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
  description: 'Adds values, or replaces them. Fields that are not named stay as they are.',
  request: { params: ServerPath, body: bodyOf(z.object({ credentials: FieldValues })) },
  responses: {
    200: jsonOf(
      z.object({ message: z.literal('Credentials updated successfully') }),
      'The values are stored.',
    ),
    ...detailErrors({
      ...TAKES_BODY,
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
  description: 'Says of each field whether it is added. Shows no values.',
  request: { params: ServerPath },
  responses: {
    200: jsonOf(ServerCredentials, 'Which fields are added, and which are missing.'),
    ...detailErrors({
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
      const words = {
        failed: 'Failed to update credentials',
        invalid: INVALID_CREDENTIALS,
        no_server: serverNotFound(vault.services, server_id),
      };
      return withErrorMessages(words, async () => {
        const caller = c.get('caller');
        const stack_id = stackIdOf(path.stack_id);
        const purpose = { scope: 'credentials:write', action: 'update' } as const;
        const { slug } = await vault.stacks.requireService(caller, stack_id, server_id, purpose);
        const { message } = await vault.update(caller, { service_id: slug, stack_id, credentials });
        return c.json({ message }, 200);
      });
    },
    (result) => {
      if (!result.success) throw new VaultError('INVALID_INPUT', INVALID_CREDENTIALS);
    },
  );

  app.openapi(statusRoute, async (c) => {
    const { server_id, ...path } = c.req.valid('param');
    const words = {
      failed: 'Failed to get credentials status',
      no_server: serverNotFound(vault.services, server_id),
    };
    return withErrorMessages(words, async () => {
      const caller = c.get('caller');
      const stack_id = stackIdOf(path.stack_id);
      const read = (service_id: string) => vault.status(caller, { service_id, stack_id });
      // What is stored is in the stack; only where nothing is, there is more to ask.
      const service = vault.services.find(server_id);
      const status = service && (await read(service.slug));
      if (status !== undefined && status.credential_id !== null) return c.json(shown(status), 200);
      const { slug } = await vault.stacks.requireService(caller, stack_id, server_id);
      return c.json(shown(status ?? (await read(slug))), 200);
    });
  });
}

function shown(status: CredentialStatus): z.infer<typeof ServerCredentials> {
  const { required_credentials, optional_credentials } = status;
  const { all_credentials_added, required_credentials_added } = status;
  return { required_credentials, optional_credentials, all_credentials_added, required_credentials_added };
}
