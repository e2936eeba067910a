/** The users of an organization: list, move to another unit, and remove. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { UserInfo, UserName } from '../../contract/api_key.ts';
import { OrganizationName } from '../../contract/caller.ts';
import { NAME_MAX_CHARACTERS } from '../../contract/limits.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];
const User = component('User', UserInfo);
const organization = OrganizationName.optional();

const listRoute = createRoute({
  method: 'get',
  path: '/v1/users',
  tags: TAGS,
  operationId: 'listUsers',
  summary: 'List users',
  description: 'The users of your organization, newest first, 1000 at most. Needs the scope org:admin.',
  request: { query: z.strictObject({ organization }) },
  responses: {
    200: jsonOf(z.object({ users: z.array(User), more: z.boolean() }), 'The users.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown organization.' }),
  },
});

const moveRoute = createRoute({
  method: 'post',
  path: '/v1/users/move',
  tags: TAGS,
  operationId: 'moveUser',
  summary: 'Move a user to another unit',
  description: 'What is shared with the unit is shared with its users. Needs the scope org:admin.',
  request: {
    body: bodyOf(
      z
        .strictObject({
          name: UserName,
          unit: z
            .string()
            .min(1)
            .max(NAME_MAX_CHARACTERS)
            .openapi({ description: 'The id or name of the unit.' }),
          organization,
        })
        .openapi('MovedUser'),
    ),
  },
  responses: {
    200: jsonOf(User, 'The user.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown user, unit or organization.' }),
  },
});

const removeRoute = createRoute({
  method: 'post',
  path: '/v1/users/remove',
  tags: TAGS,
  operationId: 'removeUser',
  summary: 'Remove a user',
  description:
    'Deletes the user with all credentials, stacks and API keys. A later user of the same name inherits nothing. Needs the scope org:admin.',
  request: { body: bodyOf(z.strictObject({ name: UserName, organization }).openapi('RemovedUser')) },
  responses: {
    200: jsonOf(User, 'The user that was removed.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown user or organization.' }),
  },
});

export function registerUsers(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { organization: name } = c.req.valid('query');
    const { users, more } = await vault.users.list(c.get('caller'), name);
    return c.json({ users: [...users], more }, 200);
  });

  app.openapi(moveRoute, async (c) => {
    const { name, unit, organization: where } = c.req.valid('json');
    return c.json(await vault.users.move(c.get('caller'), name, unit, where), 200);
  });

  app.openapi(removeRoute, async (c) => {
    const { name, organization: where } = c.req.valid('json');
    return c.json(await vault.users.remove(c.get('caller'), name, where), 200);
  });
}
