/** Stores one token or key of a service. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CredentialName, ServiceId, StackId, Value } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { isReference } from '../../vault/values/value_source.ts';
import { CodedDetail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';

const TYPES = ['bearer', 'api_key'] as const;
type Type = (typeof TYPES)[number];

const TYPE_MAX_CHARACTERS = 64;

const StoreCredential = z
  .object({
    service_id: ServiceId.meta({ example: 'svc_openai_001' }),
    // Any string: the error for another type explains what to store for OAuth.
    credential_type: z
      .string()
      .min(1)
      .max(TYPE_MAX_CHARACTERS)
      .openapi({ enum: [...TYPES], description: 'The kind of value.', example: 'bearer' }),
    credential_value: Value.meta({ example: 'sk-proj-abc123...' }),
    name: CredentialName.optional(),
    stack_id: StackId.optional(),
  })
  .openapi('StoreCredential');

const StoredCredential = z
  .object({
    success: z.literal(true),
    service_id: z.string().openapi({ description: 'As in the request.', example: 'svc_openai_001' }),
    service_name: z.string().openapi({ example: 'OpenAI' }),
    credential_type: z.enum(TYPES),
    stored_as: z.enum(['value', 'reference']).openapi({
      description: 'reference: the value is elsewhere and read at each use.',
      example: 'value',
    }),
  })
  .openapi('StoredCredential');

const storeRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/store',
  tags: ['Danube'],
  operationId: 'storeServiceCredential',
  summary: 'Store a credential',
  description: 'Stores a token or key for a service. Storing again replaces it.',
  request: { body: bodyOf(StoreCredential) },
  responses: {
    200: jsonOf(StoredCredential, 'The value is stored.'),
    ...errorResponses(CodedDetail, {
      ...WRITE_ERRORS,
      404: 'Unknown service or stack.',
    }),
  },
});

export function registerStore(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(storeRoute, async (c) => {
    const { credential_type, ...input } = c.req.valid('json');
    if (!isAccepted(credential_type)) {
      throw new VaultError(
        'INVALID_INPUT',
        `credential_type must be ${TYPES.join(' or ')} here. For OAuth, store an access token of the service as bearer.`,
      );
    }
    const stored = await vault.store(
      c.get('caller'),
      { ...input, credential_type },
      { refuse_protected: true },
    );
    const { success, service_id, service_name } = stored;
    const stored_as = isReference(input.credential_value.trim()) ? 'reference' : 'value';
    return c.json({ success, service_id, service_name, credential_type, stored_as } as const, 200);
  });
}

function isAccepted(type: string): type is Type {
  return TYPES.some((one) => one === type);
}
