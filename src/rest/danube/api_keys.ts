/** API keys: made, listed, rotated and revoked. A key itself is shown once, when it is made or rotated. */

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ApiKeyInfo, CreateKeyInput, type NewApiKey } from '../../contract/api_key.ts';
import { OrganizationName } from '../../contract/caller.ts';
import { CredentialName } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { bodyOf, jsonOf } from '../openapi/json_content.ts';
import { codedErrors, TAKES_BODY, TAKES_QUERY, WRITES } from '../openapi/responses.ts';

const TAGS = ['Danube'];

const Permissions = z.object({
  allowed_services: z.array(z.string()).nullable(),
  allowed_tools: z.array(z.string()).nullable(),
});

/** First what Danube's clients know, in their order. */
const ApiKey = z
  .object({
    id: z.string(),
    key_prefix: z.string().openapi({ description: 'The first eight characters.', example: 'kh_0193f' }),
    name: z.string().nullable(),
    created_at: z.string(),
    last_used: z.string().nullable(),
    permissions: Permissions.nullable().openapi({ description: 'null: everything that its scopes allow.' }),
  })
  .extend(ApiKeyInfo.omit({ allowed_services: true, allowed_tools: true }).shape)
  .openapi('ApiKey');
type ApiKey = z.infer<typeof ApiKey>;

const ApiKeyWithSecret = z
  .object({ id: z.string(), key: z.string().openapi({ description: 'Shown this once.' }) })
  .extend(ApiKey.shape)
  .openapi('ApiKeyWithSecret');

/** Strict, since a restriction that is misspelt would be none. */
const NewKey = CreateKeyInput.omit({ allowed_services: true, allowed_tools: true })
  .extend({
    name: CredentialName.optional().meta({ description: 'What you call the key.', example: 'Production' }),
    permissions: z
      .strictObject({
        allowed_services: CreateKeyInput.shape.allowed_services.nullable(),
        allowed_tools: CreateKeyInput.shape.allowed_tools.nullable(),
        // Clients send these without a limit too; a limit would be a promise that nobody keeps.
        max_spend_per_call_cents: z.null('must be left out: spending is not limited here').optional(),
        max_spend_per_day_cents: z.null('must be left out: spending is not limited here').optional(),
      })
      .nullish(),
  })
  .openapi('NewApiKey');

const KeyPath = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) });
const Where = z.strictObject({ organization: OrganizationName.optional() });
const NO_KEY = 'There is no such key.';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/api-keys',
  tags: TAGS,
  operationId: 'listApiKeys',
  summary: 'List API keys',
  description:
    "Your keys, newest first; for who administers the organization, everybody's. The header X-Keyhold-More tells that there are further ones.",
  request: { query: Where },
  responses: {
    200: jsonOf(z.array(ApiKey), 'The keys, without their secrets.'),
    ...codedErrors({ ...TAKES_QUERY, 404: 'There is no such organization.' }),
  },
});

const createKeyRoute = createRoute({
  method: 'post',
  path: '/v1/api-keys',
  tags: TAGS,
  operationId: 'createApiKey',
  summary: 'Create an API key',
  description: 'Makes organization and user too, when they are new and the caller may.',
  request: { body: bodyOf(NewKey) },
  responses: {
    200: jsonOf(ApiKeyWithSecret, 'The key. It is shown this once.'),
    ...codedErrors({
      ...TAKES_BODY,
      404: 'There is no such service, stack or unit.',
    }),
  },
});

const rotateRoute = createRoute({
  method: 'post',
  path: '/v1/api-keys/{id}/rotate',
  tags: TAGS,
  operationId: 'rotateApiKey',
  summary: 'Rotate an API key',
  description: 'A new secret under the same id. The old one stops working at once.',
  request: { params: KeyPath },
  responses: {
    200: jsonOf(ApiKeyWithSecret, 'The key. It is shown this once.'),
    ...codedErrors({ ...WRITES, 404: NO_KEY, 410: 'The key has expired.' }),
  },
});

const revokeRoute = createRoute({
  method: 'delete',
  path: '/v1/api-keys/{id}',
  tags: TAGS,
  operationId: 'revokeApiKey',
  summary: 'Revoke an API key',
  description: 'The key stops working at once, and is gone.',
  request: { params: KeyPath },
  responses: {
    200: jsonOf(z.object({ success: z.literal(true) }), 'The key is gone.'),
    ...codedErrors({ ...WRITES, 404: NO_KEY }),
  },
});

export function registerApiKeys(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { organization } = c.req.valid('query');
    const { keys, more } = await vault.api_keys.list(c.get('caller'), organization);
    if (more) c.header('X-Keyhold-More', 'true');
    return c.json(keys.map(shownKey), 200);
  });

  app.openapi(createKeyRoute, async (c) => {
    // A key with all that its maker may do is made by who asks for one, not by a body that got lost.
    if (c.get('body_text') === undefined)
      throw new VaultError('INVALID_INPUT', 'The body is missing. Send {} for a key with the usual scopes.');
    const { permissions, ...input } = c.req.valid('json');
    const { allowed_services, allowed_tools } = permissions ?? {};
    const made = await vault.api_keys.create(c.get('caller'), {
      ...input,
      ...(allowed_services == null ? {} : { allowed_services }),
      ...(allowed_tools == null ? {} : { allowed_tools }),
    });
    return c.json(shownNewKey(made), 200);
  });

  app.openapi(rotateRoute, async (c) => {
    const { id } = c.req.valid('param');
    return c.json(shownNewKey(await vault.api_keys.rotate(c.get('caller'), id)), 200);
  });

  app.openapi(revokeRoute, async (c) => {
    await vault.api_keys.revoke(c.get('caller'), c.req.valid('param').id);
    return c.json({ success: true } as const, 200);
  });
}

function shownKey({ allowed_services, allowed_tools, ...info }: ApiKeyInfo): ApiKey {
  const { id, key_prefix, name, created_at, ...rest } = info;
  const is_free = allowed_services === null && allowed_tools === null;
  const permissions = is_free ? null : { allowed_services, allowed_tools };
  return { id, key_prefix, name, created_at, last_used: info.last_used_at, permissions, ...rest };
}

function shownNewKey({ key, ...info }: NewApiKey): z.infer<typeof ApiKeyWithSecret> {
  const { id, ...shown } = shownKey(info);
  return { id, key, ...shown };
}
