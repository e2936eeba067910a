/** Who an API key stands for, and what it may do. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { SCOPES } from '../../contract/caller.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { jsonOf } from '../openapi/json_content.ts';
import { codedErrors } from '../openapi/responses.ts';

const Me = z
  .object({
    organization: z.string(),
    user: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    stack_id: z
      .string()
      .nullable()
      .openapi({ description: 'The one stack that it may touch; null: every one.' }),
    api_key_id: z.string().nullable(),
    allowed_services: z.array(z.string()).nullable(),
    allowed_tools: z.array(z.string()).nullable(),
    server_version: z.string().openapi({ description: 'The version of Keyhold that answers.' }),
  })
  .openapi('Me');

const meRoute = createRoute({
  method: 'get',
  path: '/v1/me',
  tags: ['Keyhold'],
  operationId: 'getMe',
  summary: 'See who you are',
  description: 'Whom the API key stands for, and what it may do.',
  responses: { 200: jsonOf(Me, 'Who you are.'), ...codedErrors({}) },
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
