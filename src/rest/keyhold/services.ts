/** What there is to store credentials for, as whole definitions, and the key that values can be sealed to. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ServiceDefinition } from '../../contract/service.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { component } from '../openapi/component.ts';
import { jsonOf } from '../openapi/json_content.ts';
import { codedErrors } from '../openapi/responses.ts';
import { visibleServices } from '../visible_services.ts';

const TAGS = ['Keyhold'];

const Definition = component('ServiceDefinition', ServiceDefinition);

const definitionsRoute = createRoute({
  method: 'get',
  path: '/v1/service-definitions',
  tags: TAGS,
  operationId: 'listServiceDefinitions',
  summary: 'List service definitions',
  description: 'Every service, each with its whole definition.',
  responses: {
    200: jsonOf(z.object({ services: z.array(Definition) }), 'All services.'),
    ...codedErrors({}),
  },
});

const publicKeyRoute = createRoute({
  method: 'get',
  path: '/v1/public-key',
  tags: TAGS,
  operationId: 'getPublicKey',
  summary: 'Get the public key',
  description:
    'Values can be sealed to it (libsodium sealed box) and sent as "sealed:BASE64", so that nobody on the way sees them.',
  responses: {
    200: jsonOf(z.object({ public_key: z.string() }).openapi('PublicKey'), '32 bytes in base64.'),
    ...codedErrors({}),
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
