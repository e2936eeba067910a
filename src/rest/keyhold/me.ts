/** The user and the permissions of the API key. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { SCOPES } from '../../contract/caller.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses } from '../openapi/responses.ts';
import { jsonOf } from '../openapi/schemas.ts';

const Me = z
  .object({
    organization: z.string(),
    user: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    stack_id: z
      .string()
      .nullable()
      .openapi({ description: 'The only stack that the key may use; null: every stack.' }),
    api_key_id: z.string().nullable(),
    allowed_services: z.array(z.string()).nullable(),
    allowed_tools: z.array(z.string()).nullable(),
    server_version: z.string().openapi({ description: 'The version of the server.' }),
  })
  .openapi('Me');

const meRoute = createRoute({
  method: 'get',
  path: '/v1/me',
  tags: ['Keyhold'],
  operationId: 'getMe',
  summary: 'Get the current user',
  description: 'The user of the API key, and its permissions.',
  responses: { 200: jsonOf(Me, 'The user and the permissions.'), ...errorResponses(CodedDetail, {}) },
});

export function registerMe(app: OpenAPIHono<HttpEnv>, { version }: HttpDependencies): void {
  app.openapi(meRoute, (c) => {
    const { organization, user, scopes, stack, api_key_id, services, tools } = c.get('caller');
    const me = {
      organization,
      user,
      scopes: [...scopes],
      stack_id: stack ?? null,
      api_key_id: api_key_id ?? null,
      allowed_services: services === undefined ? null : [...services],
      allowed_tools: tools === undefined ? null : [...tools],
      server_version: version,
    };
    return c.json(me, 200);
  });
}
