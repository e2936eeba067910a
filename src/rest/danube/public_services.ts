/** The services as Danube's directory lists them. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { LIST_PAGE_MAX, QUERY_MAX_CHARACTERS } from '../../contract/limits.ts';
import type { Service } from '../../contract/service/service.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { toolsOf } from '../../services/tools/tools.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS } from '../openapi/responses.ts';
import { jsonOf } from '../openapi/schemas.ts';
import { visibleService, visibleServices } from '../visible_services.ts';

const TAGS = ['Danube'];
const SERVICES_LISTED = 10;
/** Of the format of a definition. */
const DEFINITION_VERSION = '1';

const PublicService = z
  .object({
    id: z.uuid(),
    name: z.string(),
    description: z.string(),
    summary: z.string(),
    version: z.string(),
    service_type: z.enum(['api', 'other']),
    url: z.string().nullable(),
    is_connected: z.boolean(),
    tool_count: z.int(),
    is_verified: z.boolean().openapi({ description: 'Whether the definition comes with the server.' }),
    visibility: z.literal('public'),
    category: z.string(),
    verification_tier: z.enum(['built_in', 'custom']),
    logo: z.null(),
    documentation_url: z.string().nullable(),
    requires_credentials: z.literal(true),
  })
  .openapi('PublicService');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/services/public',
  tags: TAGS,
  operationId: 'listPublicServices',
  summary: 'Search services',
  request: {
    query: z.object({
      query: z.string().max(QUERY_MAX_CHARACTERS).optional(),
      limit: z.coerce.number().int().min(1).max(LIST_PAGE_MAX).optional(),
    }),
  },
  responses: {
    200: jsonOf(z.array(PublicService), 'The services that match, the best match first.'),
    ...errorResponses(CodedDetail, QUERY_ERRORS),
  },
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/services/public/{service_id}',
  tags: TAGS,
  operationId: 'getPublicService',
  summary: 'Get a service',
  request: {
    params: z.object({ service_id: z.string().openapi({ param: { name: 'service_id', in: 'path' } }) }),
  },
  responses: {
    200: jsonOf(PublicService, 'The service.'),
    ...errorResponses(CodedDetail, { 404: 'Unknown service.' }),
  },
});

export function registerPublicServices(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  const toPublic = (service: Service, is_connected: boolean): z.infer<typeof PublicService> => {
    const is_built_in = vault.services.customFileOf(service.slug) === undefined;
    return {
      id: service.id,
      name: service.name,
      description: service.description,
      summary: service.description,
      version: DEFINITION_VERSION,
      service_type: service.injection.in === 'none' ? 'other' : 'api',
      url: service.homepage ?? null,
      is_connected,
      tool_count: toolsOf(service).length,
      is_verified: is_built_in,
      visibility: 'public',
      category: service.category,
      verification_tier: is_built_in ? 'built_in' : 'custom',
      logo: null,
      documentation_url: service.docs_url ?? null,
      requires_credentials: true,
    };
  };

  app.openapi(listRoute, async (c) => {
    const caller = c.get('caller');
    const { query = '', limit = SERVICES_LISTED } = c.req.valid('query');
    const visible = new Set(visibleServices(caller, vault.services));
    const found = vault.services.list(query).filter((service) => visible.has(service));
    const listed = await vault.listServices(caller, query === '' ? {} : { query });
    const connected = new Set(listed.filter((one) => one.connected).map(({ service_id }) => service_id));
    return c.json(
      found.slice(0, limit).map((service) => toPublic(service, connected.has(service.slug))),
      200,
    );
  });

  app.openapi(getRoute, async (c) => {
    const caller = c.get('caller');
    const service = visibleService(caller, vault.services, c.req.valid('param').service_id);
    const status = await vault.status(caller, { service_id: service.slug });
    return c.json(toPublic(service, status.required_credentials_added), 200);
  });
}
