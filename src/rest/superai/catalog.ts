/**
 * The catalog in the SuperAI Flow dialect: the services that the API key allows, each with a JSON Schema of its
 * credentials. By default only providers and types of SuperAI's own enumerations: a client that is generated from its
 * OpenAPI document rejects the whole list for one other.
 */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { CATEGORIES, CredentialType, Service } from '../../contract/service/service.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';
import {
  ERRORS,
  IntegrationCatalogResponse,
  type SUPERAI_CATEGORIES,
  SUPERAI_CREDENTIAL_TYPES,
  SUPERAI_EARLIER_VALUES,
  SUPERAI_PROVIDERS,
  type SuperaiCredentialType,
} from './schemas.ts';

type Category = (typeof SUPERAI_CATEGORIES)[number];

const CATEGORY_OF: Readonly<Record<(typeof CATEGORIES)[number], Category>> = {
  ai: 'agent_in_the_loop',
  analytics: 'automation',
  automation: 'automation',
  cloud: 'automation',
  communication: 'messaging',
  crm: 'automation',
  data: 'database',
  design: 'automation',
  developer: 'automation',
  email: 'messaging',
  finance: 'automation',
  identity: 'automation',
  monitoring: 'automation',
  other: 'automation',
  productivity: 'automation',
  search: 'automation',
  social: 'messaging',
  storage: 'storage',
};

/** Types that this API does not have, mapped to those with the same values. */
const TYPE_OF: Readonly<Partial<Record<CredentialType, SuperaiCredentialType>>> = {
  bearer: 'api_key',
  basic: 'user_password',
  connection_string: 'user_password',
};

const PROVIDERS: ReadonlySet<string> = new Set(
  SUPERAI_PROVIDERS.filter((provider) => !SUPERAI_EARLIER_VALUES.has(provider)),
);
const TYPES = SUPERAI_CREDENTIAL_TYPES.filter((type) => !SUPERAI_EARLIER_VALUES.has(type));

/** Adds the route under `prefix`, such as `/integrations`. */
export function registerCatalog(
  app: OpenAPIHono<HttpEnv>,
  { vault }: HttpDependencies,
  prefix: string,
): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: `${prefix}/catalog`,
      tags: ['SuperAI Flow: catalog'],
      summary: 'List the available services',
      description: 'The providers that SuperAI Flow documents; with `all=true`, every service.',
      request: { query: z.object({ all: z.enum(['true', 'false']).optional() }) },
      responses: {
        200: jsonOf(IntegrationCatalogResponse.array(), 'The services, in the order of their ids.'),
        ...ERRORS,
      },
    }),
    (c) => {
      const services = visibleServices(c.get('caller'), vault.services);
      const is_all = c.req.valid('query').all === 'true';
      const shown = is_all ? services : services.filter(({ slug }) => PROVIDERS.has(slug));
      return c.json(
        shown.map((service) => toEntry(service, is_all ? SUPERAI_CREDENTIAL_TYPES : TYPES)),
        200,
      );
    },
  );
}

function toEntry(service: Service, types: readonly SuperaiCredentialType[]): IntegrationCatalogResponse {
  return {
    id: service.id,
    category: CATEGORY_OF[service.category],
    provider: service.slug,
    name: service.slug,
    display_name: service.name,
    description: service.description,
    credential_types: typesOf(service, types),
    is_plugin: false,
    credential_providers: [
      {
        is_oauth: service.oauth !== undefined,
        name: service.name,
        credential_schema: credentialSchema(service),
      },
    ],
  };
}

function typesOf(service: Service, known: readonly string[]): SuperaiCredentialType[] {
  const isKnown = (type: string): type is SuperaiCredentialType => known.includes(type);
  const types = service.credential_types.map((type) => TYPE_OF[type] ?? type).filter(isKnown);
  return types.length === 0 ? ['api_key'] : [...new Set(types)];
}

/** The schema of `credentials` for this service. Other fields are stored too. */
function credentialSchema({ name, fields }: Service): Record<string, unknown> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: name,
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.field_id, fieldSchema(field)])),
    required: fields.filter(({ required }) => required).map(({ field_id }) => field_id),
    additionalProperties: true,
  };
}

function fieldSchema(field: FieldDefinition): Record<string, unknown> {
  return {
    type: 'string',
    title: field.name,
    description: field.description,
    minLength: 1,
    maxLength: field.max_length,
    // A JSON Schema pattern matches anywhere in the text; that of a definition must match all of it.
    ...(field.pattern === undefined ? {} : { pattern: `^(?:${field.pattern})$` }),
    ...(field.example === undefined ? {} : { examples: [field.example] }),
    ...(field.secret ? { format: 'password', writeOnly: true } : {}),
  };
}
