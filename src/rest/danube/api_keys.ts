/** API keys: create, list, rotate and revoke. The key itself is in one response only, when it is created or rotated. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ApiKeyInfo, CreateKeyInput, type NewApiKey } from '../../contract/api_key.ts';
import { OrganizationName } from '../../contract/caller.ts';
import { CredentialName } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Danube'];

const Permissions = z.object({
  allowed_services: z.array(z.string()).nullable(),
  allowed_tools: z.array(z.string()).nullable(),
});

/** Danube's properties first, in its order. */
const ApiKey = z
  .object({
    id: z.string(),
    key_prefix: z.string().openapi({ description: 'The first eight characters.', example: 'kh_0193f' }),
    name: z.string().nullable(),
    created_at: z.string(),
    last_used: z.string().nullable(),
    permissions: Permissions.nullable().openapi({ description: 'null: no restriction beyond the scopes.' }),
  })
  .extend(ApiKeyInfo.omit({ allowed_services: true, allowed_tools: true }).shape)
  .openapi('ApiKey');
type ApiKey = z.infer<typeof ApiKey>;

const ApiKeyWithSecret = z
  .object({ id: z.string(), key: z.string().openapi({ description: 'Shown this once.' }) })
  .extend(ApiKey.shape)
  .extend({
    notice: z.string().optional().openapi({
      description: 'What the creator should know, such as that the stack of the key does not exist yet.',
    }),
  })
  .openapi('ApiKeyWithSecret');

/** Strict, since a misspelt restriction would be ignored. */
const NewKey = CreateKeyInput.omit({ allowed_services: true, allowed_tools: true })
  .extend({
    name: CredentialName.optional().meta({ description: 'The name of the key.', example: 'Production' }),
    permissions: z
      .strictObject({
        allowed_services: CreateKeyInput.shape.allowed_services.nullable(),
        allowed_tools: CreateKeyInput.shape.allowed_tools.nullable(),
        // Clients send null for no limit. A limit is rejected, since it would not be enforced.
        max_spend_per_call_cents: z.null('must be left out: spending is not limited here').optional(),
        max_spend_per_day_cents: z.null('must be left out: spending is not limited here').optional(),
      })
      .nullish(),
  })
  .openapi('NewApiKey');

const KeyPath = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) });
const Where = z.strictObject({ organization: OrganizationName.optional() });
const NO_KEY = 'Unknown key.';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/api-keys',
  tags: TAGS,
  operationId: 'listApiKeys',
  summary: 'List API keys',
  description:
    'Your keys, newest first; an administrator sees all keys of the organization. The header X-Keyhold-More: true means that there are more.',
  request: { query: Where },
  responses: {
    200: jsonOf(z.array(ApiKey), 'The keys, without their secrets.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown organization.' }),
  },
});

const createKeyRoute = createRoute({
  method: 'post',
  path: '/v1/api-keys',
  tags: TAGS,
  operationId: 'createApiKey',
  summary: 'Create an API key',
  description:
    'Also creates the organization and the user, if they are new and the caller may do so. Credentials belong to a user: all keys of one user see the same credentials, and a new user has none. A stack that the user does not have is refused, unless the key can create it by storing a credential; then `notice` says so.',
  request: { body: bodyOf(NewKey) },
  responses: {
    200: jsonOf(ApiKeyWithSecret, 'The key. It is shown this once.'),
    ...errorResponses(CodedDetail, {
      ...WRITE_ERRORS,
      404: 'Unknown service or unit.',
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
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: NO_KEY, 410: 'The key has expired.' }),
  },
});

const revokeRoute = createRoute({
  method: 'delete',
  path: '/v1/api-keys/{id}',
  tags: TAGS,
  operationId: 'revokeApiKey',
  summary: 'Revoke an API key',
  description: 'The key stops working at once and is deleted.',
  request: { params: KeyPath },
  responses: {
    200: jsonOf(z.object({ success: z.literal(true) }), 'The key is deleted.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: NO_KEY }),
  },
});

export function registerApiKeys(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { organization } = c.req.valid('query');
    const { keys, more } = await vault.api_keys.list(c.get('caller'), organization);
    if (more) c.header('X-Keyhold-More', 'true');
    return c.json(keys.map(toApiKey), 200);
  });

  app.openapi(createKeyRoute, async (c) => {
    // A missing body may be a client's mistake; it must not create a key with all scopes of the caller.
    if (c.get('body_text') === undefined)
      throw new VaultError('INVALID_INPUT', 'The body is missing. Send {} for a key with the usual scopes.');
    const { permissions, ...input } = c.req.valid('json');
    const { allowed_services, allowed_tools } = permissions ?? {};
    const made = await vault.api_keys.create(c.get('caller'), {
      ...input,
      ...(allowed_services == null ? {} : { allowed_services }),
      ...(allowed_tools == null ? {} : { allowed_tools }),
    });
    return c.json(toNewApiKey(made), 200);
  });

  app.openapi(rotateRoute, async (c) => {
    const { id } = c.req.valid('param');
    return c.json(toNewApiKey(await vault.api_keys.rotate(c.get('caller'), id)), 200);
  });

  app.openapi(revokeRoute, async (c) => {
    await vault.api_keys.revoke(c.get('caller'), c.req.valid('param').id);
    return c.json({ success: true } as const, 200);
  });
}

function toApiKey({ allowed_services, allowed_tools, ...info }: ApiKeyInfo): ApiKey {
  const { id, key_prefix, name, created_at, ...rest } = info;
  const is_free = allowed_services === null && allowed_tools === null;
  const permissions = is_free ? null : { allowed_services, allowed_tools };
  return { id, key_prefix, name, created_at, last_used: info.last_used_at, permissions, ...rest };
}

function toNewApiKey({ key, notice, ...info }: NewApiKey): z.infer<typeof ApiKeyWithSecret> {
  const { id, ...shown } = toApiKey(info);
  return { id, key, ...shown, ...(notice === undefined ? {} : { notice }) };
}
