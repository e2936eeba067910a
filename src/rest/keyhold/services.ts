/** The service definitions, and the public key to seal values to. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ServiceDefinition } from '../../contract/service.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses } from '../openapi/responses.ts';
import { component, jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';

const TAGS = ['Keyhold'];

const Definition = component('ServiceDefinition', ServiceDefinition);

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
    'Values sealed to it (libsodium sealed box) can be sent as "sealed:BASE64". Only the vault can read them.',
  responses: {
    200: jsonOf(z.object({ public_key: z.string() }).openapi('PublicKey'), '32 bytes in base64.'),
    ...errorResponses(CodedDetail, {}),
  },
});

export function registerServices(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(definitionsRoute, (c) =>
    c.json({ services: visibleServices(c.get('caller'), vault.services) }, 200),
  );

  app.openapi(publicKeyRoute, async (c) =>
    c.json({ public_key: await vault.publicKey(c.get('caller')) }, 200),
  );
}
