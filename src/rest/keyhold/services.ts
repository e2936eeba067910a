/** The service definitions, and the public key to seal values to. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ServiceDefinition } from '../../contract/service/service.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses } from '../openapi/responses.ts';
import { component, jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';

const TAGS = ['Keyhold'];

const Definition = component('ServiceDefinition', ServiceDefinition);

const PublicKey = z
  .object({ public_key: z.string(), organization: z.string(), user: z.string() })
  .openapi('PublicKey');

const definitionsRoute = createRoute({
  method: 'get',
  path: '/v1/service-definitions',
  tags: TAGS,
  operationId: 'listServiceDefinitions',
  summary: 'List service definitions',
  description: 'The complete definition of every service.',
  responses: {
    200: jsonOf(z.object({ services: z.array(Definition) }), 'All services.'),
    ...errorResponses(CodedDetail, {}),
  },
});

const publicKeyRoute = createRoute({
  method: 'get',
  path: '/v1/public-key',
  tags: TAGS,
  operationId: 'getPublicKey',
  summary: 'Get the public key',
  description:
    'The key that values are sealed to, and the organization and user that a sealed value names. docs/security.md describes the format; only the vault can read the values.',
  responses: {
    200: jsonOf(PublicKey, 'The key: 32 bytes in base64.'),
    ...errorResponses(CodedDetail, {}),
  },
});

export function registerServices(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(definitionsRoute, (c) =>
    c.json({ services: visibleServices(c.get('caller'), vault.services) }, 200),
  );

  app.openapi(publicKeyRoute, async (c) => c.json(await vault.sealingKey(c.get('caller')), 200));
}
