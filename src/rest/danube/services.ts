/** Lists the services. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ListedService, ListServicesInput } from '../../contract/credential.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS } from '../openapi/responses.ts';
import { jsonOf } from '../openapi/schemas.ts';

const ServiceList = z
  .object({
    services: z.array(ListedService),
    public_key: z.string().openapi({
      description: 'Values may be sealed to this key with `keyhold seal` and sent as "sealed:...".',
    }),
  })
  .openapi('ServiceList');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/services',
  tags: ['Danube'],
  operationId: 'listServices',
  summary: 'List services',
  description: 'Services with their fields, and whether they are connected.',
  // Ignores other parameters that clients of this API send, such as `limit`.
  request: { query: z.object(ListServicesInput.shape) },
  responses: {
    200: jsonOf(ServiceList, 'The matching services.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown stack.' }),
  },
});

export function registerServices(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const services = await vault.listServices(c.get('caller'), c.req.valid('query'));
    return c.json({ services: [...services], public_key: await vault.publicKey(c.get('caller')) }, 200);
  });
}
