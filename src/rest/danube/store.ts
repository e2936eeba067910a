/** Storing one token or key for a service. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CredentialName, ServiceId, StackId, Value } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { bodyOf, jsonOf } from '../openapi/json_content.ts';
import { codedErrors, TAKES_BODY } from '../openapi/responses.ts';

const TYPES = ['bearer', 'api_key'] as const;
type Type = (typeof TYPES)[number];

const TYPE_MAX_CHARACTERS = 64;

const StoreCredential = z
  .object({
    service_id: ServiceId.meta({ example: 'svc_openai_001' }),
    // Any text: another type is answered with the way that it can be had.
    credential_type: z
      .string()
      .min(1)
      .max(TYPE_MAX_CHARACTERS)
      .openapi({ enum: [...TYPES], description: 'What the value is.', example: 'bearer' }),
    credential_value: Value.meta({ example: 'sk-proj-abc123...' }),
    name: CredentialName.optional(),
    stack_id: StackId.optional(),
  })
  .openapi('StoreCredential');

const StoredCredential = z
  .object({
    success: z.literal(true),
    service_id: z.string().openapi({ description: 'As it was sent.', example: 'svc_openai_001' }),
    service_name: z.string().openapi({ example: 'OpenAI' }),
    credential_type: z.enum(TYPES),
  })
  .openapi('StoredCredential');

const storeRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/store',
  tags: ['Danube'],
  operationId: 'storeServiceCredential',
  summary: 'Store a credential',
  description: 'Stores a token or key for a service. Storing again replaces the one before.',
  request: { body: bodyOf(StoreCredential) },
  responses: {
    200: jsonOf(StoredCredential, 'The value is stored.'),
    ...codedErrors({
      ...TAKES_BODY,
      404: 'There is no such service, or no such stack.',
    }),
  },
});

export function registerStore(app: OpenAPIHono<HttpEnv>, { vault, public_url }: HttpDependencies): void {
  app.openapi(storeRoute, async (c) => {
    const { credential_type, ...input } = c.req.valid('json');
    const { slug } = vault.services.get(input.service_id);
    if (!isTaken(credential_type)) {
      throw new VaultError(
        'INVALID_INPUT',
        `credential_type must be ${TYPES.join(' or ')} here. For OAuth, connect the service at ${public_url}/dashboard/tools/${slug}.`,
      );
    }
    const stored = await vault.store(c.get('caller'), { ...input, credential_type });
    const { success, service_id, service_name } = stored;
    return c.json({ success, service_id, service_name, credential_type }, 200);
  });
}

function isTaken(type: string): type is Type {
  return TYPES.some((one) => one === type);
}
